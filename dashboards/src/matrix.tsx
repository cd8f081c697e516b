import { For, Show, createEffect, createMemo, createResource, on } from "solid-js";
import { type Agg, type Cell, type Matrix, type Policy, type PolicyLine, type SearchAnswer, type Sensor, type Service, get, post } from "./api";
import { number, pick, t, utc } from "./i18n";
import { Freshness, Panel } from "./parts";
import { address, change, parameter } from "./place";
import { HASH } from "./policy";
import { type Polled, poll } from "./poll";
import { RANGES, ends } from "./search";
import { condition, show, visible, when } from "./text";
import { Histogram } from "./histogram";
import { Anchor } from "./anchor";

const LOOK_EVERY = 10_000;
/** What a cell counts, with the verdicts of its records. */
const VERDICTS = [["violations", ["violation"]], ["denied", ["attempt", "denied"]], ["exceptions", ["exception"]], ["unclear", ["unclear"]]] as const;

const state = (cell: { state: Cell["state"] }): "broken" | "kept" | "unseen" => (cell.state === "not observed" ? "unseen" : cell.state);
const cellName = (cell: { state: Cell["state"] }): string => t(cell.state === "not observed" ? "notObserved" : cell.state);
const REASONS = { violation: "reasonViolation", observed: "reasonObserved", blind: "reasonBlind", silent: "reasonSilent", unclear: "reasonUnclear", gone: "reasonGone", "no hour": "reasonNoHour" } as const;

/** The policy in force, and what people call its zones; without it they go by their short names. */
export function useZones(): { policy: () => Policy | undefined; name: (zone: string) => string } {
  const [policy] = createResource(() => get<Policy>("/policy").catch(() => undefined));
  return { policy, name: (zone) => pick(policy()?.zones.find((z) => z.name === zone)?.names) ?? zone };
}

/** From each zone to each: what was allowed, what was denied, what broke the policy. */
export function MatrixTable(props: { matrix: Matrix; small?: boolean; chosen?: string; name: (zone: string) => string; choose: (cell: Cell) => void }) {
  const cell = (from: string, to: string): Cell | undefined => props.matrix.cells.find((c) => c.from === from && c.to === to);
  const name = (zone: string): string => visible(props.name(zone));
  const said = (c: Cell): string => `${name(c.from)} → ${name(c.to)}: ${cellName(c)} (${t(REASONS[c.reason])}), ${t("violations")} ${c.violations}, ${t("allowed")} ${c.allowed}, ${t("denied")} ${c.denied}`;
  return (
    <div class="scroll">
      <table class="matrix" classList={{ small: props.small ?? false }}>
        <thead><tr><th><span class="dim">{t("from")} ＼ {t("to")}</span></th><For each={props.matrix.zones}>{(zone) => <th scope="col" title={zone}>{name(zone)}</th>}</For></tr></thead>
        <tbody>
          <For each={props.matrix.zones}>{(from) => (
            <tr>
              <th scope="row" title={from}>{name(from)}</th>
              <For each={props.matrix.zones}>{(to) => (
                <Show when={cell(from, to)} fallback={<td class="self" />}>{(c) => (
                  <td class={state(c())}>
                    <button aria-label={said(c())} title={said(c())} aria-pressed={props.chosen === `${from}>${to}`} data-cell={`${from}>${to}`} onClick={() => props.choose(c())}>
                      <b>{cellName(c())}</b>
                      <Show when={!props.small}>
                        <Show when={state(c()) === "unseen" && c().hours_kept > 0}><small>{t("kept")} {number(c().hours_kept)}/{number(c().hours_kept + c().hours_not_observed)} {t("hours")}</small></Show>
                        <span>{c().violations > 0 ? `${t("violations")} ${number(c().violations)}` : <><i class="allowed">{number(c().allowed)}</i> <i class="denied">{number(c().denied)}</i></>}</span>
                      </Show>
                    </button>
                  </td>
                )}</Show>
              )}</For>
            </tr>
          )}</For>
        </tbody>
      </table>
    </div>
  );
}

