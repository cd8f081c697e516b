import { For, Show, createEffect, createMemo, createResource, createSignal, on, onCleanup } from "solid-js";
import { type Hit, Problem, type SearchAnswer, get, post, problemOf } from "./api";
import { EventPanel, summary } from "./event";
import { ExportDialog } from "./export";
import { Facets, facetFields } from "./facets";
import { Histogram } from "./histogram";
import { keys } from "./keys";
import { number, t, utc } from "./i18n";
import { Wrong } from "./parts";
import { change, go, parameter } from "./place";
import { QueryField, fieldNames } from "./query";
import { SaveDialog } from "./saved";
import { instant, meant, narrow, renamed, show, visible, when, zoneless } from "./text";

export const RANGES = [["now-15m", "m15", 15], ["now-1h", "h1", 60], ["now-24h", "h24", 1440], ["now-7d", "d7", 10_080], ["now-30d", "d30", 43_200]] as const;
const LACKS = { stopped: "incomplete", behind: "behind", missing: "missingPart", fields: "tooManyFields", unread: "unreadMessages" } as const;
const PAGE = 100;
const MINUTE = 60_000;

/** The ends of the chosen range in milliseconds; none where the address has what is no time that we offer. */
export function ends(from: string, to: string): [number, number] | undefined {
  const now = Date.now();
  const [begin, end] = [instant(from, now), instant(to || "now", now)];
  return begin <= end ? [begin, end] : undefined;
}

