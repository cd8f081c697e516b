import { Show, createEffect, createSignal, on, onCleanup } from "solid-js";
import { type Hit, type Problem, type SearchAnswer, post } from "./api";
import { LineState } from "./alerts";
import { EventPanel } from "./event";
import { type Line, follow } from "./follow";
import { keys } from "./keys";
import { number, t } from "./i18n";
import { Wrong } from "./parts";
import { change, parameter } from "./place";
import { QueryField } from "./query";
import { HitTable } from "./search";
import { narrow } from "./text";

/** Hits that are kept on the screen. */
const KEPT = 500;
/** What was missed is searched for so long after the line is back, in milliseconds: the index is that far behind at most. */
const INDEX_BEHIND = 2500;
/** Hits are shown together so often, in milliseconds: a screen that moves more often is not read. */
const SHOW_EVERY = 250;

/** By place in the log, which is the order of receipt: an id is partition, offset, number in the packet. */
function newerFirst(a: Hit, b: Hit): number {
  const [one, two] = [a.id.split("-").map(Number), b.id.split("-").map(Number)];
  return two[1]! - one[1]! || two[2]! - one[2]! || two[0]! - one[0]!;
}

/** Newer first; each once. */
function merge(hits: Hit[], more: Hit[]): Hit[] {
  const known = new Set(hits.map((hit) => hit.id));
  const fresh = more.filter((hit) => !known.has(hit.id) && known.add(hit.id));
  return fresh.length === 0 ? hits : [...fresh, ...hits].sort(newerFirst).slice(0, KEPT);
}

/** Events as they come. A broken line is taken up again, and what came meanwhile is fetched from the index. */
export function TailPage() {
  const query = (): string => parameter("q");
  const [hits, setHits] = createSignal<Hit[]>([]);
  const [held, setHeld] = createSignal(0);
  const [skipped, setSkipped] = createSignal(0);
  const [paused, setPaused] = createSignal(false);
  const [line, setLine] = createSignal<Line>("connecting");
  const [problem, setProblem] = createSignal<Problem>();
  const [open, setOpen] = createSignal<Hit>();
  const [submitted, setSubmitted] = createSignal(0);
  let input!: HTMLInputElement;
  let waiting: Hit[] = [];
  let end = (): void => undefined;
  let behind: ReturnType<typeof setTimeout> | undefined;
  const show = (): void => {
    if (paused()) setHeld(waiting.length);
    else if (waiting.length > 0) {
      const more = waiting;
      waiting = [];
      setHeld(0);
      setHits((before) => merge(before, more));
    }
  };
  const timer = setInterval(show, SHOW_EVERY);
  /** What the index has of the last while; for the beginning, and for what a broken line has missed. */
  const fetchFrom = async (from: string): Promise<void> => {
    const found = await post<SearchAnswer>("/search", { query: query(), from, size: KEPT }).catch(() => undefined);
    if (!found) return;
    waiting.push(...found.hits);
    show();
  };
  const start = (): void => {
    end();
    clearTimeout(behind);
    waiting = [];
    setHits([]);
    setSkipped(0);
    setProblem(undefined);
    end = follow(`/tail?query=${encodeURIComponent(query())}`, {
      line: setLine,
      refused: setProblem,
      opened: (again) => {
        if (!again) { void fetchFrom("now-1m"); return; }
        const last = [...hits(), ...waiting].reduce((time, hit) => (hit.time > time ? hit.time : time), "");
        behind = setTimeout(() => void fetchFrom(last ? new Date(Date.parse(last) - 60_000).toISOString() : "now-5m"), INDEX_BEHIND);
      },
      each: (message) => {
        if (message.event === "skipped") setSkipped((n) => n + (JSON.parse(message.data) as { count: number }).count);
        else if (message.event === "hit") {
          waiting.push(JSON.parse(message.data) as Hit);
          // While it is paused only so many are held; older ones are found by searching.
          if (waiting.length > 2 * KEPT) {
            const left = waiting.splice(0, waiting.length - KEPT).length;
            setSkipped((n) => n + left);
          }
        }
      },
    });
  };
  createEffect(on(submitted, start));
  onCleanup(() => { end(); clearInterval(timer); clearTimeout(behind); });
  const toggle = (): void => { setPaused((p) => !p); show(); };
  const add = (added: string, negate: boolean): void => { change({ q: narrow(query(), added, negate) }); setSubmitted((n) => n + 1); };
  const move = (by: number): void => {
    const at = hits().findIndex((h) => h.id === open()?.id);
    const next = hits()[at + by];
    if (next) setOpen(next);
  };
  keys({ "/": () => { input.focus(); input.select(); }, p: toggle });
  return (
    <>
      <form class="query" role="search" onSubmit={(e) => { e.preventDefault(); setSubmitted((n) => n + 1); }}>
        <QueryField value={query()} input={(text) => change({ q: text })} ref={(field) => (input = field)} />
        <button class="primary">{t("run")}</button>
        <button type="button" onClick={toggle} aria-pressed={paused()}>{paused() ? t("follow") : t("pause")} <kbd>p</kbd></button>
        <button type="button" onClick={() => { waiting = []; setHeld(0); setHits([]); }}>{t("clear")}</button>
      </form>
      <Show when={problem()} keyed fallback={<div class="tools"><LineState line={line()} /><span class="dim">{number(hits().length)} {t("hits")}</span><Show when={held() > 0}><span>{number(held())} {t("held")}</span></Show><Show when={skipped() > 0}><span class="problem">{number(skipped())} {t("skipped")}</span></Show></div>}>
        {(p) => <Wrong problem={p} query={query()} />}
      </Show>
      <div class="results no-facets" classList={{ split: open() !== undefined }}>
        <section class="panel flush" aria-label={t("tail")}><HitTable hits={hits()} selected={open()?.id} empty={t("tailEmpty")} open={setOpen} /></section>
        <Show when={open()?.id} keyed>{(_id) => <EventPanel hit={open()!} close={() => setOpen(undefined)} narrow={add} show={setOpen} step={move} />}</Show>
      </div>
    </>
  );
}
