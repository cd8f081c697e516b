import { For, Show, createEffect, createSignal, onCleanup, onMount } from "solid-js";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { type Agg, type Hit, Problem, type SearchAnswer, follow, get, post } from "./api";
import { EventDrawer } from "./event";
import { language, t, utc } from "./i18n";
import { condition, narrow, show, visible, when } from "./text";

const FACETS = ["mihari.format", "source.ip", "destination.ip", "event.action", "user.name", "policy.verdict"];
const RANGES = [["now-15m", "m15"], ["now-1h", "h1"], ["now-24h", "h24"], ["now-7d", "d7"]] as const;
/** Live hits that are kept on the screen. */
const LIVE_MAX = 500;

function Histogram(props: { agg: Agg; zoom: (from: string, to: string) => void }) {
  let box!: HTMLDivElement;
  let plot: uPlot | undefined;
  createEffect(() => {
    const buckets = props.agg.buckets;
    const xs = buckets.map((b) => Date.parse(b.key) / 1000);
    plot?.destroy();
    box.replaceChildren();
    if (xs.length === 0) return;
    const step = (props.agg.interval_ms ?? 1000) / 1000;
    const color = getComputedStyle(document.documentElement).getPropertyValue("color-scheme") && getComputedStyle(box).color;
    plot = new uPlot({
      width: box.clientWidth || 600, height: 130, legend: { show: false }, cursor: { drag: { x: true, y: false, setScale: false } },
      scales: { x: { range: [xs[0]! - step / 2, xs[xs.length - 1]! + step] }, y: { range: (_u, _min, max) => [0, Math.max(1, max)] } },
      tzDate: (ts) => uPlot.tzDate(new Date(ts * 1e3), utc() ? "Etc/UTC" : "Asia/Tokyo"),
      axes: [{ stroke: color }, { stroke: color, size: 60 }],
      series: [{}, { stroke: "#3b82c4", fill: "#3b82c488", paths: uPlot.paths.bars!({ size: [0.9, 60] }), points: { show: false } }],
      hooks: { setSelect: [(u) => {
        if (u.select.width < 4) return;
        const at = (px: number): string => new Date(u.posToVal(px, "x") * 1000).toISOString();
        props.zoom(at(u.select.left), at(u.select.left + u.select.width));
      }] },
    }, [xs, buckets.map((b) => b.count)], box);
  });
  onCleanup(() => plot?.destroy());
  return <div class="hist" ref={box} role="img" aria-label={`${props.agg.buckets.length}`} />;
}

