import { For, Show, createMemo, createResource, createSignal } from "solid-js";
import { act } from "./act";
import { Anchor } from "./anchor";
import { type Explanation, type GivenUp, type LogSource, type Mode, type Part, type Rule, type Rules, Problem, ask, get, post } from "./api";
import { type Key, has, number, pick, t, utc } from "./i18n";
import { Freshness, Level, Panel, Wrong } from "./parts";
import { address, change, parameter } from "./place";
import { kept, poll } from "./poll";
import { visible, when } from "./text";

const LOOK_EVERY = 10_000;
/** Rules that are listed at once: what is beyond is found by the filter. */
const SHOWN = 300;
export const MODES: readonly (readonly [Mode, Key])[] = [["alert", "modeAlert"], ["record", "modeRecord"], ["off", "modeOff"]];
const modeName = (mode: Mode): string => t(MODES.find(([one]) => one === mode)![1]);
const logSource = (source: LogSource): string => [source.product, source.category, source.service].filter(Boolean).map((part) => visible(part!)).join(" / ") || "*";
/** A rule's title in the language of the screen. */
const titleOf = (rule: Rule): string => visible(pick(rule.titles) ?? rule.title);
/** What kind of rule it is, in words. */
const kindName = (kind: string): string => (has(`kind_${kind}`) ? t(`kind_${kind}` as Key) : visible(kind));
/** A behaviour looks at conversations, not at events one by one: what is counted of events says nothing of it. */
const ofEvents = (rule: Rule, n: number): string => (rule.kind === "behaviour" ? "–" : number(n));
/** ATT&CK techniques of a rule, as they are called: T1110.003. */
const techniques = (rule: Rule): string[] => rule.tags.flatMap((tag) => /^attack\.(t\d.*)$/.exec(tag)?.[1]?.toUpperCase() ?? []);

