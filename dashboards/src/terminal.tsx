import { Show, createResource, createSignal } from "solid-js";
import { get } from "./api";
import { t } from "./i18n";
import { address } from "./place";
import { visible } from "./text";

type Attribution = {
  confidence: "certain" | "likely" | "ambiguous" | "unknown";
  terminal: { address: { ip: string; user?: string | null }; lease: { mac: string; host?: string | null; user?: string | null } | null } | null;
  steps: { by: string; to: { ip?: string; mac?: string }[] }[];
};
const CONFIDENCE = { certain: "sureCertain", likely: "sureLikely", ambiguous: "sureAmbiguous", unknown: "sureUnknown" } as const;

/** Which terminal stood behind the address at the time; asked for only when somebody opens it. */
export function Terminal(props: { ip: string; port: string | undefined; at: string }) {
  const [open, setOpen] = createSignal(false);
  const [found] = createResource(
    () => open() && { ip: props.ip, port: props.port, at: props.at },
    ({ ip, port, at }) => get<Attribution>(address("/attribution", { ip, at, port })).catch(() => undefined),
  );
  const named = (a: Attribution): string => [a.terminal?.address.ip, a.terminal?.lease?.host, a.terminal?.lease?.mac, a.terminal?.lease?.user ?? a.terminal?.address.user].filter((part) => part).map((part) => visible(part!)).join(" · ");
  const several = (a: Attribution): string => a.steps.flatMap((step) => step.to.map((to) => to.ip ?? to.mac ?? "")).filter((part) => part !== "").map(visible).join(", ");
  return (
    <details onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary>{t("terminal")}: {visible(props.ip)}</summary>
      <Show when={!found.loading && found()} keyed fallback={<p class="dim">{t(found.loading ? "loading" : "sureUnknown")}</p>}>{(a) => (
        <p><b>{t(CONFIDENCE[a.confidence])}</b> <span class="mono">{a.terminal ? named(a) : several(a)}</span></p>
      )}</Show>
    </details>
  );
}
