// Small parts that several screens are made of.
import { type JSX, Show, createSignal, onCleanup, onMount } from "solid-js";
import type { Problem } from "./api";
import { keys } from "./keys";
import { has, t, utc, word } from "./i18n";
import type { Polled } from "./poll";
import { visible, when } from "./text";

export const LEVELS = ["critical", "high", "medium", "low", "informational"] as const;

export function Level(props: { level: string }) {
  return <span class={`level ${props.level}`}>{word(props.level)}</span>;
}

export function Status(props: { status: string }) {
  return <span class={`status ${props.status}`}>{word(props.status)}</span>;
}

/** What went wrong: the common cases in the person's language, the rest as the server says it. */
export const told = (problem: Problem): string => {
  const key = problem.reason === undefined ? `problem_${problem.code}` : `query_${problem.reason}`;
  return has(key) ? t(key) : visible(problem.message);
};

/** What went wrong with a query, with the place in it. */
export function Wrong(props: { problem: Problem; query?: string }) {
  return (
    <div class="problem" role="alert">
      {t(props.problem.position === undefined ? "error" : "queryWrong")}: {told(props.problem)}
      <Show when={props.query !== undefined && props.problem.position !== undefined}>
        <div class="mark">{`${visible(props.query ?? "")}\n${" ".repeat(props.problem.position ?? 0)}^`}</div>
      </Show>
    </div>
  );
}

/** Says that what is on the screen is old, or that there is nothing yet. */
export function Freshness(props: { of: Polled<unknown> }) {
  return (
    <Show when={props.of.problem()} keyed fallback={<Show when={props.of.data() === undefined}><p class="dim">{t("loading")}</p></Show>}>
      {(problem) => (
        <p class="stale" role="status">
          {told(problem)}{" "}
          <Show when={props.of.at()} keyed>{(at) => <>{t("stale")} {when(at, utc())} </>}</Show>
          <button class="small" onClick={() => void props.of.again()}>{t("again")}</button>
        </p>
      )}
    </Show>
  );
}

/** What lies on the screen and takes the focus; Escape closes it, and the focus goes back to where it was. */
export function Panel(props: { label: string; close: () => void; class?: string; back?: () => HTMLElement | null; children: JSX.Element }) {
  let panel!: HTMLElement;
  const before = document.activeElement;
  // Where the opener has gone meanwhile (the next event was opened from this panel), the row of what is open takes the focus.
  const back = (): HTMLElement | null | undefined => (before instanceof HTMLElement && before.isConnected && !before.closest(".side") && before !== document.body ? before : props.back?.());
  onMount(() => panel.focus({ preventScroll: true }));
  keys({ Escape: () => props.close() });
  onCleanup(() => {
    // Only where the focus would be lost: whoever has moved on meanwhile is left where they are.
    if (!panel.contains(document.activeElement) && document.activeElement !== document.body) return;
    const target = back();
    queueMicrotask(() => { if (document.activeElement === document.body) target?.focus({ preventScroll: true }); });
  });
  return (
    <aside ref={panel} class={`side ${props.class ?? ""}`} role="dialog" aria-label={props.label} tabindex={-1}>
      {props.children}
    </aside>
  );
}

/** A dialogue that must be answered first. */
export function Modal(props: { label: string; close: () => void; children: JSX.Element }) {
  let dialog!: HTMLDialogElement;
  const before = document.activeElement;
  onMount(() => dialog.showModal());
  onCleanup(() => before instanceof HTMLElement && queueMicrotask(() => before.isConnected && before.focus()));
  return (
    <dialog ref={dialog} aria-label={props.label} onClose={() => props.close()} onClick={(e) => e.target === dialog && dialog.close()}>
      {props.children}
    </dialog>
  );
}

export function Copy(props: { text: string; label: string }) {
  const [done, setDone] = createSignal(false);
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(props.text).catch(() => byHand(props.text));
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return (
    <button class="small" aria-label={`${t("copy")} ${props.label}`} onClick={() => void copy()}>
      {done() ? t("copied") : t("copy")}
    </button>
  );
}

/** Where the page is not from a secure origin there is no clipboard interface. */
function byHand(text: string): void {
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
