// Keys: one listener, and a stack of what is meant now; the innermost meaning wins. Plain keys only: what goes with Ctrl, Alt or Meta is the
// browser's, and what is typed into a field, also through an input method, is text.
import { onCleanup } from "solid-js";

export type Meaning = { [keys: string]: (event: KeyboardEvent) => void };

const stack: Meaning[] = [];
let before = "";
/** How long the second key of two may take, in milliseconds. */
const SECOND = 1500;
let forget: ReturnType<typeof setTimeout> | undefined;

const types = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || target.matches("input:not([type=checkbox]), textarea, select"));

/** Whether Enter on this element is its own business. */
const acts = (target: EventTarget | null): boolean => target instanceof HTMLElement && target.closest("a, button, summary, [role=button]") !== null;

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented) return;
  // A modal dialogue has its keys to itself; the browser closes it with Escape.
  if (document.querySelector("dialog:modal")) return;
  const typing = types(event.target);
  if (typing) {
    // What is typed is not thrown away by leaving the field; the next Escape closes.
    if (event.key === "Escape") (event.target as HTMLElement).blur();
    return;
  }
  if (event.key === "Enter" && acts(event.target)) return;
  if (event.repeat && event.key !== "j" && event.key !== "k") return;
  const two = before ? `${before} ${event.key}` : "";
  for (const name of [two, event.key].filter(Boolean)) {
    const meaning = stack.findLast((m) => name in m)?.[name];
    if (meaning) {
      event.preventDefault();
      before = "";
      meaning(event);
      return;
    }
  }
  before = event.key === "g" ? "g" : "";
  clearTimeout(forget);
  forget = setTimeout(() => (before = ""), SECOND);
});

/** What keys mean as long as this component is there. */
export function keys(meaning: Meaning): void {
  stack.push(meaning);
  onCleanup(() => stack.splice(stack.lastIndexOf(meaning), 1));
}
