import { createEffect, createSignal, on, onCleanup, onMount } from "solid-js";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { Agg } from "./api";
import { language, number, t, theme, utc } from "./i18n";
import { when } from "./text";

/** An instant on the axis: the day where it changes, else the time. */
function label(seconds: number, before: number | undefined, step: number): string {
  const of = (at: number): [string, string] => {
    const [day, time] = when(new Date(at * 1000).toISOString(), utc()).split(" ");
    return [day!.slice(5), time!];
  };
  const [day, time] = of(seconds);
  if (step >= 86_400) return day;
  if (before !== undefined && of(before)[0] !== day) return `${day} ${time.slice(0, 5)}`;
  return step < 60 ? time : time.slice(0, 5);
}

/** Counts over time, every interval of the range (in milliseconds); dragging over it chooses a range. */
export function Histogram(props: { agg: Agg; range?: [number, number] | undefined; zoom?: (from: string, to: string) => void; height?: number }) {
  let box!: HTMLDivElement;
  let plot: uPlot | undefined;
  const [under, setUnder] = createSignal("");
  const height = (): number => props.height ?? 110;
  const draw = (): void => {
    plot?.destroy();
    plot = undefined;
    setUnder("");
    const found = props.agg.buckets;
    if (found.length === 0) return;
    const step = (props.agg.interval_ms ?? 1000) / 1000;
    const counts = new Map(found.map((b) => [Date.parse(b.key) / 1000, b.count]));
    const known = [...counts.keys()];
    // Empty intervals are shown as such: a gap is a finding. Of very many only those that hold something.
    const align = (at: number): number => known[0]! + Math.floor((at - known[0]!) / step) * step;
    const [from, to] = props.range ?? [Infinity, 0];
    const begin = Math.min(known[0]!, align(from / 1000));
    const end = Math.max(known[known.length - 1]!, align((to - 1) / 1000));
    const xs = (end - begin) / step <= 2000 ? Array.from({ length: Math.round((end - begin) / step) + 1 }, (_, n) => begin + n * step) : known;
    const style = getComputedStyle(box);
    const [text, bar] = [style.getPropertyValue("--plot-text"), style.getPropertyValue("--plot-bar")];
    plot = new uPlot({
      width: box.clientWidth || 600,
      height: height(),
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: Boolean(props.zoom), y: false, setScale: false } },
      scales: { x: { range: [begin - step / 2, end + step] }, y: { range: (_u, _min, max) => [0, Math.max(1, max * 1.08)] } },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1e3), utc() ? "Etc/UTC" : "Asia/Tokyo"),
      axes: [
        { stroke: text, size: 24, gap: 2, grid: { show: false }, ticks: { size: 4, stroke: text }, font: "11px system-ui",
          values: (_u, at) => at.map((seconds, n) => label(seconds, at[n - 1], at.length > 1 ? at[1]! - at[0]! : step)) },
        { stroke: text, size: 52, space: 22, grid: { stroke: style.getPropertyValue("--plot-grid"), width: 1 }, ticks: { show: false }, font: "11px system-ui",
          values: (_u, at) => at.map((n) => (Number.isInteger(n) ? n.toLocaleString(language()) : "")) },
      ],
      series: [{}, { stroke: bar, fill: bar, width: 0, paths: uPlot.paths.bars!({ size: [0.92], align: 1 }), points: { show: false } }],
      hooks: {
        // Which interval the pointer is over, and what it holds: a bar begins where its interval does.
        setCursor: [(u) => {
          const left = u.cursor.left ?? -1;
          const at = begin + Math.floor((u.posToVal(left, "x") - begin) / step) * step;
          const [one, next] = [at, at + step].map((seconds) => when(new Date(seconds * 1000).toISOString(), utc()));
          setUnder(left < 0 || at < begin ? "" : `${one} – ${next!.split(" ")[1]}  ${number(counts.get(at))} ${t("hits")}`);
        }],
        setSelect: [(u) => {
          if (u.select.width < 4) return;
          const at = (px: number): string => new Date(u.posToVal(px, "x") * 1000).toISOString();
          props.zoom?.(at(u.select.left), at(u.select.left + u.select.width));
        }],
      },
    }, [xs, xs.map((x) => counts.get(x) ?? 0)], box);
  };
  onMount(() => {
    const observer = new ResizeObserver(() => plot?.setSize({ width: box.clientWidth, height: height() }));
    observer.observe(box);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", draw);
    onCleanup(() => { observer.disconnect(); dark.removeEventListener("change", draw); plot?.destroy(); });
  });
  createEffect(on([() => props.agg, theme, utc, language], draw));
  const sum = (): number => props.agg.buckets.reduce((n, b) => n + b.count, 0);
  return <div class="hist-box"><div class="hist" ref={box} role="img" aria-label={`${t("histogram")} (${sum().toLocaleString(language())})`} /><span class="under dim" aria-hidden="true">{under()}</span></div>;
}
