// Where the person is: the address bar is the state, so that a reload, a link and the way back find the same screen.
import { createSignal } from "solid-js";

const here = (): string => location.pathname + location.search;
const [place, setPlace] = createSignal(here());
addEventListener("popstate", () => setPlace(here()));

export const path = (): string => place().split("?")[0] ?? "/";
export const parameters = (): URLSearchParams => new URLSearchParams(place().split("?")[1] ?? "");
export const parameter = (name: string): string => parameters().get(name) ?? "";

export function go(to: string, replace = false): void {
  if (to !== here()) history[replace ? "replaceState" : "pushState"](null, "", to);
  setPlace(to);
}

/** An address with parameters; empty ones are left out. */
export function address(to: string, values: Record<string, string | undefined>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value) query.set(name, value);
  const text = query.toString();
  return text ? `${to}?${text}` : to;
}

/** Changes parameters of this screen; a step that the way back should find is pushed. */
export function change(values: Record<string, string | undefined>, push = false): void {
  go(address(path(), { ...Object.fromEntries(parameters()), ...values }), !push);
}