/** The rules in force: what they found and cost, their modes, what they wait for in vain, and why one matches an event. */
export function RulesPage() {
  const list = poll((signal) => get<Rules>("/rules", signal), LOOK_EVERY);
  const rules = kept(() => list.data()?.rules ?? []);
  const wanted = (): string => parameter("q").toLowerCase();
  const mode = (): string => parameter("mode");
  const listed = createMemo(() => {
    const words = wanted().split(/\s+/).filter(Boolean);
    const found = rules().filter((rule) => (!mode() || rule.mode === mode()) && words.every((word) => `${rule.title} ${Object.values(rule.titles ?? {}).join(" ")} ${rule.id} ${rule.tags.join(" ")} ${rule.level} ${logSource(rule.log_source)}`.toLowerCase().includes(word)));
    return found.sort((a, b) => b.matches - a.matches || (b.last_match ?? "").localeCompare(a.last_match ?? "") || titleOf(a).localeCompare(titleOf(b)));
  });
  const chosen = createMemo(() => rules().find((rule) => rule.id === parameter("r")));
  const loading = act();
  const [loaded, setLoaded] = createSignal<number>();
  const reload = () => loading.run(async (signal) => {
    setLoaded(undefined);
    setLoaded((await post<{ rules: number }>("/rules/reload", {}, signal)).rules);
    await list.again();
  });
  return (
    <>
      <div class="tools">
        <input name="rule-filter" type="search" aria-label={t("filter")} placeholder={t("filter")} value={parameter("q")} onInput={(e) => change({ q: e.currentTarget.value })} autocomplete="off" />
        <div class="tabs" role="group" aria-label={t("mode")}>
          <button aria-pressed={mode() === ""} onClick={() => change({ mode: "" })}>{t("all")}</button>
          <For each={MODES}>{([value, name]) => <button aria-pressed={mode() === value} onClick={() => change({ mode: value })}>{t(name)}</button>}</For>
        </div>
        <span class="dim"><b data-rules>{number(listed().length)}</b> {t("rulesListed")}</span>
        <span class="grow" />
        <Show when={list.data()?.loaded}>{(at) => <span class="dim time">{t("loaded")}: {when(at(), utc())}</span>}</Show>
        <button disabled={loading.busy()} onClick={() => void reload()}>{t("reload")}</button>
        <Show when={loaded() !== undefined}><span role="status">{t("reloaded")}: {number(loaded()!)}</span></Show>
      </div>
      <Freshness of={list} />
      <Show when={parameter("event") && !chosen()}><p class="gap" role="status" data-choose-rule>{t("chooseRule")} <span class="mono">{visible(parameter("event"))}</span></p></Show>
      <Show when={loading.problem()} keyed>{(problem) => <><Wrong problem={problem} /><pre class="problem rawtext">{visible(problem.message)}</pre></>}</Show>
      <Show when={list.data()?.failure}>{(failure) => <div class="stale" role="status">{t("loadFailed")}<pre class="mono">{visible(failure())}</pre></div>}</Show>
      <Show when={list.data()?.refused.some((problem) => problem.refused)}>
        <details class="panel gap"><summary>{t("refused")} ({number(list.data()!.refused.filter((p) => p.refused).length)})</summary>
          <ul class="policy"><For each={list.data()!.refused.filter((p) => p.refused).slice(0, 200)}>{(p) => <li><span class="mono">{visible(p.path)}:{p.line}</span> {visible(p.reason)} <span class="dim">{visible(p.hint ?? "")}</span></li>}</For></ul>
        </details>
      </Show>
      <div class="inbox" classList={{ split: chosen() !== undefined }}>
        <section class="panel flush" aria-label={t("rules")}>
          <div class="scroll"><table class="cards rules">
            <thead><tr><th>{t("level")}</th><th>{t("title")}</th><th>{t("mode")}</th><th class="number">{t("hitsOfRule")}</th><th class="number">{t("alerts")}</th><th class="number wide" title={t("costHint")}>{t("cost")}</th><th class="wide">{t("lastHit")}</th><th class="wide">{t("attack")}</th></tr></thead>
            <tbody><For each={listed().slice(0, SHOWN)} fallback={<tr><td colspan={8} class="dim empty">{list.data() ? t("none") : t("loading")}</td></tr>}>{(rule) => (
              <tr class="row" classList={{ selected: rule.id === chosen()?.id }} data-rule={rule.id} onClick={() => change({ r: rule.id })}>
                <td><Level level={rule.level} /></td>
                <td class="what"><button class="plain" onClick={(e) => { e.stopPropagation(); change({ r: rule.id }); }}>{titleOf(rule)}</button></td>
                <td class="nowrap" data-mode={rule.mode}>{modeName(rule.mode)}</td>
                <td class="number" data-label={t("hitsOfRule")}>{ofEvents(rule, rule.matches)}</td><td class="number" data-label={t("alerts")}>{number(rule.alerts)}</td><td class="number wide">{ofEvents(rule, rule.cost.tests)}</td>
                <td class="time wide">{rule.last_match ? when(rule.last_match, utc()) : ""}</td>
                <td class="wide"><For each={techniques(rule)}>{(technique) => <span class="chip">{visible(technique)}</span>}</For></td>
              </tr>
            )}</For></tbody>
          </table></div>
          <Show when={listed().length > SHOWN}><p class="dim pad">{t("showLess")}</p></Show>
        </section>
        <Show when={chosen()?.id} keyed>{(_id) => <RulePanel rule={chosen()!} again={list.again} close={() => change({ r: "" })} />}</Show>
      </div>
      <Show when={list.data()?.unmapped.length}>
        <details class="panel gap"><summary>{t("unmapped")} ({number(list.data()!.unmapped.length)})</summary>
          <div class="scroll"><table class="unmapped">
            <thead><tr><th>{t("logSource")}</th><th class="number">{t("rules")}</th><th>{t("missingFields")}</th></tr></thead>
            <tbody><For each={list.data()!.unmapped}>{(gap) => (
              <tr><td class="mono">{logSource(gap.log_source)}</td><td class="number">{number(gap.rules)}</td>
                <td>{gap.seen ? <For each={gap.fields}>{([name, count]) => <span class="chip">{visible(name)} <span class="dim">{number(count)}</span></span>}</For> : <span class="dim">{t("neverSeen")}</span>}</td></tr>
            )}</For></tbody>
          </table></div>
        </details>
      </Show>
    </>
  );
}

