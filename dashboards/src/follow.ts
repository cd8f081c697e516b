// Streams: followed until nobody wants them any more, and taken up again when they break.
import { Problem, request } from "./api";
import { type Message, messages } from "./messages";

/** The server speaks each 15 s; silence of this many milliseconds means that the connection is dead. */
const SILENCE = 40_000;
/** The first and the longest wait before the next try, in milliseconds. */
const WAIT_MIN = 1000;
const WAIT_MAX = 30_000;

export type Line = "connecting" | "live" | "waiting";
export type Follower = {
  each: (message: Message) => void;
  /** The line is there (again): what was missed meanwhile can be fetched. */
  opened?: (again: boolean) => void;
  line?: (state: Line) => void;
  /** The server refuses, and would again. */
  refused?: (problem: Problem) => void;
};

/** Follows a stream, and comes again when it breaks; gives what ends it. */
export function follow(path: string, follower: Follower): () => void {
  const whole = new AbortController();
  const run = async (): Promise<void> => {
    let wait = WAIT_MIN;
    let again = false;
    while (!whole.signal.aborted) {
      const one = new AbortController();
      const end = (): void => one.abort();
      whole.signal.addEventListener("abort", end);
      let watch = setTimeout(end, SILENCE);
      follower.line?.("connecting");
      try {
        const response = await request(`/api/v1${path}`, { signal: one.signal });
        follower.line?.("live");
        follower.opened?.(again);
        again = true;
        const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
        let rest = "";
        for (;;) {
          const { done, value } = await reader.read();
          if (done) break;
          clearTimeout(watch);
          watch = setTimeout(end, SILENCE);
          const [found, left] = messages(rest + value);
          rest = left;
          wait = WAIT_MIN;
          found.forEach(follower.each);
        }
      } catch (error) {
        if (error instanceof Problem && error.status >= 400 && error.status < 500 && error.status !== 429) {
          if (!whole.signal.aborted) follower.refused?.(error);
          whole.abort();
        }
      } finally {
        clearTimeout(watch);
        whole.signal.removeEventListener("abort", end);
      }
      if (whole.signal.aborted) return;
      follower.line?.("waiting");
      // Spread, so that a restart of the server is not met by everybody at once.
      await pause(wait * (0.75 + Math.random() / 2), whole.signal);
      wait = Math.min(wait * 2, WAIT_MAX);
    }
  };
  void run();
  return () => whole.abort();
}

/** Waits, but not once the machine is on the net again or nobody wants it any more. */
function pause(length: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      removeEventListener("online", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, length);
    addEventListener("online", done);
    signal.addEventListener("abort", done);
  });
}
