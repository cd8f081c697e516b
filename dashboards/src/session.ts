// Whose session this is. The token lives in the tabs of this browser only, and is gone with the last of them: a tab that is opened (by a link in
// the chat) asks the others for it, and signing out ends it in all. When it is no longer good, the person is told and asked again, at the same place.
import { type Signal, createSignal } from "solid-js";

const KEY = "mihari-token";
export const token = (): string => sessionStorage.getItem(KEY) ?? "";

export type Ended = "signedOut" | "noLongerGood";
const [signedIn, setSignedIn] = createSignal(token() !== "");
const [ended, setEnded] = createSignal<Ended>();
export { signedIn, ended };

type Told = { asks: true } | { is: string } | { was: string };
const tabs = new BroadcastChannel(KEY);
const tell = (told: Told): void => tabs.postMessage(told);
tabs.onmessage = ({ data }: MessageEvent<Told>) => {
  if ("asks" in data) {
    if (signedIn()) tell({ is: token() });
  } else if ("is" in data) {
    // Whoever has signed out here, or whose token has ended, is not signed in again by the same one.
    if (!signedIn() && ended() === undefined) enter(data.is);
  } else if (data.was === token()) leave("signedOut");
};
if (!signedIn()) tell({ asks: true });

function enter(value: string): void {
  sessionStorage.setItem(KEY, value);
  setEnded(undefined);
  setSignedIn(true);
}

const DRAFT = "mihari-draft-";

/** A text that is being written and in no store yet: a reload and the way back find it in this tab; signing out throws it away. */
export function draft(name: string): Signal<string> {
  const [text, setText] = createSignal(sessionStorage.getItem(DRAFT + name) ?? "");
  return [text, ((written: string) => {
    try {
      sessionStorage.setItem(DRAFT + name, written);
    } catch {
      // Too long for the browser's storage: it is kept on the screen only.
      sessionStorage.removeItem(DRAFT + name);
    }
    return setText(written);
  }) as Signal<string>[1]];
}

function leave(why: Ended): void {
  sessionStorage.removeItem(KEY);
  if (why === "signedOut") Object.keys(sessionStorage).filter((name) => name.startsWith(DRAFT)).forEach((name) => sessionStorage.removeItem(name));
  setEnded(why);
  setSignedIn(false);
}

export function signIn(value: string): void {
  enter(value);
  tell({ is: value });
}

export function signOut(why: Ended): void {
  if (!signedIn()) return;
  if (why === "signedOut") tell({ was: token() });
  leave(why);
}