function RulePanel(props: { rule: Rule; again: () => Promise<void>; close: () => void }) {
  const setting = act();
  const [comment, setComment] = createSignal("");
  const [history, setHistory] = createSignal<{ mode: Mode; at: string; actor: string; comment: string | null }[]>([]);
  const path = (): string => `/rules/${encodeURIComponent(props.rule.id)}`;
  const set = (mode: Mode) => setting.run(async (signal) => {
    const body = { mode, ...(comment().trim() ? { comment: comment().trim() } : {}) };
    const done = await ask<{ history: ReturnType<typeof history> }>(path(), { method: "PATCH", body, signal });
    setHistory(done.history);
    setComment("");
    await props.again();
  });
  return (
    <Panel label={t("rule")} close={props.close} back={() => document.querySelector("tr.selected button")}>
      <div class="tools head"><h2 class="grow">{t("rule")}</h2><button onClick={() => props.close()}>{t("closeIt")} <kbd>Esc</kbd></button></div>
      <p class="said">{titleOf(props.rule)}</p>
      <p class="facts"><Level level={props.rule.level} /><span>{kindName(props.rule.kind)}</span><span>{t("status")}: {visible(props.rule.status)}</span><Show when={props.rule.clause}>{(clause) => <span>§{visible(clause())}</span>}</Show></p>
      <div class="tools acts" role="group" aria-label={t("mode")}>
        <div class="tabs"><For each={MODES}>{([value, name]) => <button aria-pressed={props.rule.mode === value} disabled={setting.busy()} onClick={() => void set(value)}>{t(name)}</button>}</For></div>
        <label class="grow">{t("changeReason")} <input name="mode-comment" value={comment()} onInput={(e) => setComment(e.currentTarget.value)} autocomplete="off" /></label>
        <Show when={props.rule.kind !== "behaviour"}><Anchor class="button" to={address("/backtests", { rule: props.rule.id })}>{t("backtests")}</Anchor></Show>
      </div>
      <Show when={setting.problem()} keyed>{(problem) => <Wrong problem={problem} />}</Show>
      <Show when={history().length > 0}><ol class="timeline"><For each={history().slice().reverse()}>{(one) => <li class="action"><span class="time">{when(one.at, utc())}</span> <b>{visible(one.actor)}</b> {modeName(one.mode)} <Show when={one.comment}>{(text) => <span class="said">{visible(text())}</span>}</Show></li>}</For></ol></Show>
      <dl class="advice">
        <dt>{t("logSource")}</dt><dd class="mono">{logSource(props.rule.log_source)}</dd>
        <dt>{t("tags")}</dt><dd><For each={props.rule.tags}>{(tag) => <span class="chip">{visible(tag)}</span>}</For></dd>
        <dt>{t("path")}</dt><dd class="mono">{visible(props.rule.path)} <span class="dim">{visible(props.rule.id)}</span></dd>
        <dt>{t("alerts")}</dt><dd><Anchor to={address("/alerts", { rule: props.rule.id, status: "all" })}>{number(props.rule.alerts)}</Anchor></dd>
        <dt>{t("hitsOfRule")}</dt><dd>{ofEvents(props.rule, props.rule.matches)} <Show when={props.rule.last_match}>{(at) => <span class="dim">{t("lastHit")}: {when(at(), utc())}</span>}</Show></dd>
        <Show when={props.rule.kind !== "behaviour"}>
          <dt>{t("evaluated")}</dt><dd>{number(props.rule.cost.evaluated)}</dd>
          <dt>{t("tests")}</dt><dd>{number(props.rule.cost.tests)}</dd>
          <dt>{t("textBytes")}</dt><dd>{number(props.rule.cost.text_bytes)}</dd>
        </Show>
        <For each={(Object.entries(props.rule.given_up ?? {}) as [GivenUp, number][]).filter(([, count]) => count > 0)}>{([what, count]) => <><dt>{t(what)}</dt><dd data-given-up={what}>{number(count)}</dd></>}</For>
      </dl>
      <Text rule={props.rule.id} />
      <Show when={props.rule.kind !== "behaviour"} fallback={<p class="dim" data-behaviour>{t("behaviourHint")}</p>}><Explain rule={props.rule.id} /></Show>
    </Panel>
  );
}