/** The zone matrix: any cell leads to the events in it, and to the lines of the policy that decide it. */
export function MatrixPage() {
  const from = createMemo(() => parameter("from") || "now-24h");
  const chosen = createMemo(() => parameter("cell"));
  const matrix: Polled<Matrix> = poll((signal) => get<Matrix>(`/policy/matrix?from=${encodeURIComponent(from())}`, signal), LOOK_EVERY);
  createEffect(on(from, () => void matrix.again(), { defer: true }));
  const { policy, name } = useZones();
  const cell = (): Cell | undefined => matrix.data()?.cells.find((c) => `${c.from}>${c.to}` === chosen());
  return (
    <>
      <div class="tools">
        <label>{t("range")} <select name="range" value={from()} onChange={(e) => change({ from: e.currentTarget.value })}>
          <For each={RANGES}>{([value, label]) => <option value={value} selected={value === from()}>{t(label)}</option>}</For>
        </select></label>
        <span class="legend"><span class="key broken" /> {t("broken")} <span class="key kept" /> {t("kept")} <span class="key unseen" /> {t("notObserved")} · <i class="allowed">{t("allowed")}</i> <i class="denied">{t("denied")}</i></span>
        <span class="grow" />
        <Anchor class="button" to="/matrix/policy">{t("policyVersions")}</Anchor>
      </div>
      <Freshness of={matrix} />
      <div class="results no-facets" classList={{ split: cell() !== undefined }}>
        <section class="panel" aria-label={t("matrix")}>
          <Show when={matrix.data()} keyed>{(m) => (
            <Show when={m.zones.length > 0} fallback={<p class="dim empty">{t("noPolicy")}</p>}>
              <p class="dim">{t("matrixHint")}</p>
              <MatrixTable matrix={m} name={name} chosen={chosen()} choose={(c) => change({ cell: `${c.from}>${c.to}` })} />
              <Show when={m.sensors?.length}><Sensors sensors={m.sensors!} /></Show>
            </Show>
          )}</Show>
        </section>
        <Show when={cell() && chosen()} keyed>{(_chosen) => <CellPanel cell={cell()!} from={from()} policy={policy()} name={name} close={() => change({ cell: "" })} />}</Show>
      </div>
    </>
  );
}

/** When each sensor was heard last: a cell is kept only where all of its sensors were heard all along. */
function Sensors(props: { sensors: Sensor[] }) {
  const overdue = (sensor: Sensor): boolean => sensor.last_heard === null || Date.now() - Date.parse(sensor.last_heard) > (sensor.heartbeat_minutes + 1) * 60_000;
  return (
    <>
      <h3>{t("sensors")}</h3>
      <table class="sensors">
        <thead><tr><th>{t("sensors")}</th><th>{t("heartbeat")}</th><th>{t("lastHeard")}</th><th>{t("state")}</th></tr></thead>
        <tbody><For each={props.sensors}>{(sensor) => (
          <tr data-sensor={sensor.sensor}><td class="mono">{visible(sensor.sensor)}</td><td class="nowrap">{number(sensor.heartbeat_minutes)} {t("minutes")}</td><td class="time">{sensor.last_heard ? when(sensor.last_heard, utc()) : "–"}</td>
            <td>{overdue(sensor) ? <span class="state broken">{t("overdue")}</span> : <span class="state kept">{t("inTime")}</span>}</td></tr>
        )}</For></tbody>
      </table>
    </>
  );
}

