import { For, Show, createEffect, createMemo, on } from "solid-js";
import { Anchor } from "./anchor";
import { type LedgerDay, type Source, type Sources, get } from "./api";
import { type Key, language, number, t, utc } from "./i18n";
import { Freshness } from "./parts";
import { address, change, parameter } from "./place";
import { type Polled, poll } from "./poll";
import { condition, visible, when } from "./text";

const LOOK_EVERY = 10_000;
/** Sources that are listed at once, of those that have sent most. */
const SHOWN = 1000;
const KINDS = [["", "all"], ["silent", "silentSources"], ["unidentified", "unidentified"], ["quarantined", "quarantine"]] as const satisfies readonly (readonly [string, Key])[];

const span = (ms: number): string => {
  const minutes = ms / 60_000;
  if (minutes < 120) return `${number(minutes)} ${t("minutes")}`;
  return minutes < 2880 ? `${number(minutes / 60)} ${t("hours")}` : `${number(minutes / 1440)} ${t("days")}`;
};
const sum = (of: Record<string, number>): number => Object.values(of).reduce((n, one) => n + one, 0);
/** What the service tells of each kind; those with records in quarantine are of those that have sent most. */
const PATHS: Readonly<Record<string, string>> = { silent: "/sources/silent", unidentified: "/sources/unidentified" };

/** Who sends, and what became of every record: received = parsed + quarantined + dropped, and beside it what was lost before us. */
export function SourcesPage() {
  const kind = createMemo(() => parameter("show"));
  const found = poll((signal) => get<Sources>(`${PATHS[kind()] ?? "/sources"}?size=${SHOWN}`, signal), LOOK_EVERY);
  createEffect(on(kind, () => void found.again(), { defer: true }));
  const ledger = poll((signal) => get<{ days: LedgerDay[] }>("/ledger", signal), LOOK_EVERY);
  const day = createMemo(() => parameter("day"));
  const sources = (): Source[] => (found.data()?.sources ?? []).filter((source) => kind() !== "quarantined" || source.quarantined > 0);
  const count = (of: (typeof KINDS)[number][0]): number | undefined => {
    const told = found.data();
    return of === "" ? told?.all : told?.[of];
  };
  return (
    <div class="stack">
      <section class="panel flush" aria-label={t("ledger")}>
        <h2>{t("ledger")} <span class="dim">{t("received")} = {t("parsed")} + {t("quarantine")} + {t("dropped")}</span></h2>
        <Freshness of={ledger} />
        <Ledger of={ledger} day={day()} />
      </section>
      <section class="panel flush" aria-label={t("sources")}>
        <h2>{t("sources")} <span class="dim">{number(found.data()?.all)}</span></h2>
        <div class="tools pad"><div class="tabs" role="group" aria-label={t("sources")}>
          <For each={KINDS}>{([value, name]) => <button aria-pressed={kind() === value} data-show={value} onClick={() => change({ show: value })}>{t(name)} {number(count(value))}</button>}</For>
        </div></div>
        <Show when={kind() === "silent"}><p class="dim pad" data-silent-hint>{t("silentHint")}</p></Show>
        <Freshness of={found} />
        <div class="scroll"><table class="sources">
          <thead><tr><th>{t("source")}</th><th>{t("format")}</th><th class="number">{t("received")}</th><th class="number wide">{t("parsed")}</th><th class="number">{t("quarantine")}</th><th class="number wide">{t("lostBefore")}</th><th class="wide">{t("first")}</th><th>{t("last")}</th></tr></thead>
          <tbody><For each={sources()} fallback={<tr><td colspan={8} class="dim empty">{found.data() ? t("none") : t("loading")}</td></tr>}>{(source) => (
            <tr data-source={source.address}>
              <td class="mono">{source.address === "other" ? <span class="dim">{t("otherSources")}</span> : <Anchor to={address("/search", { q: condition("log.source.address", source.address), from: "now-24h" })}>{visible(source.address)}</Anchor>} <span class="dim">{visible(source.transport)}</span></td>
              <td>{visible(source.format)}<Show when={source.unidentified}> <span class="run-state failing">{t("unidentified")}</span></Show></td>
              <td class="number">{number(source.received)}</td><td class="number wide">{number(source.parsed)}</td>
              <td class="number">{source.quarantined > 0 ? <Anchor class="problem" to={address("/quarantine", { source: source.address })}>{number(source.quarantined)}</Anchor> : "0"}</td>
              <td class="number wide">{source.lost_before ? number(sum(source.lost_before)) : ""}</td>
              <td class="time wide" lang={language()}>{when(source.first, utc())}</td>
              <td class="time" lang={language()}>{when(source.last, utc())}<Show when={source.silent_ms}>{(ms) => <> <span class="problem">{t("silentFor")} {span(ms())}</span></>}</Show></td>
            </tr>
          )}</For></tbody>
        </table></div>
      </section>
    </div>
  );
}

