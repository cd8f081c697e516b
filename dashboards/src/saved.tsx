import { For, Show, createMemo, createResource, createSignal } from "solid-js";
import { act } from "./act";
import { Anchor } from "./anchor";
import { type Condition, type Run, type SavedSearch, type Schedule, type SearchText, ask, get, post } from "./api";
import { number, t, utc } from "./i18n";
import { LEVELS, Freshness, Level, Modal, Panel, Wrong } from "./parts";
import { address, change, go, parameter } from "./place";
import { kept, poll } from "./poll";
import { QueryField, fieldNames } from "./query";
import { RANGES } from "./search";
import { visible, when } from "./text";

const LOOK_EVERY = 5000;
const CONDITIONS: readonly Condition[] = [">", ">=", "=", "<", "none"];

/** Where a saved search is looked at. */
const place = (search: SearchText): string =>
  address("/search", { q: search.query, from: search.range, cols: search.columns.join(","), sort: search.sort === "desc" ? "" : search.sort });
const conditionName = (schedule: Schedule): string => (schedule.condition === "none" ? t("nothingCame") : `${schedule.condition} ${number(schedule.count)}`);

/** Saved searches: each opens as a search, and may be run regularly and alert. */
export function SavedPage() {
  const list = poll((signal) => get<{ searches: SavedSearch[] }>("/searches", signal), LOOK_EVERY);
  const searches = kept(() => list.data()?.searches ?? []);
  const chosen = createMemo(() => searches().find((search) => search.id === parameter("s")));
  return (
    <div class="inbox" classList={{ split: chosen() !== undefined }}>
      <section aria-label={t("saved")}>
        <Freshness of={list} />
        <div class="panel flush"><div class="scroll">
          <table class="cards saved">
            <thead><tr><th>{t("name")}</th><th class="wide">{t("query")}</th><th>{t("schedule")}</th><th class="wide">{t("condition")}</th><th>{t("state")}</th><th class="wide">{t("nextRun")}</th><th class="wide">{t("owner")}</th></tr></thead>
            <tbody><For each={searches()} fallback={<tr><td colspan={7} class="dim empty">{list.data() ? t("noSaved") : t("loading")}</td></tr>}>{(search) => (
              <tr class="row" classList={{ selected: search.id === chosen()?.id }} data-search={search.name} onClick={() => change({ s: search.id })}>
                <td class="what"><button class="plain" onClick={(e) => { e.stopPropagation(); change({ s: search.id }); }}>{visible(search.name)}</button></td>
                <td class="mono wide"><span class="two-lines">{visible(search.query)}</span></td>
                <td class="nowrap">{search.schedule ? `${number(search.schedule.every_minutes)} ${t("minutes")}` : <span class="dim">{t("notScheduled")}</span>}</td>
                <td class="nowrap wide"><Show when={search.schedule}>{(schedule) => <><Level level={schedule().level} /> {conditionName(schedule())}</>}</Show></td>
                <td><Show when={search.state}>{(state) => <ScheduleState state={state()} />}</Show></td>
                <td class="time wide"><Show when={search.state}>{(state) => when(state().next_run, utc())}</Show></td>
                <td class="wide">{visible(search.owner)}</td>
              </tr>
            )}</For></tbody>
          </table>
        </div></div>
      </section>
      <Show when={chosen()?.id} keyed>{(_id) => <SearchPanel search={chosen()!} again={list.again} close={() => change({ s: "" })} />}</Show>
    </div>
  );
}

function ScheduleState(props: { state: NonNullable<SavedSearch["state"]> }) {
  const last = (): Run | null => props.state.last_run;
  return (
    <>
      <span class={`run-state ${props.state.is}`}>{t(props.state.is === "failing" ? "failing" : "waitingRun")}</span>{" "}
      <Show when={last()}>{(run) => <span class="dim nowrap">{when(run().at, utc(), false)} <Show when={run().matched !== null}>{number(run().matched!)} {t("hits")}</Show></span>}</Show>
    </>
  );
}

