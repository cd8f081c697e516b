// Whose session this is. The token lives in this tab only; when it is no longer good, the person is told and asked again, at the same place.
import { createSignal } from "solid-js";

const KEY = "mihari-token";
export const token = (): string => sessionStorage.getItem(KEY) ?? "";

export type Ended = "signedOut" | "noLongerGood";
const [signedIn, setSignedIn] = createSignal(token() !== "");
const [ended, setEnded] = createSignal<Ended>();
export { signedIn, ended };

export function signIn(value: string): void {
  sessionStorage.setItem(KEY, value);
  setEnded(undefined);
  setSignedIn(true);
}

export function signOut(why: Ended): void {
  if (!signedIn()) return;
  sessionStorage.removeItem(KEY);
  setEnded(why);
  setSignedIn(false);
}
