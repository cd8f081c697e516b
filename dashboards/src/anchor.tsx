import type { JSX } from "solid-js";
import { go } from "./place";

/** A link within the application; with a modifier it is the browser's. */
export function Anchor(props: { to: string; class?: string; current?: boolean; children: JSX.Element }) {
  return (
    <a href={props.to} class={props.class ?? ""} aria-current={props.current ? "page" : undefined}
      onClick={(e) => { if (e.ctrlKey || e.metaKey || e.shiftKey || e.altKey || e.button !== 0) return; e.preventDefault(); go(props.to); }}>
      {props.children}
    </a>
  );
}