/** Search: query and range stand in the address; what is typed too, so that a reload loses nothing. */
export function SearchPage() {
  const query = createMemo(() => parameter("q"));
  const from = createMemo(() => parameter("from") || "now-1h");
  const to = createMemo(() => parameter("to"));
  const columns = createMemo(() => parameter("cols").split(",").filter(Boolean));
  const sort = createMemo(() => parameter("sort") || "desc");
  const [saving, setSaving] = createSignal(false);
  const [exporting, setExporting] = createSignal(false);
  const [answer, setAnswer] = createSignal<SearchAnswer>();
  const [asked, setAsked] = createSignal(ends(from(), to()));
  const [hits, setHits] = createSignal<Hit[]>([]);
  const [problem, setProblem] = createSignal<Problem>();
  const [busy, setBusy] = createSignal(false);
  const [at, setAt] = createSignal<number>();
  let running: AbortController | undefined;
  let input!: HTMLInputElement;

  const run = async (cursor?: string): Promise<void> => {
    running?.abort();
    const own = (running = new AbortController());
    setBusy(true);
    try {
      const aggs = { hist: { date_histogram: {} }, ...Object.fromEntries(facetFields().map((field) => [field, { terms: { field, size: 8 } }])) };
      const range = ends(from(), to());
      const body = { query: query(), from: from(), ...(to() ? { to: to() } : {}), size: PAGE, sort: sort(), ...(cursor ? { cursor } : { aggs }) };
      const found = await post<SearchAnswer>("/search", body, own.signal);
      setProblem(undefined);
      if (cursor) {
        setHits((before) => [...before, ...found.hits]);
        setAnswer((before) => before && { ...before, cursor: found.cursor });
      } else {
        setAsked(range);
        setAnswer(found);
        setHits(found.hits);
        setAt(undefined);
      }
    } catch (error) {
      if (own.signal.aborted) return;
      setProblem(problemOf(error));
    } finally {
      if (running === own) setBusy(false);
    }
  };
  onCleanup(() => running?.abort());
  const stop = (): void => {
    running?.abort();
    setBusy(false);
    setProblem(new Problem(0, "stopped", ""));
  };
  // A new address by link, by the way back, or by a choice of the range is a new search; one that is being typed is not.
  const [submitted, setSubmitted] = createSignal(0);
  let typed = false;
  createEffect(on([submitted, from, to, query, sort], () => {
    if (!typed) void run();
    typed = false;
  }));
  const type = (text: string): void => {
    typed = text !== query();
    change({ q: text });
  };
  const submit = (): void => {
    change({ e: "" });
    setSubmitted((n) => n + 1);
  };
  const add = (added: string, negate: boolean): void => change({ q: narrow(query(), added, negate), e: "" }, true);
  const zoom = (a: string, b: string): void => change({ from: a, to: b, e: "" }, true);
  const widen = (): void => {
    const [begin, end] = ends(from(), to()) ?? [Date.now() - MINUTE, Date.now()];
    const length = Math.max(end - begin, MINUTE);
    zoom(new Date(begin - length / 2).toISOString(), new Date(Math.min(end + length / 2, Date.now())).toISOString());
  };
  // The open event stands in the address too.
  const eventId = createMemo(() => parameter("e"));
  const [single] = createResource(
    () => (eventId() && !hits().some((h) => h.id === eventId()) ? eventId() : undefined),
    (id) => get<Hit>(`/events/${encodeURIComponent(id)}`).catch(() => undefined),
  );
  const event = (): Hit | undefined => (eventId() ? (hits().find((h) => h.id === eventId()) ?? single.latest) : undefined);
  const open = (hit: Hit): void => {
    const index = hits().findIndex((h) => h.id === hit.id);
    if (index >= 0) setAt(index);
    change({ e: hit.id });
  };
  const move = (by: number): void => {
    if (hits().length === 0) return;
    const next = at() === undefined ? 0 : Math.max(0, Math.min(hits().length - 1, at()! + by));
    setAt(next);
    document.querySelector(`[data-hit="${hits()[next]!.id}"]`)?.scrollIntoView({ block: "nearest" });
    if (eventId()) change({ e: hits()[next]!.id });
  };
  keys({
    "/": () => { input.focus(); input.select(); },
    j: () => move(1),
    k: () => move(-1),
    Enter: () => { if (at() !== undefined && hits()[at()!]) open(hits()[at()!]!); },
  });
  const choose = (value: string): void => {
    if (value) { change({ from: value, to: "", e: "" }, true); return; }
    const [begin, end] = ends(from(), to()) ?? [Date.now() - MINUTE, Date.now()];
    zoom(new Date(begin).toISOString(), new Date(end).toISOString());
  };
  // As a person writes it, in the time zone that is shown.
  const local = (text: string): string => (Number.isNaN(instant(text)) ? "" : when(new Date(instant(text)).toISOString(), utc()).replace(" ", "T"));
  const written = (text: string): string => new Date(`${text.length === 16 ? `${text}:00` : text}${utc() ? "Z" : "+09:00"}`).toISOString();
  const custom = (): boolean => to() !== "" || !RANGES.some(([value]) => value === from());
  const rangeName = (): string => {
    const [begin, end] = ends(from(), to()) ?? [];
    const known = custom() ? undefined : RANGES.find(([value]) => value === from());
    if (known) return t(known[1]);
    return begin === undefined ? `${from()} – ${to()}` : [begin, end!].map((at) => when(new Date(at).toISOString(), utc())).join(" – ");
  };
  return (
    <>
      <form class="query" role="search" onSubmit={(e) => { e.preventDefault(); submit(); }}>
        <QueryField value={query()} input={type} ref={(field) => (input = field)} />
        <select name="range" aria-label={t("range")} onChange={(e) => choose(e.currentTarget.value)}>
          <For each={RANGES}>{([value, name]) => <option value={value} selected={!custom() && from() === value}>{t(name)}</option>}</For>
          <option value="" selected={custom()}>{t("custom")}…</option>
        </select>
        <Show when={custom()}>
          <input type="datetime-local" step={1} name="from" aria-label={t("rangeFrom")} value={local(from())} onChange={(e) => e.currentTarget.value && change({ from: written(e.currentTarget.value), e: "" }, true)} />
          <span class="dim">–</span>
          <input type="datetime-local" step={1} name="to" aria-label={t("rangeTo")} value={local(to())} onChange={(e) => change({ to: e.currentTarget.value && written(e.currentTarget.value), e: "" }, true)} />
        </Show>
        <button type="button" onClick={widen}>{t("wider")}</button>
        <button class="primary">{t("run")}</button>
        <button type="button" onClick={() => setSaving(true)}>{t("save")}…</button>
        <button type="button" onClick={() => setExporting(true)}>{t("export")}…</button>
      </form>
      <Show when={busy()}><p class="late tools" role="status">{t("searching")} <button type="button" class="small" onClick={stop}>{t("cancel")}</button></p></Show>
      <Show when={!utc() && zoneless(query())}><p class="dim gap" data-zoneless>{t("zoneless")}</p></Show>
      <Show when={exporting()}><ExportDialog search={{ query: query(), from: from(), to: to() }} range={rangeName()} columns={columns()} total={busy() || problem() ? undefined : answer()?.total} close={() => setExporting(false)} /></Show>
      <Show when={saving()}><SaveDialog search={{ query: query(), range: /^now-\d+[smhd]$/.test(from()) && !to() ? from() : "now-24h", columns: columns(), sort: sort() }} fixed={to() !== "" || !from().startsWith("now-")} close={() => setSaving(false)} /></Show>
      <Show when={problem()} keyed>{(p) => <Wrong problem={p} query={query()} />}</Show>
      <div class="results" classList={{ busy: busy() || problem() !== undefined, split: event() !== undefined }}>
        <Facets answer={answer()} narrow={add} changed={() => void run()} />
        <section class="panel flush" aria-label={t("search")} aria-busy={busy()} hidden={answer() === undefined && problem() !== undefined}>
          <Show when={answer()} keyed fallback={<p class="dim pad">{problem() ? "" : t("loading")}</p>}>{(a) => (
            <>
              <div class="tools pad"><span role="status"><b data-total={a.total}>{number(a.total)}</b> {t("hits")}</span> <span class="dim">{a.took_ms} ms</span><For each={a.incomplete ?? []}>{(lack) => <span class="problem" title={lack.detail}>{t(LACKS[lack.code])}</span>}</For>
                <Show when={a.unknown_fields}>{(names) => <span class="problem" data-unknown-fields>{t("unknownFields")}: {names().map(visible).join(", ")}<For each={names()}>{(name) => <For each={meant(name, fieldNames() ?? [])}>{(other) => <> <button class="small" onClick={() => change({ q: renamed(query(), name, other), e: "" }, true)}>{visible(other)}?</button></>}</For>}</For></span>}</Show>
                <span class="grow" />
                <label>{t("sort")} <select name="sort" onChange={(e) => change({ sort: e.currentTarget.value, e: "" }, true)}>
                  <For each={[...new Set(["desc", "asc", ...columns().flatMap((name) => [name, `-${name}`]), sort()])]}>{(one) => <option value={one} selected={one === sort()}>{sortName(one)}</option>}</For>
                </select></label>
                <select name="column" aria-label={t("addColumn")} onChange={(e) => { const name = e.currentTarget.value; e.currentTarget.value = ""; if (name) change({ cols: [...columns(), name].join(",") }); }}>
                  <option value="">＋ {t("addColumn")}</option>
                  <For each={(fieldNames() ?? []).filter((name) => !columns().includes(name))}>{(name) => <option value={name}>{visible(name)}</option>}</For>
                </select>
              </div>
              <Show when={a.aggs["hist"]} keyed>{(agg) => <Histogram agg={agg} range={asked()} zoom={zoom} />}</Show>
            </>
          )}</Show>
          <Show when={answer()}><HitTable hits={hits()} columns={columns()} drop={(name) => change({ cols: columns().filter((one) => one !== name).join(",") })} selected={event()?.id ?? hits()[at() ?? -1]?.id} open={open} /></Show>
          <Show when={answer()?.cursor} keyed>{(cursor) => <div class="tools pad"><button onClick={() => void run(cursor)}>{t("more")}</button></div>}</Show>
        </section>
        <Show when={event()?.id} keyed>{(_id) => <EventPanel hit={event()!} close={() => change({ e: "" })} narrow={add} column={(name) => change({ cols: columns().includes(name) ? columns().filter((one) => one !== name).join(",") : [...columns(), name].join(",") })} step={move} show={(hit) => (hits().some((h) => h.id === hit.id) ? open(hit) : go(`/search?${new URLSearchParams({ q: query(), from: from(), ...(to() ? { to: to() } : {}), cols: columns().join(","), e: hit.id })}`, true))} />}</Show>
      </div>
    </>
  );
}