type Sums = { received: number; parsed: number; quarantined: number; dropped: number; lost: number };
const sums = (rows: LedgerDay[]): Sums => rows.reduce(
  (all, row) => ({ received: all.received + row.received, parsed: all.parsed + row.parsed, quarantined: all.quarantined + sum(row.quarantined), dropped: all.dropped + sum(row.dropped), lost: all.lost + sum(row.lost_before) }),
  { received: 0, parsed: 0, quarantined: 0, dropped: 0, lost: 0 },
);

/** A row a day; the chosen day source by source, with the reasons. */
function Ledger(props: { of: Polled<{ days: LedgerDay[] }>; day: string }) {
  const days = createMemo(() => {
    const by = new Map<string, LedgerDay[]>();
    for (const row of props.of.data()?.days ?? []) by.set(row.day, [...(by.get(row.day) ?? []), row]);
    return [...by].sort(([a], [b]) => (a < b ? 1 : -1));
  });
  const reasons = (of: Record<string, number>) => <For each={Object.entries(of)}>{([reason, count]) => <span class="chip">{visible(reason)} <span class="dim">{number(count)}</span></span>}</For>;
  const cells = (s: Sums) => (
    <>
      <td class="number">{number(s.received)}</td><td class="number">{number(s.parsed)}</td><td class="number">{number(s.quarantined)}</td><td class="number">{number(s.dropped)}</td>
      <td class="nowrap wide">{s.received === s.parsed + s.quarantined + s.dropped ? <span class="allowed">{t("balanced")}</span> : <span class="problem">{t("notBalanced")}</span>}</td>
      <td class="number" classList={{ problem: s.lost > 0 }}>{number(s.lost)}</td>
    </>
  );
  return (
    <div class="scroll"><table class="ledger">
      <thead><tr><th>{t("day")} (JST)</th><th class="number">{t("received")}</th><th class="number">{t("parsed")}</th><th class="number">{t("quarantine")}</th><th class="number">{t("dropped")}</th><th class="wide">=</th><th class="number">{t("lostBefore")}</th></tr></thead>
      <tbody><For each={days()} fallback={<tr><td colspan={7} class="dim empty">{props.of.data() ? t("none") : t("loading")}</td></tr>}>{([day, rows]) => (
        <>
          <tr class="row" data-ledger={day} classList={{ selected: day === props.day }} onClick={() => change({ day: day === props.day ? "" : day })}>
            <td class="time"><button class="plain" aria-expanded={day === props.day} onClick={(e) => { e.stopPropagation(); change({ day: day === props.day ? "" : day }); }}>{day}</button></td>{cells(sums(rows))}
          </tr>
          <Show when={day === props.day}><For each={rows}>{(row) => (
            <>
              <tr class="within" data-of={row.source}><td class="mono">{row.source === "other" ? t("otherSources") : visible(row.source)}</td>{cells(sums([row]))}</tr>
              <Show when={sum(row.quarantined) + sum(row.dropped) + sum(row.lost_before) + sum(row.released) > 0}>
                <tr class="within"><td /><td colspan={6}>{reasons(row.quarantined)}{reasons(row.dropped)}{reasons(row.lost_before)}<Show when={sum(row.released) > 0}><span class="dim">{t("released")}: {number(sum(row.released))}</span></Show></td></tr>
              </Show>
            </>
          )}</For></Show>
        </>
      )}</For></tbody>
    </table></div>
  );
}
