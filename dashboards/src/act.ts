// Something that a person has asked for: whether it runs, and what went wrong with it.
import { type Accessor, createSignal, onCleanup } from "solid-js";
import { type Problem, problemOf } from "./api";

export type Act = {
  busy: Accessor<boolean>;
  problem: Accessor<Problem | undefined>;
  /** Does it; true where it went well. It is given up when the screen goes. */
  run: (work: (signal: AbortSignal) => Promise<void>) => Promise<boolean>;
};

export function act(): Act {
  const [busy, setBusy] = createSignal(false);
  const [problem, setProblem] = createSignal<Problem>();
  let running = new AbortController();
  onCleanup(() => running.abort());
  const run = async (work: (signal: AbortSignal) => Promise<void>): Promise<boolean> => {
    running.abort();
    const own = (running = new AbortController());
    setBusy(true);
    setProblem(undefined);
    try {
      await work(own.signal);
      return true;
    } catch (error) {
      if (!own.signal.aborted) setProblem(problemOf(error));
      return false;
    } finally {
      if (running === own) setBusy(false);
    }
  };
  return { busy, problem, run };
}
