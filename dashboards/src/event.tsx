import { For, Show, createResource } from "solid-js";
import { type Hit, get } from "./api";
import { keys } from "./keys";
import { t, utc } from "./i18n";
import { Anchor } from "./anchor";
import { Copy, Panel } from "./parts";
import { address } from "./place";
import { Terminal } from "./terminal";
import { condition, exact, show, visible, when } from "./text";

/** Around an event, when everything else of that time is looked for, in milliseconds. */
const AROUND = 5 * 60_000;

/** A record in one line: a flow by what it says, for its raw form is a packet. */
export const summary = (hit: Hit): string => {
  const f = hit.fields;
  if (!f["flow.exporter"]) return visible(hit.raw);
  const end = (side: string): string => `${show(f[`${side}.ip`] ?? "?")}:${show(f[`${side}.port`] ?? "")}`;
  return `${end("source")} → ${end("destination")} ${show(f["network.transport"] ?? "")} ${show(f["network.bytes"] ?? "")} B`;
};

/** Of a field with several values the first. */
const first = (value: unknown): string => String(Array.isArray(value) ? value[0] : value);

/** A field's name, which breaks at its dots. */
export function FieldName(props: { name: string }) {
  return <For each={visible(props.name).split(/(?<=\.)/)}>{(part) => <>{part}<wbr /></>}</For>;
}

/** One event: the record as it came, every field, its neighbours. */
export function EventPanel(props: {
  hit: Hit;
  close: () => void;
  narrow?: (condition: string, negate: boolean) => void;
  /** Shows a field in a column of its own, or no longer. */
  column?: (name: string) => void;
  show?: (hit: Hit) => void;
  step?: (by: number) => void;
}) {
  // A panel is of one event; when it goes, the event may have gone before.
  const row = CSS.escape(props.hit.id);
  const back = (): HTMLElement | null => document.querySelector(`[data-hit="${row}"] button, [data-evidence="${row}"] button`);
  const [context] = createResource(() => props.hit.id, (id) => get<{ events: Hit[] }>(`/events/${encodeURIComponent(id)}/context?before=8&after=8`));
  keys(props.step ? { j: () => props.step?.(1), k: () => props.step?.(-1) } : {});
  const fields = (): [string, unknown][] => Object.entries(props.hit.fields).sort(([a], [b]) => (a < b ? -1 : 1));
  const near = (by: number): string => new Date(Date.parse(props.hit.time) + by).toISOString();
  const ips = (): string[] => ["source.ip", "destination.ip"].flatMap((name) => (props.hit.fields[name] === undefined ? [] : [first(props.hit.fields[name])]));
  // A time of the record stays as it was written; beside it stands when that is on the screen's clock.
  const clock = (value: unknown): string => (typeof value === "string" && /^\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)$/.test(value) ? exact(value, utc()) : "");
  const values = (value: unknown): unknown[] => (Array.isArray(value) ? value : [value]);
  return (
    <Panel label={`${t("event")} ${props.hit.id}`} close={props.close} back={back}>
      <div class="tools head">
        <h2 class="grow">{exact(props.hit.time, utc())} <span class="dim">{props.hit.id}</span></h2>
        <Show when={props.step}>
          <button aria-label={t("previous")} title={`${t("previous")} (k)`} onClick={() => props.step?.(-1)}>↑</button>
          <button aria-label={t("next")} title={`${t("next")} (j)`} onClick={() => props.step?.(1)}>↓</button>
        </Show>
        <button onClick={() => props.close()}>{t("closeIt")} <kbd>Esc</kbd></button>
      </div>
      <div class="tools"><h3 class="grow">{t("raw")}</h3><Copy text={props.hit.raw} label={t("raw")} /></div>
      <Show when={props.hit.fields["flow.exporter"]} fallback={<div class="mono rawtext">{visible(props.hit.raw)}</div>}>
        <div class="mono rawtext">{summary(props.hit)}</div>
        <details><summary>{t("packet")}</summary><div class="mono rawtext">{visible(props.hit.raw)}</div></details>
      </Show>
      <For each={["source", "destination"].filter((side) => props.hit.fields[`${side}.ip`] !== undefined)}>{(side) => (
        <Terminal ip={first(props.hit.fields[`${side}.ip`])} port={props.hit.fields[`${side}.port`] === undefined ? undefined : first(props.hit.fields[`${side}.port`])} at={props.hit.time} />
      )}</For>
      <p class="facts">
        <Anchor to={address("/rules", { event: props.hit.id })}>{t("explainThis")}</Anchor>
        <Anchor to={address("/search", { from: near(-AROUND), to: near(AROUND), e: props.hit.id })}>{t("around")}</Anchor>
        <For each={[...new Set(ips())]}>{(ip) => <Anchor to={address("/alerts", { q: `"${ip}"`, status: "all" })}>{t("alertsAbout")} {visible(ip)}</Anchor>}</For>
      </p>
      <h3>{t("fields")}</h3>
      <table class="fields">
        <tbody>
          <For each={fields()}>
            {([name, value]) => (
              <For each={values(value)}>
                {(one) => (
                  <tr>
                    <th scope="row"><FieldName name={name} /></th>
                    <td class="mono">{show(one)} <Show when={clock(one)}><span class="dim">{clock(one)}</span></Show></td>
                    <td class="acts">
                      <Show when={props.narrow && one !== null}>
                        <button class="small" title={t("filterFor")} aria-label={`${t("filterFor")} ${name}`} onClick={() => props.narrow?.(condition(name, one), false)}>＋</button>
                        <button class="small" title={t("filterOut")} aria-label={`${t("filterOut")} ${name}`} onClick={() => props.narrow?.(condition(name, one), true)}>－</button>
                        <button class="small" title={t("exists")} aria-label={`${t("exists")} ${name}`} onClick={() => props.narrow?.(`${name}:*`, false)}>＊</button>
                      </Show>
                      <Show when={props.column}><button class="small" title={t("addColumn")} aria-label={`${t("addColumn")} ${name}`} onClick={() => props.column?.(name)}>▥</button></Show>
                      <Copy text={one === null ? "null" : String(one)} label={name} />
                    </td>
                  </tr>
                )}
              </For>
            )}
          </For>
          <tr><th scope="row">{t("received")}</th><td class="mono">{exact(props.hit.received, utc())}</td><td /></tr>
        </tbody>
      </table>
      <h3>{t("context")}</h3>
      <Show when={context.state === "ready" ? context() : undefined} fallback={<p class="dim">{context.error ? t("none") : t("loading")}</p>}>
        {(found) => (
          <ol class="context">
            <For each={found().events}>
              {(event) => (
                <li classList={{ selected: event.id === props.hit.id }}>
                  <button class="plain" disabled={!props.show} aria-current={event.id === props.hit.id} onClick={() => props.show?.(event)}>
                    <span class="time">{when(event.time, utc(), false)}</span> <span class="mono">{summary(event).slice(0, 300)}</span>
                  </button>
                </li>
              )}
            </For>
          </ol>
        )}
      </Show>
    </Panel>
  );
}