function CellPanel(props: { cell: Cell; from: string; policy: Policy | undefined; name: (zone: string) => string; close: () => void }) {
  // The answers of conversations lie the other way round; the interface says how both are found.
  const query = (verdicts: readonly string[] = []): string => {
    const any = verdicts.map((verdict) => condition("policy.verdict", verdict));
    return any.length > 0 ? `(${props.cell.query}) AND ${any.length > 1 ? `(${any.join(" OR ")})` : any[0]}` : props.cell.query;
  };
  const [hours] = createResource(() => props.from, (from) => get<Matrix>(`/policy/matrix?hours=true&from=${encodeURIComponent(from)}`).catch(() => undefined));
  const hourly = () => hours()?.cells.find((c) => c.from === props.cell.from && c.to === props.cell.to)?.hours?.slice().reverse() ?? [];
  const later = (hour: string): string => new Date(Date.parse(hour) + 3_600_000).toISOString();
  const to = (verdicts?: readonly string[]): string => address("/search", { q: query(verdicts), from: props.from });
  const [inside] = createResource(() => query(), (q) => post<SearchAnswer>("/search", {
    query: q, from: props.from, size: 0,
    aggs: Object.fromEntries([["hist", { date_histogram: {} }], ...["source.ip", "destination.ip", "destination.port"].map((field) => [field, { terms: { field, size: 6 } }])]),
  }));
  const lines = (kind: "allow" | "exceptions"): PolicyLine[] => props.policy?.[kind].filter((l) => (l.from === props.cell.from || l.from === "*") && (l.to === props.cell.to || l.to === "*")) ?? [];
  const never = (): number[] => props.policy?.must_deny.filter((m) => m.from === props.cell.from && m.to.includes(props.cell.to)).map((m) => m.line) ?? [];
  const title = (): string => `${visible(props.name(props.cell.from))} → ${visible(props.name(props.cell.to))}`;
  const found = (): SearchAnswer | undefined => (inside.error ? undefined : inside.latest);
  const top = (field: string, label: string) => (
    <Show when={found()?.aggs[field]?.buckets.length}>
      <h3>{label}</h3>
      <table><tbody><For each={(found()?.aggs[field] as Agg).buckets}>{(bucket) => (
        <tr><td class="mono"><Anchor to={address("/search", { q: `(${query()}) AND ${condition(field, bucket.key)}`, from: props.from })}>{show(bucket.key)}</Anchor></td><td class="number">{number(bucket.count)}</td></tr>
      )}</For></tbody></table>
    </Show>
  );
  return (
    <Panel label={title()} close={props.close}>
      <div class="tools head"><h2 class="grow">{title()}</h2><button onClick={() => props.close()}>{t("closeIt")} <kbd>Esc</kbd></button></div>
      <p class="facts"><span class={`state ${state(props.cell)}`}>{cellName(props.cell)}</span><span>{t(REASONS[props.cell.reason])}</span><span>{t("allowed")}: <b>{number(props.cell.allowed)}</b></span></p>
      <Show when={props.cell.sensors.length > 0}><p class="dim">{t("sensors")}: {props.cell.sensors.map(visible).join(", ")}<Show when={props.cell.silent.length > 0}> – {t("silent")}: {props.cell.silent.map(visible).join(", ")}</Show></p></Show>
      <Show when={props.cell.policies.length > 0}><p class="dim">{t("judgedBy")}: <span class="mono">{props.cell.policies.map((hash) => hash.slice(0, HASH)).join(", ")}</span></p></Show>
      <div class="tools">
        <Anchor class="button" to={to()}>{t("events24")}</Anchor>
        <For each={VERDICTS}>{([name, verdicts]) => <Show when={props.cell[name] > 0}><Anchor class={`button ${name}`} to={to(verdicts)}>{t(name)}: {number(props.cell[name])}</Anchor></Show>}</For>
      </div>
      <Show when={found()?.aggs["hist"]} keyed>{(agg) => <Histogram agg={agg} range={ends(props.from, "")} height={90} />}</Show>
      <Show when={hourly().length > 0}>
        <h3>{t("byHour")}</h3>
        <table class="hours"><thead><tr><th scope="col">{t("hour")}</th><th scope="col">{t("state")}</th><th scope="col" class="number">{t("allowed")}</th><th scope="col" class="number">{t("denied")}</th><th scope="col" class="number">{t("violations")}</th></tr></thead>
          <tbody><For each={hourly().slice(0, 48)}>{(hour) => (
            <tr><td><Anchor to={address("/search", { q: query(), from: hour.hour, to: later(hour.hour) })}>{when(hour.hour, utc())}</Anchor></td>
              <td><span class={`state ${state(hour)}`}>{cellName(hour)}</span><Show when={hour.silent?.length}> <span class="dim">{t("silent")}: {hour.silent!.map(visible).join(", ")}</span></Show></td>
              <td class="number">{number(hour.allowed)}</td><td class="number">{number(hour.denied)}</td><td class="number">{number(hour.violations)}</td></tr>
          )}</For></tbody></table>
      </Show>
      {top("source.ip", t("topSources"))}
      {top("destination.ip", t("topDestinations"))}
      {top("destination.port", t("topPorts"))}
      <h3>{t("allowedBy")}</h3>
      <For each={never()}>{(line) => <p class="problem">{t("mustDeny")} ({t("line")} {line})</p>}</For>
      <ul class="policy">
        <For each={[...lines("allow"), ...lines("exceptions")]} fallback={<li class="dim">{t("noLine")}</li>}>{(line) => (
          <li><span class="dim">{t("line")} {line.line}</span> {line.service.map(service).join(", ") || t("all")} <Show when={line.until}>{(until) => <span class="dim">– {when(until(), utc())}</span>}</Show> {Object.values(line.about).map(visible).join(" · ")}</li>
        )}</For>
      </ul>
    </Panel>
  );
}

function service(one: Service): string {
  const protocol = one.protocol === null ? t("all") : ({ 1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6" } as Record<number, string>)[one.protocol] ?? String(one.protocol);
  return one.low === 0 && one.high === 65_535 ? protocol : `${protocol}/${one.low === one.high ? one.low : `${one.low}-${one.high}`}`;
}