export function SearchPage(props: { live: boolean; initial: string }) {
  const [query, setQuery] = createSignal(props.initial);
  const [range, setRange] = createSignal<{ from: string; to: string }>({ from: "now-1h", to: "" });
  const [answer, setAnswer] = createSignal<SearchAnswer>();
  const [hits, setHits] = createSignal<Hit[]>([]);
  const [problem, setProblem] = createSignal<Problem>();
  const [open, setOpen] = createSignal<Hit>();
  const [skipped, setSkipped] = createSignal(0);
  const [following, setFollowing] = createSignal(props.live);
  const [names, setNames] = createSignal<string[]>([]);
  let running: AbortController | undefined;
  let input!: HTMLInputElement;

  const aggs = { hist: { date_histogram: {} }, ...Object.fromEntries(FACETS.map((field) => [field, { terms: { field, size: 6 } }])) };
  const run = async (cursor?: string): Promise<void> => {
    running?.abort();
    running = new AbortController();
    try {
      const body = { query: query(), from: range().from, ...(range().to ? { to: range().to } : {}), size: 100, ...(cursor ? { cursor } : { aggs }) };
      const found = await post<SearchAnswer>("/search", body, running.signal);
      setProblem(undefined);
      if (cursor) {
        setHits((before) => [...before, ...found.hits]);
        setAnswer((before) => before && { ...before, cursor: found.cursor });
      } else {
        setAnswer(found);
        setHits(found.hits);
      }
    } catch (error) {
      if (error instanceof Problem) setProblem(error);
    }
  };
  const tail = async (signal: AbortSignal): Promise<void> => {
    try {
      await follow(`/tail?query=${encodeURIComponent(query())}`, (message) => {
        if (message.event === "skipped") setSkipped((n) => n + (JSON.parse(message.data) as { count: number }).count);
        else setHits((before) => [JSON.parse(message.data) as Hit, ...before].slice(0, LIVE_MAX));
      }, signal);
    } catch (error) {
      if (error instanceof Problem) setProblem(error);
    }
  };
  const start = (): void => {
    setHits([]);
    setProblem(undefined);
    if (!props.live) void run();
    else if (following()) {
      running?.abort();
      running = new AbortController();
      void tail(running.signal);
    }
  };
  const change = (added: string, negate: boolean): void => {
    setQuery((before) => narrow(before, added, negate));
    start();
  };
  onMount(() => {
    start();
    get<{ fields: { name: string }[] }>("/fields").then((f) => setNames(f.fields.map((x) => x.name))).catch(() => undefined);
    const keys = (e: KeyboardEvent): void => {
      if (e.key === "/" && document.activeElement !== input) { e.preventDefault(); input.focus(); }
      else if (e.key === "Escape") setOpen(undefined);
    };
    document.addEventListener("keydown", keys);
    onCleanup(() => { document.removeEventListener("keydown", keys); running?.abort(); });
  });
  return (
    <>
      <form class="query" onSubmit={(e) => { e.preventDefault(); start(); }}>
        <input ref={input} name="query" list="fields" aria-label={t("search")} placeholder={t("queryHint")} value={query()} spellcheck={false} autocomplete="off" onInput={(e) => setQuery(e.currentTarget.value)} />
        <datalist id="fields"><For each={names()}>{(name) => <option value={`${name}:`} />}</For></datalist>
        <Show when={!props.live} fallback={<button type="button" onClick={() => { setFollowing((f) => !f); if (following()) start(); else running?.abort(); }}>{following() ? t("pause") : t("follow")}</button>}>
          <select aria-label={t("range")} value={range().to ? "" : range().from} onChange={(e) => { setRange({ from: e.currentTarget.value, to: "" }); start(); }}>
            <Show when={range().to}><option value="">{when(range().from, utc())} – {when(range().to, utc())}</option></Show>
            <For each={RANGES}>{([value, name]) => <option value={value}>{t(name)}</option>}</For>
          </select>
        </Show>
        <button class="primary">{t("run")}</button>
      </form>
      <Show when={problem()} keyed>{(p) => (
        <div class="problem" role="alert">{t("error")}: {visible(p.message)}
          <Show when={p.position !== undefined}><div class="mark">{visible(query())}{"\n"}{" ".repeat(p.position ?? 0)}^</div></Show></div>
      )}</Show>
      <Show when={props.live && skipped() > 0}><p class="dim">{skipped()} {t("skipped")}</p></Show>
      <div classList={{ split: !props.live }}>
        <Show when={!props.live}>
          <div class="panel facets">
            <For each={FACETS}>{(field) => (
              <Show when={answer()?.aggs[field]?.buckets.length}>
                <h3>{field}</h3>
                <For each={answer()?.aggs[field]?.buckets}>{(b) => (
                  <div><button onClick={() => change(condition(field, b.key), false)} title={t("filterFor")}>{visible(b.key)}</button><span class="dim">{b.count.toLocaleString(language())}</span></div>
                )}</For>
              </Show>
            )}</For>
          </div>
        </Show>
        <div class="panel">
          <Show when={!props.live && answer()} keyed>{(a) => (
            <>
              <div class="tools"><b data-total={a.total}>{a.total.toLocaleString(language())}</b> {t("hits")} <span class="dim">{a.took_ms} ms</span><Show when={!a.complete}><span class="problem">{t("incomplete")}</span></Show></div>
              <Show when={a.aggs["hist"]} keyed>{(agg) => <Histogram agg={agg} zoom={(from, to) => { setRange({ from, to }); start(); }} />}</Show>
            </>
          )}</Show>
          <div class="scroll">
            <table>
              <thead><tr><th>{t("time")}</th><th>mihari.format</th><th>{t("raw")}</th></tr></thead>
              <tbody>
                <For each={hits()} fallback={<tr><td colspan={3} class="dim">{t("none")}</td></tr>}>{(hit) => (
                  <tr class="row" tabindex={0} onClick={() => setOpen(hit)} onKeyDown={(e) => e.key === "Enter" && setOpen(hit)} data-hit={hit.id}>
                    <td class="time">{when(hit.time, utc())}</td><td class="time">{show(hit.fields["mihari.format"])}</td>
                    <td class="mono"><span class="line">{hit.fields["flow.exporter"] ? `${show(hit.fields["source.ip"])}:${show(hit.fields["source.port"] ?? "")} → ${show(hit.fields["destination.ip"])}:${show(hit.fields["destination.port"] ?? "")} ${show(hit.fields["network.transport"] ?? "")} ${show(hit.fields["network.bytes"] ?? "")} B` : visible(hit.raw)}</span></td>
                  </tr>
                )}</For>
              </tbody>
            </table>
          </div>
          <Show when={!props.live && answer()?.cursor} keyed>{(cursor) => <div class="tools"><button onClick={() => void run(cursor)}>{t("more")}</button></div>}</Show>
        </div>
      </div>
      <Show when={open()} keyed>{(hit) => <EventDrawer hit={hit} close={() => setOpen(undefined)} {...(props.live ? {} : { narrow: change })} />}</Show>
    </>
  );
}
