import { For, Show, createMemo } from "solid-js";
import { AlertTable } from "./alerts";
import { Anchor } from "./anchor";
import { type Alert, type Matrix, type SearchAnswer, type Source, type Stats, get, post } from "./api";
import { Histogram } from "./histogram";
import { language, number, t, utc } from "./i18n";
import { MatrixTable, useZones } from "./matrix";
import { Freshness, LEVELS, Level } from "./parts";
import { address, go } from "./place";
import { kept, poll } from "./poll";
import { brief, condition, visible, when } from "./text";

/** How often the overview looks again, in milliseconds. */
const LOOK_EVERY = 2000;
const LOOK_SELDOM = 10_000;
/** Sources that are shown; the rest is found by searching. */
const SOURCES = 12;

export function Overview() {
  const stats = poll((signal) => get<Stats>("/stats", signal), LOOK_EVERY);
  const alerts = poll((signal) => get<{ alerts: Alert[] }>("/alerts?size=8&status=open,acknowledged", signal), LOOK_EVERY);
  const { name } = useZones();
  const matrix = poll((signal) => get<Matrix>("/policy/matrix?from=now-24h", signal), LOOK_SELDOM);
  const sources = poll((signal) => get<{ sources: Source[]; total: number }>(`/sources?size=${SOURCES}`, signal), LOOK_SELDOM);
  const over = poll(async (signal) => {
    const end = Date.now();
    const found = await post<SearchAnswer>("/search", { query: "", from: "now-1h", size: 0, aggs: { hist: { date_histogram: { interval: "1m" } } } }, signal);
    return { agg: found.aggs["hist"]!, range: [end - 3_600_000, end] as [number, number] };
  }, LOOK_SELDOM);
  const open = (level: string): number => stats.data()?.alerts_open[level] ?? 0;
  // One text, so that it is said again only where it has changed.
  const untold = createMemo(() => (stats.data()?.undelivered ?? []).filter((one) => one.failing > 0 || one.given_up > 0)
    .map((one) => `${t("undelivered")} ${visible(one.destination)}: ${number(one.failing)} ${t("failingMessages")}, ${number(one.given_up)} ${t("givenUp")} (${visible(one.last_error ?? "")})`).join("\n"));
  const newest = kept(() => alerts.data()?.alerts ?? []);
  return (
    <>
      {/* Where the server is away, it is said once. */}
      <Freshness of={stats} />
      <Show when={untold()}><p class="stale" role="alert" data-untold>{untold()}</p></Show>
      <div class="tiles">
        <div class="panel tile"><b data-rate>{stats.data() ? number(stats.data()?.events_per_second) : "–"}</b><span>{t("eventsPerSecond")}</span></div>
        <div class="panel tile levels">
          <For each={LEVELS}>{(level) => <Anchor to={address("/alerts", { level })} class={open(level) > 0 ? level : "zero"}><b data-level={level}>{stats.data() ? number(open(level)) : "–"}</b><Level level={level} /></Anchor>}</For>
          <span class="caption">{t("openAlerts")}</span>
        </div>
        <div class="panel tile"><Anchor to="/search"><b>{stats.data() ? number(stats.data()?.documents) : "–"}</b></Anchor><span>{t("events")}</span></div>
        <div class="panel tile"><Anchor to="/quarantine"><b>{stats.data() ? number(stats.data()?.quarantined_total) : "–"}</b></Anchor><span>{t("quarantined")}</span></div>
      </div>
      <div class="columns">
        <div class="stack">
          <section class="panel"><h2>{t("eventsOverTime")} <span class="dim">{t("h1")}</span></h2><Show when={!stats.problem()}><Freshness of={over} /></Show>
            <Show when={over.data()}>{(o) => <Histogram agg={o().agg} range={o().range} zoom={(from, to) => go(address("/search", { from, to }))} />}</Show>
          </section>
          <section class="panel flush"><h2>{t("newest")} <Anchor to="/alerts" class="more">{t("showAll")}</Anchor></h2><Show when={!stats.problem()}><Freshness of={alerts} /></Show>
            <AlertTable compact alerts={newest()} loaded={alerts.data() !== undefined} open={(a) => go(`/alerts/${a.id}`)} />
          </section>
        </div>
        <div class="stack">
          <section class="panel"><h2>{t("matrix")} <span class="dim">{t("h24")}</span> <Anchor to="/matrix" class="more">{t("showAll")}</Anchor></h2><Show when={!stats.problem()}><Freshness of={matrix} /></Show>
            <Show when={matrix.data()} keyed>{(m) => (
              <Show when={m.zones.length > 0} fallback={<p class="dim empty">{t("noPolicy")}</p>}>
                <MatrixTable matrix={m} small name={name} choose={(c) => go(address("/matrix", { cell: `${c.from}>${c.to}` }))} />
              </Show>
            )}</Show>
          </section>
          <section class="panel flush"><h2>{t("sources")} <span class="dim">{number(sources.data()?.total)}</span></h2><Show when={!stats.problem()}><Freshness of={sources} /></Show>
            <div class="scroll"><table>
              <thead><tr><th>{t("source")}</th><th>{t("format")}</th><th class="number">{t("received")}</th><th class="number">{t("quarantined")}</th><th>{t("last")}</th></tr></thead>
              <tbody><For each={sources.data()?.sources} fallback={<tr><td colspan={5} class="dim empty">{sources.data() ? t("none") : t("loading")}</td></tr>}>{(s) => (
                <tr>
                  <td class="mono nowrap">{s.address === "other" ? <span class="dim">{t("otherSources")}</span> : <Anchor to={address("/search", { q: condition("log.source.address", s.address) })}>{visible(s.address)}</Anchor>} <span class="dim">{s.transport}</span></td>
                  <td>{s.format}</td><td class="number">{number(s.received)}</td><td class="number" classList={{ problem: s.quarantined > 0 }}>{number(s.quarantined)}</td><td class="time" lang={language()} title={when(s.last, utc())}>{brief(s.last, utc())}</td>
                </tr>
              )}</For></tbody>
            </table></div>
          </section>
        </div>
      </div>
    </>
  );
}