const sortName = (sort: string): string => {
  if (sort === "desc" || sort === "asc") return t(sort === "desc" ? "newestFirst" : "oldestFirst");
  return sort.startsWith("-") ? `${visible(sort.slice(1))} ${t("descending")}` : `${visible(sort)} ${t("ascending")}`;
};

/** Hits, one a row: when, of which kind, who to whom, what, and the record; or when, and the fields that a person has chosen. */
export function HitTable(props: { hits: Hit[]; columns?: string[]; drop?: (name: string) => void; selected?: string | undefined; empty?: string; open: (hit: Hit) => void }) {
  const field = (hit: Hit, name: string): string => (hit.fields[name] === undefined ? "" : show(hit.fields[name]));
  const end = (hit: Hit, side: string): string => [field(hit, `${side}.ip`), field(hit, `${side}.port`)].filter(Boolean).join(" : ");
  const chosen = (): string[] => props.columns ?? [];
  return (
    <div class="scroll">
      <Show when={chosen().length === 0} fallback={
        <table class="hits chosen">
          <thead><tr><th>{t("time")}</th><For each={chosen()}>{(name) => <th class="mono">{visible(name)} <button class="small plain" aria-label={`${t("removeFacet")} ${visible(name)}`} title={t("removeFacet")} onClick={() => props.drop?.(name)}>×</button></th>}</For></tr></thead>
          <tbody>
            <For each={props.hits} fallback={<tr><td colspan={chosen().length + 1} class="dim empty">{props.empty ?? t("noHits")}</td></tr>}>{(hit) => (
              <tr class="row" classList={{ selected: hit.id === props.selected }} onClick={() => props.open(hit)} data-hit={hit.id}>
                <td class="time"><button class="plain" aria-label={`${t("event")} ${when(hit.time, utc())}`} onClick={(e) => { e.stopPropagation(); props.open(hit); }}>{when(hit.time, utc())}</button></td>
                <For each={chosen()}>{(name) => <td class="mono">{field(hit, name)}</td>}</For>
              </tr>
            )}</For>
          </tbody>
        </table>
      }>
      <table class="hits">
        <thead><tr><th>{t("time")}</th><th>{t("format")}</th><th class="wide">{t("source")}</th><th class="wide">{t("destination")}</th><th class="wide">{t("action")}</th><th>{t("raw")}</th></tr></thead>
        <tbody>
          <For each={props.hits} fallback={<tr><td colspan={6} class="dim empty">{props.empty ?? t("noHits")}</td></tr>}>{(hit) => (
            <tr class="row" classList={{ selected: hit.id === props.selected }} onClick={() => props.open(hit)} data-hit={hit.id}>
              <td class="time"><button class="plain" aria-label={`${t("event")} ${when(hit.time, utc())}`} onClick={(e) => { e.stopPropagation(); props.open(hit); }}>{when(hit.time, utc())}</button></td>
              <td class="nowrap">{field(hit, "mihari.format")}</td>
              <td class="mono nowrap wide">{end(hit, "source")}</td>
              <td class="mono nowrap wide">{end(hit, "destination")}</td>
              <td class="nowrap wide"><span class="clip">{field(hit, "event.action")}</span></td>
              <td class="mono"><span class="two-lines">{summary(hit)}</span></td>
            </tr>
          )}</For>
        </tbody>
      </table>
      </Show>
    </div>
  );
}