function SearchPanel(props: { search: SavedSearch; again: () => Promise<void>; close: () => void }) {
  // What is written stays while the list is looked at again; a change by somebody else is told when it is saved.
  const [text, setText] = createSignal<SearchText>(textOf(props.search));
  const [seen, setSeen] = createSignal(props.search.version);
  const [done, setDone] = createSignal(false);
  const [asking, setAsking] = createSignal(false);
  const saving = act();
  const [runs] = createResource(() => props.search.state?.last_run?.at ?? "never", () => get<{ runs: Run[] }>(`/searches/${props.search.id}/runs`).catch(() => ({ runs: [] })));
  const path = (): string => `/searches/${encodeURIComponent(props.search.id)}`;
  const write = (part: Partial<SearchText>): void => { setDone(false); setText((before) => ({ ...before, ...part })); };
  const save = () => saving.run(async (signal) => {
    const saved = await ask<SavedSearch>(path(), { method: "PUT", body: text(), seen: seen(), signal });
    setSeen(saved.version);
    setDone(true);
    await props.again();
  });
  const remove = () => saving.run(async (signal) => {
    await ask(path(), { method: "DELETE", seen: seen(), signal });
    props.close();
    await props.again();
  });
  const reload = async (): Promise<void> => {
    await saving.run(async (signal) => {
      const now = await get<SavedSearch>(path(), signal);
      setText(textOf(now));
      setSeen(now.version);
    });
  };
  return (
    <Panel label={t("saved")} close={props.close} back={() => document.querySelector(`tr.selected button`)}>
      <div class="tools head"><h2 class="grow">{t("saved")}</h2><button onClick={() => props.close()}>{t("closeIt")} <kbd>Esc</kbd></button></div>
      <p class="facts"><span>{t("owner")}: <b>{visible(props.search.owner)}</b></span><span class="time">{when(props.search.created, utc())}</span></p>
      <Show when={props.search.state?.failing_since}>{(since) => <p class="problem" role="status">{t("failingSince")} {when(since(), utc())} – {visible(props.search.state?.error ?? "")}</p>}</Show>
      <form class="form" onSubmit={(e) => { e.preventDefault(); void save(); }}>
        <label>{t("name")} <input name="name" value={text().name} required maxlength={200} onInput={(e) => write({ name: e.currentTarget.value })} autocomplete="off" /></label>
        <QueryField value={text().query} input={(query) => write({ query })} ref={() => undefined} />
        <div class="pair">
          <label>{t("range")} <Range value={text().range} choose={(range) => write({ range })} /></label>
          <label>{t("sort")} <input name="sort" class="mono" value={text().sort} onInput={(e) => write({ sort: e.currentTarget.value })} autocomplete="off" /></label>
        </div>
        <label>{t("columns")} <input name="columns" class="mono" value={text().columns.join(", ")} onChange={(e) => write({ columns: e.currentTarget.value.split(/[\s,]+/).filter(Boolean) })} autocomplete="off" /></label>
        <label class="check"><input type="checkbox" name="scheduled" checked={text().schedule !== null} onChange={(e) => write({ schedule: e.currentTarget.checked ? (text().schedule ?? props.search.schedule ?? begin(text())) : null })} /> {t("scheduled")}</label>
        <Show when={text().schedule}>{(schedule) => <ScheduleForm schedule={schedule()} query={text().query} write={(part) => write({ schedule: { ...schedule(), ...part } })} />}</Show>
        <Show when={saving.problem()} keyed>{(problem) => (
          <><Wrong problem={problem} query={text().query} /><Show when={problem.status === 412}><button type="button" onClick={() => void reload()}>{t("loadAgain")}</button></Show></>
        )}</Show>
        <div class="tools">
          <button class="primary" disabled={saving.busy()}>{t("save")}</button>
          <Show when={done()}><span role="status">{t("hasSaved")}</span></Show>
          <span class="grow" />
          <button type="button" onClick={() => go(place(text()))}>{t("openSearch")}</button>
          <button type="button" onClick={() => setAsking(true)}>{t("delete")}…</button>
        </div>
      </form>
      <h3>{t("runs")}</h3>
      <div class="scroll"><table class="runs">
        <thead><tr><th>{t("time")}</th><th>{t("window")}</th><th class="number">{t("matched")}</th><th class="number">{t("alerts")}</th><th class="number">{t("took")}</th></tr></thead>
        <tbody><For each={runs.latest?.runs.slice(0, 50)} fallback={<tr><td colspan={5} class="dim empty">{t("none")}</td></tr>}>{(run) => (
          <tr data-run>
            <td class="time">{when(run.at, utc())}</td><td class="time">{when(run.window_start, utc(), false)} – {when(run.window_end, utc(), false)}</td>
            <Show when={run.error} fallback={<><td class="number">{number(run.matched ?? 0)}</td><td class="number">{number(run.alerts)}<Show when={run.beyond}> <span class="problem">{t("beyondGroups")}</span></Show></td></>}>{(error) => <td colspan={2} class="problem">{visible(error())}</td>}</Show>
            <td class="number">{number(run.took_ms)} ms</td>
          </tr>
        )}</For></tbody>
      </table></div>
      <Show when={asking()}>
        <Modal label={t("delete")} close={() => setAsking(false)}>
          <h2>{t("deleteAsk")}</h2>
          <div class="tools"><button class="primary" autofocus onClick={() => { setAsking(false); void remove(); }}>{t("delete")}</button><button onClick={() => setAsking(false)}>{t("cancel")}</button></div>
        </Modal>
      </Show>
    </Panel>
  );
}

