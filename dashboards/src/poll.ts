// Looking again and again: what failed once is tried again, later each time, and what was seen last stays on the screen, marked as old.
import { type Accessor, createEffect, createSignal, onCleanup } from "solid-js";
import { createStore, reconcile } from "solid-js/store";
import { type Problem, problemOf } from "./api";

/** The longest wait after failures, in milliseconds. */
const WAIT_MAX = 30_000;

export type Polled<T> = {
  data: Accessor<T | undefined>;
  /** What went wrong with the last look, if anything. */
  problem: Accessor<Problem | undefined>;
  /** When the last good look was. */
  at: Accessor<string | undefined>;
  again: () => Promise<void>;
};

export function poll<T>(load: (signal: AbortSignal) => Promise<T>, every: number): Polled<T> {
  const [data, setData] = createSignal<T>();
  const [problem, setProblem] = createSignal<Problem>();
  const [at, setAt] = createSignal<string>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let running = new AbortController();
  let failures = 0;
  const look = async (): Promise<void> => {
    clearTimeout(timer);
    running.abort();
    const own = (running = new AbortController());
    try {
      const found = await load(own.signal);
      if (own.signal.aborted) return;
      failures = 0;
      setData(() => found);
      setAt(new Date().toISOString());
      setProblem(undefined);
    } catch (error) {
      if (own.signal.aborted) return;
      failures += 1;
      setProblem(problemOf(error));
    }
    timer = setTimeout(() => void look(), Math.min(every * 2 ** Math.min(failures, 6), Math.max(every, WAIT_MAX)));
  };
  void look();
  onCleanup(() => {
    clearTimeout(timer);
    running.abort();
  });
  return { data, problem, at, again: look };
}

/** A list that is looked at again and again, of which only what has changed is drawn anew: the focus and what is chosen stay. */
export function kept<T extends { id: string }>(list: Accessor<T[]>): Accessor<T[]> {
  const [store, setStore] = createStore<{ list: T[] }>({ list: [] });
  createEffect(() => setStore("list", reconcile(list(), { key: "id" })));
  return () => store.list;
}