/** What the rule says, as the audit trail keeps it: what it is for, its condition, its parameters. */
function Text(props: { rule: string }) {
  const [open, setOpen] = createSignal(false);
  const [found] = createResource(
    () => open() && props.rule,
    (id) => get<{ since: string; texts: { text: string }[] }>(`/audit/rules/${encodeURIComponent(id)}`).catch(() => undefined),
  );
  return (
    <details onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary>{t("ruleSays")}</summary>
      <Show when={!found.loading && found()} keyed fallback={<p class="dim">{t(found.loading ? "loading" : "none")}</p>}>{(said) => (
        <><p class="dim">{t("since")}: {when(said.since, utc())}</p><For each={said.texts}>{(one) => <pre class="rawtext" data-rule-text>{visible(one.text)}</pre>}</For></>
      )}</Show>
    </details>
  );
}

/** Why the rule matches an event, or not. */
function Explain(props: { rule: string }) {
  const event = createMemo(() => parameter("event"));
  const [found] = createResource(
    () => (event() ? { rule: props.rule, event: event() } : undefined),
    ({ rule, event }) => get<{ holds: boolean; explanation: Explanation }>(address(`/rules/${encodeURIComponent(rule)}/explain`, { event })).catch((error: unknown) => (error instanceof Problem ? error : undefined)),
  );
  return (
    <>
      <h3>{t("explain")}</h3>
      <form class="query" onSubmit={(e) => { e.preventDefault(); change({ event: new FormData(e.currentTarget).get("event")?.toString().trim() ?? "" }); }}>
        <input name="event" class="mono" aria-label={t("eventId")} placeholder={`${t("eventId")} (0-123-0)`} value={event()} autocomplete="off" /><button>{t("explain")}</button>
      </form>
      <Show when={!found.loading && found()} keyed fallback={<Show when={found.loading}><p class="dim">{t("loading")}</p></Show>}>{(answer) => (
        answer instanceof Problem ? <Wrong problem={answer} /> : <>
          <p><b class={answer.holds ? "allowed" : "denied"} data-holds={String(answer.holds)}>{t(answer.holds ? "holds" : "holdsNot")}</b></p>
          <Explained of={answer.explanation} />
        </>
      )}</Show>
    </>
  );
}

function Explained(props: { of: Explanation }) {
  const named = (pairs: [string, string | null][]): string => pairs.map(([name, value]) => `${visible(name)} = ${value === null ? "–" : visible(value)}`).join(", ");
  return (
    <>
      <Show when={!props.of.eligible}><p class="problem">{t("notEligible")}</p></Show>
      <Show when={props.of.condition}>{(part) => <ul class="tree"><PartOf part={part()} /></ul>}</Show>
      <For each={props.of.feeds}>{(feed) => <div class="feed"><p class="said">{visible(feed.rule.title)} <span class="dim">{named([...feed.group, ...feed.values])}</span></p><Explained of={feed.rule} /></div>}</For>
    </>
  );
}

function PartOf(props: { part: Part }) {
  return (
    <li>
      <span class={props.part.holds ? "allowed" : "denied"} /> <Show when={props.part.name}>{(name) => <b class="mono">{visible(name())}: </b>}</Show><span class="mono">{visible(props.part.asks)}</span>
      <Show when={props.part.found?.length}> <span class="mono dim">← {props.part.found!.map(visible).join(", ")}</span></Show>
      <Show when={props.part.parts?.length}><ul class="tree"><For each={props.part.parts}>{(part) => <PartOf part={part} />}</For><Show when={props.part.hidden}><li class="dim">… {number(props.part.hidden)}</li></Show></ul></Show>
    </li>
  );
}