/** What a person may change, apart from the list, which is looked at again and again. */
const textOf = (search: SavedSearch): SearchText => ({
  name: search.name, query: search.query, range: search.range, columns: [...search.columns], sort: search.sort,
  schedule: search.schedule && { ...search.schedule },
});
const begin = (text: SearchText): Schedule => ({ every_minutes: 5, condition: ">", count: 0, group_by: null, level: "medium", title: text.name, message: "" });

function Range(props: { value: string; choose: (range: string) => void }) {
  return (
    <select name="saved-range" onChange={(e) => props.choose(e.currentTarget.value)}>
      <Show when={!RANGES.some(([value]) => value === props.value)}><option value={props.value} selected>{visible(props.value)}</option></Show>
      <For each={RANGES}>{([value, name]) => <option value={value} selected={value === props.value}>{t(name)}</option>}</For>
    </select>
  );
}

function ScheduleForm(props: { schedule: Schedule; query: string; write: (part: Partial<Schedule>) => void }) {
  const trying = act();
  const [found, setFound] = createSignal<{ matched: number; alerts: { group: Record<string, string>; count: number }[] }>();
  const attempt = () => trying.run(async (signal) => {
    setFound(undefined);
    setFound(await post("/searches/try", { query: props.query, schedule: props.schedule }, signal));
  });
  const none = (): boolean => props.schedule.condition === "none";
  return (
    <fieldset class="form">
      <legend>{t("schedule")}</legend>
      <div class="pair">
        <label>{t("everyMinutes")} <input type="number" name="every" min={1} max={1440} required value={props.schedule.every_minutes} onInput={(e) => props.write({ every_minutes: e.currentTarget.valueAsNumber || 1 })} /></label>
        <label>{t("condition")} <select name="condition" onChange={(e) => props.write({ condition: e.currentTarget.value as Condition, ...(e.currentTarget.value === "none" ? { count: 0, group_by: null } : {}) })}>
          <For each={CONDITIONS}>{(one) => <option value={one} selected={one === props.schedule.condition}>{one === "none" ? t("nothingCame") : one}</option>}</For>
        </select></label>
        <label>{t("threshold")} <input type="number" name="count" min={0} disabled={none()} value={props.schedule.count} onInput={(e) => props.write({ count: e.currentTarget.valueAsNumber || 0 })} /></label>
        <label>{t("level")} <select name="level" onChange={(e) => props.write({ level: e.currentTarget.value })}><For each={LEVELS}>{(level) => <option value={level} selected={level === props.schedule.level}>{t(level)}</option>}</For></select></label>
      </div>
      <label>{t("groupBy")} <select name="group" disabled={none()} onChange={(e) => props.write({ group_by: e.currentTarget.value || null })}>
        <option value="">–</option>
        <For each={[...new Set([...(fieldNames() ?? []), ...(props.schedule.group_by ? [props.schedule.group_by] : [])])]}>{(name) => <option value={name} selected={name === props.schedule.group_by}>{visible(name)}</option>}</For>
      </select></label>
      <label>{t("alertTitle")} <input name="alert-title" required maxlength={200} value={props.schedule.title} onInput={(e) => props.write({ title: e.currentTarget.value })} autocomplete="off" /></label>
      <label>{t("message")} <textarea name="message" rows={3} maxlength={4000} value={props.schedule.message} onInput={(e) => props.write({ message: e.currentTarget.value })} /></label>
      <div class="tools"><button type="button" disabled={trying.busy()} onClick={() => void attempt()}>{t("try")}</button>
        <Show when={found()}>{(f) => <span role="status" data-tried={f().matched}>{t("tried")}: <b>{number(f().matched)}</b> {t("hits")}, <b>{number(f().alerts.length)}</b> {t("wouldAlert")}</span>}</Show>
      </div>
      <Show when={found()?.alerts.some((one) => Object.keys(one.group).length > 0)}>
        <p><For each={found()!.alerts.slice(0, 10)}>{(one) => <span class="chip">{Object.values(one.group).map(visible).join(" ")} <span class="dim">{number(one.count)}</span></span>}</For></p>
      </Show>
      <Show when={trying.problem()} keyed>{(problem) => <Wrong problem={problem} query={props.query} />}</Show>
    </fieldset>
  );
}

