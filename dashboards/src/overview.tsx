import { For, Show, createResource, onCleanup, onMount } from "solid-js";
import { type Alert, type Cell, type Source, type Stats, get } from "./api";
import { AlertTable } from "./alerts";
import { language, t, utc } from "./i18n";
import { visible, when } from "./text";

/** How often the overview looks again, in milliseconds. */
const LOOK_EVERY = 2000;

export function Overview(props: { go: (path: string) => void }) {
  const [stats, { refetch: again }] = createResource(() => get<Stats>("/stats"));
  const [alerts, { refetch: alertsAgain }] = createResource(() => get<{ alerts: Alert[] }>("/alerts?size=8"));
  const [matrix, { refetch: matrixAgain }] = createResource(() => get<{ zones: string[]; cells: Cell[] }>("/policy/matrix?from=now-24h"));
  const [sources, { refetch: sourcesAgain }] = createResource(() => get<{ sources: Source[] }>("/sources"));
  onMount(() => {
    const timer = setInterval(() => [again, alertsAgain, matrixAgain, sourcesAgain].forEach((look) => void look()), LOOK_EVERY);
    onCleanup(() => clearInterval(timer));
  });
  const number = (n: number | undefined): string => Math.round(n ?? 0).toLocaleString(language());
  const cell = (from: string, to: string): Cell | undefined => matrix.latest?.cells.find((c) => c.from === from && c.to === to);
  const open = (): [string, number][] => Object.entries(stats.latest?.alerts_open ?? {});
  return (
    <>
      <div class="tiles">
        <div class="panel tile"><b data-rate>{number(stats.latest?.events_per_second)}</b><span>{t("eventsPerSecond")}</span></div>
        <div class="panel tile"><b>{number(stats.latest?.documents)}</b><span>{t("events")}</span></div>
        <div class="panel tile"><b>{number(stats.latest?.quarantined_total)}</b><span>{t("quarantined")}</span></div>
        <div class="panel tile"><b>{number(open().reduce((sum, [, n]) => sum + n, 0))}</b><span>{t("openAlerts")}</span>
          <div><For each={open()}>{([level, n]) => <span class={`level ${level}`}>{level} {n} </span>}</For></div></div>
      </div>
      <div class="columns">
        <section class="panel"><h2>{t("newest")}</h2><AlertTable alerts={alerts.latest?.alerts ?? []} open={(a) => props.go(`/alerts/${a.id}`)} /></section>
        <section class="panel"><h2>{t("zones")} ({t("h24")})</h2>
          <Show when={matrix.latest?.zones.length} fallback={<p class="dim">{t("none")}</p>}>
            <div class="scroll"><table class="matrix">
              <thead><tr><th>{t("from")} ＼ {t("to")}</th><For each={matrix.latest?.zones}>{(zone) => <th>{zone}</th>}</For></tr></thead>
              <tbody><For each={matrix.latest?.zones}>{(from) => (
                <tr><th scope="row">{from}</th><For each={matrix.latest?.zones}>{(to) => (
                  <Show when={cell(from, to)} fallback={<td class="unseen">–</td>}>{(c) => (
                    <td class={c().state === "broken" ? "broken" : c().state === "seen" ? "seen" : "unseen"}
                      title={`${t("allowed")} ${c().allowed}, ${t("attempts")} ${c().attempts}, ${t("violations")} ${c().violations}`}>
                      {c().state === "broken" ? `${t("broken")} ${c().violations}` : c().state === "seen" ? number(c().allowed + c().attempts) : t("notObserved")}
                    </td>)}</Show>
                )}</For></tr>
              )}</For></tbody>
            </table></div>
          </Show>
        </section>
        <section class="panel"><h2>{t("sources")}</h2><div class="scroll"><table>
          <thead><tr><th>{t("sources")}</th><th>mihari.format</th><th>{t("count")}</th><th>{t("quarantined")}</th><th>{t("last")}</th></tr></thead>
          <tbody><For each={sources.latest?.sources} fallback={<tr><td colspan={5} class="dim">{t("none")}</td></tr>}>{(s) => (
            <tr><td class="mono">{visible(s.address)} {s.transport}</td><td>{s.format}</td><td class="number">{number(s.received)}</td><td class="number">{number(s.quarantined)}</td><td class="time">{when(s.last, utc())}</td></tr>
          )}</For></tbody>
        </table></div></section>
      </div>
    </>
  );
}
