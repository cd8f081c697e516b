import { For, Show, createEffect, createMemo, createResource, createSignal, on } from "solid-js";
import { act } from "./act";
import { type LedgerDay, type Quarantined, get, post } from "./api";
import { type Key, number, t, utc } from "./i18n";
import { Freshness, Panel, Wrong } from "./parts";
import { address, change, parameter } from "./place";
import { kept, poll } from "./poll";
import { dump, visible, when } from "./text";

const LOOK_EVERY = 10_000;
const PAGE = 100;

/** Why nothing could read a record, in the person's language where it is one of the common cases. */
const REASONS: Readonly<Record<string, Key>> = {
  "no decoder knows this record": "unknownFormat", "empty record": "emptyRecord", "flow record is cut": "cutFlow", "no flow packet: unknown version": "noFlow",
};
const reasonName = (reason: string): string => (REASONS[reason] ? t(REASONS[reason]) : visible(reason));

type Page = { records: Quarantined[]; total: number; after: string | null };

/** Records that no decoder could read: why, from whom, every byte; read again once a parser is mended. */
export function QuarantinePage() {
  const reason = createMemo(() => parameter("reason"));
  const source = createMemo(() => parameter("source"));
  const after = createMemo(() => parameter("after"));
  const list = poll((signal) => get<Page>(address("/quarantine", { reason: reason(), source: source(), after: after(), size: String(PAGE) }), signal), LOOK_EVERY);
  createEffect(on([reason, source, after], () => void list.again(), { defer: true }));
  const records = kept(() => list.data()?.records ?? []);
  const chosen = (): Quarantined | undefined => records().find((record) => record.id === parameter("e"));
  const [days] = createResource(() => get<{ days: LedgerDay[] }>("/ledger").then((found) => found.days).catch((): LedgerDay[] => []));
  const reasons = (): string[] => [...new Set([...(days() ?? []).flatMap((day) => Object.keys(day.quarantined)), ...(reason() ? [reason()] : [])])].sort();
  const sources = (): string[] => [...new Set([...(days() ?? []).filter((day) => Object.keys(day.quarantined).length > 0).map((day) => day.source), ...(source() ? [source()] : [])])].sort();
  const reading = act();
  const [done, setDone] = createSignal<{ looked_at: number; released: number; dry: boolean }>();
  const reparse = (dry: boolean) => reading.run(async (signal) => {
    setDone(undefined);
    const body = { ...(reason() ? { reason: reason() } : {}), ...(source() ? { source: source() } : {}), dry_run: dry };
    setDone({ ...(await post<{ looked_at: number; released: number }>("/quarantine/reparse", body, signal)), dry });
    await list.again();
  });
  return (
    <>
      <div class="tools">
        <label>{t("reason")} <select name="reason" onChange={(e) => change({ reason: e.currentTarget.value, after: "" })}>
          <option value="">{t("all")}</option><For each={reasons()}>{(one) => <option value={one} selected={one === reason()}>{reasonName(one)}</option>}</For>
        </select></label>
        <label>{t("source")} <select name="source" onChange={(e) => change({ source: e.currentTarget.value, after: "" })}>
          <option value="">{t("all")}</option><For each={sources()}>{(one) => <option value={one} selected={one === source()}>{visible(one)}</option>}</For>
        </select></label>
        <span class="dim"><b data-total={list.data()?.total}>{number(list.data()?.total)}</b> {t("recordsListed")}</span>
        <span class="grow" />
        <button disabled={reading.busy() || list.data()?.total === 0} onClick={() => void reparse(true)}>{t("reparseTry")}</button>
        <button disabled={reading.busy() || list.data()?.total === 0} onClick={() => void reparse(false)}>{t("reparse")}</button>
      </div>
      <Show when={done()} keyed>{(d) => <p role="status" data-released={d.released}>{t("lookedAt")}: <b>{number(d.looked_at)}</b> · {t(d.dry ? "readable" : "released")}: <b>{number(d.released)}</b></p>}</Show>
      <Show when={reading.problem()} keyed>{(problem) => <Wrong problem={problem} />}</Show>
      <Freshness of={list} />
      <div class="inbox" classList={{ split: chosen() !== undefined }}>
        <section class="panel flush" aria-label={t("quarantine")}>
          <div class="scroll"><table class="cards quarantine">
            <thead><tr><th>{t("received")}</th><th>{t("source")}</th><th>{t("reason")}</th><th class="number wide">{t("bytes")}</th><th>{t("raw")}</th></tr></thead>
            <tbody><For each={records()} fallback={<tr><td colspan={5} class="dim empty">{list.data() ? t("none") : t("loading")}</td></tr>}>{(record) => (
              <tr class="row" classList={{ selected: record.id === chosen()?.id }} data-quarantined={record.id} onClick={() => change({ e: record.id })}>
                <td class="time"><button class="plain" aria-label={`${t("raw")} ${record.id}`} onClick={(e) => { e.stopPropagation(); change({ e: record.id }); }}>{when(record.received, utc())}</button></td>
                <td class="mono">{visible(record.source)} <span class="dim">{visible(record.transport)}</span></td>
                <td title={visible(record.reason)}>{reasonName(record.reason)} <Show when={record.releasing}><span class="dim">{t("releasing")}</span></Show></td>
                <td class="number wide">{record.raw_bytes === null ? "" : number(record.raw_bytes)}</td>
                <td class="mono what"><span class="two-lines">{record.raw !== null ? visible(record.raw) : record.hex ? visible(record.hex) : t("goneRaw")}</span></td>
              </tr>
            )}</For></tbody>
          </table></div>
          <Show when={after() || list.data()?.after}><div class="tools pad">
            <Show when={after()}><button onClick={() => change({ after: "" })}>{t("first")}</button></Show>
            <Show when={list.data()?.after}>{(next) => <button onClick={() => change({ after: next() }, true)}>{t("more")}</button>}</Show>
          </div></Show>
        </section>
        <Show when={chosen()?.id} keyed>{(_id) => (
          <Panel label={t("quarantine")} close={() => change({ e: "" })} back={() => document.querySelector("tr.selected button")}>
            <div class="tools head"><h2 class="grow">{t("raw")}</h2><button onClick={() => change({ e: "" })}>{t("closeIt")} <kbd>Esc</kbd></button></div>
            <p class="facts"><span class="mono">{chosen()!.id}</span><span class="time">{when(chosen()!.received, utc())}</span><span class="mono">{visible(chosen()!.source)}</span><span>{reasonName(chosen()!.reason)}</span></p>
            <Show when={chosen()!.raw !== null}><div class="mono rawtext">{visible(chosen()!.raw ?? "")}</div></Show>
            <h3>{t("hexView")} <Show when={chosen()!.raw_bytes !== null}><span class="dim">{number(chosen()!.raw_bytes!)}</span></Show></h3>
            <Show when={chosen()!.hex} fallback={<p class="dim">{t("goneRaw")}</p>}>{(hex) => <div class="mono rawtext hex">{dump(hex())}</div>}</Show>
          </Panel>
        )}</Show>
      </div>
    </>
  );
}