/** Asks under which name a search is saved, and of which range: one between two instants would find the same for ever. */
export function SaveDialog(props: { search: Omit<SearchText, "name" | "schedule">; fixed: boolean; close: () => void }) {
  const [name, setName] = createSignal("");
  const [range, setRange] = createSignal(props.search.range);
  const saving = act();
  const save = () => saving.run(async (signal) => {
    const saved = await post<SavedSearch>("/searches", { ...props.search, range: range(), name: name().trim(), schedule: null }, signal);
    go(address("/searches", { s: saved.id }));
  });
  return (
    <Modal label={t("saveSearch")} close={props.close}>
      <form onSubmit={(e) => { e.preventDefault(); void save(); }}>
        <h2>{t("saveSearch")}</h2>
        <label>{t("name")} <input name="name" value={name()} required autofocus maxlength={200} onInput={(e) => setName(e.currentTarget.value)} autocomplete="off" /></label>
        <p><span class="dim">{t("query")}:</span> <span class="mono">{visible(props.search.query) || t("everything")}</span></p>
        <label>{t("range")} <Range value={range()} choose={setRange} /></label>
        <Show when={props.fixed}><p class="dim">{t("rangeMoves")}</p></Show>
        <Show when={saving.problem()} keyed>{(problem) => <Wrong problem={problem} query={props.search.query} />}</Show>
        <div class="tools"><button class="primary" disabled={saving.busy()}>{t("save")}</button><button type="button" onClick={() => props.close()}>{t("cancel")}</button><span class="grow" /><Anchor to="/searches">{t("saved")}</Anchor></div>
      </form>
    </Modal>
  );
}
