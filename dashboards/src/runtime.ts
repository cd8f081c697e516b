// What compiled templates call: Solid's runtime, but markup is made under a Trusted Types policy of our own.
//
// The server's content security policy forbids any text to become markup but through this policy, and the policy is known to this module
// alone. It is given the constants of compiled templates; what a sender wrote never comes here.
import { untrack } from "solid-js";
export * from "solid-js/web";

type Policy = { createHTML: (text: string) => unknown };
type Factory = { createPolicy: (name: string, rules: { createHTML: (text: string) => string }) => Policy };
const factory = (globalThis as { trustedTypes?: Factory }).trustedTypes;
const policy: Policy = factory?.createPolicy("mihari-templates", { createHTML: (text) => text }) ?? { createHTML: (text) => text };

/** As Solid's `template`, for HTML. */
export function template(html: string, isImportNode?: boolean, isSvg?: boolean): { (): Node; cloneNode: () => Node } {
  let node: Node | undefined;
  const create = (): Node => {
    const made = document.createElement("template");
    made.innerHTML = policy.createHTML(html) as string;
    const first = made.content.firstChild!;
    return isSvg ? first.firstChild! : first;
  };
  const clone = isImportNode
    ? (): Node => untrack(() => document.importNode((node ??= create()), true))
    : (): Node => (node ??= create()).cloneNode(true);
  return Object.assign(clone, { cloneNode: clone });
}
