import { For, Show, createEffect, createMemo, createSignal, on, onCleanup } from "solid-js";
import { AlertDetail } from "./alert";
import { type Alert, get } from "./api";
import { type Line, follow } from "./follow";
import { keys } from "./keys";
import { language, number, pick, t, utc } from "./i18n";
import { Freshness, LEVELS, Level, Status } from "./parts";
import { address, change, go, parameter, parameters, path } from "./place";
import { kept, poll } from "./poll";
import { type Marks, Several, marks } from "./several";
import { brief, show, visible, when } from "./text";
import { me } from "./user";

const STATES = [["open,acknowledged", "notClosed"], ["open", "open"], ["acknowledged", "acknowledged"], ["closed", "closed"], ["all", "all"]] as const;
/** The stream tells of changes; the list is also looked at so often, in milliseconds. */
const LOOK_EVERY = 30_000;
/** Changes are gathered so long before the list is looked at again, in milliseconds. */
const GATHER = 400;
const PAGE = 100;

export const title = (alert: Alert): string => visible(pick(alert.title) ?? alert.rule.title);

export function Group(props: { alert: Alert }) {
  return <For each={Object.entries(props.alert.group)}>{([name, value]) => <span class="chip" title={`${visible(name)} ${show(value)}`}><span class="dim">{visible(name)}</span> {show(value)}</span>}</For>;
}

export function AlertTable(props: {
  alerts: Alert[];
  selected?: string | undefined;
  fresh?: ReadonlySet<string>;
  /** Without what a list beside other things has no room for. */
  compact?: boolean;
  /** Of today the time only. */
  brief?: boolean;
  /** Where several can be marked. */
  marks?: Marks;
  loaded: boolean;
  open: (alert: Alert) => void;
}) {
  return (
    <div class="scroll">
      <table class="alerts" classList={{ compact: props.compact ?? false }}>
        <thead><tr><th><Show when={props.marks}>{(marks) => <input type="checkbox" aria-label={t("markAll")} checked={props.alerts.length > 0 && marks().alerts().length === props.alerts.length} onChange={() => marks().all()} />}</Show> {t("level")}</th><th>{t("title")}</th><th>{t("group")}</th><th class="state">{t("status")}</th><th class="number">{t("count")}</th><th class="wide">{t("first")}</th><th>{t("last")}</th></tr></thead>
        <tbody>
          <For each={props.alerts} fallback={<tr><td colspan={7} class="dim empty">{props.loaded ? t("none") : t("loading")}</td></tr>}>
            {(alert) => (
              <tr class="row" classList={{ selected: alert.id === props.selected, fresh: props.fresh?.has(alert.id) ?? false }}
                aria-current={alert.id === props.selected ? "true" : undefined} onClick={() => props.open(alert)} data-alert={alert.id}>
                <td class="nowrap"><Show when={props.marks}>{(marks) => <input type="checkbox" aria-label={`${t("mark")} ${title(alert)}`} checked={marks().has(alert)} onClick={(e) => e.stopPropagation()} onChange={() => marks().toggle(alert)} />}</Show> <Level level={alert.rule.level} /></td>
                <td class="what"><a href={`/alerts/${alert.id}`} onClick={(e) => { e.stopPropagation(); if (e.ctrlKey || e.metaKey || e.shiftKey) return; e.preventDefault(); props.open(alert); }}>{title(alert)}</a></td>
                <td><Group alert={alert} /></td>
                <td class="state"><Status status={alert.status} /> <Show when={alert.assignee}>{(name) => <span class="dim">{visible(name())}</span>}</Show></td>
                <td class="number">{number(alert.count)}</td>
                <td class="time wide">{when(alert.first, utc())}</td>
                <td class="time" title={when(alert.last, utc())}>{props.compact || props.brief ? brief(alert.last, utc()) : when(alert.last, utc())}</td>
              </tr>
            )}
          </For>
        </tbody>
      </table>
    </div>
  );
}

/** The alerts, the chosen one beside them, and new ones as they come. */
export function Inbox() {
  const id = createMemo(() => path().split("/")[2] || undefined);
  const states = createMemo(() => parameter("status") || "open,acknowledged");
  const level = createMemo(() => parameter("level"));
  const levels = (): string[] => level().split(",").filter(Boolean);
  const rule = createMemo(() => parameter("rule"));
  const text = createMemo(() => parameter("q"));
  const mine = createMemo(() => parameter("mine") === "1");
  const [size, setSize] = createSignal(PAGE);
  const list = poll((signal) => get<{ alerts: Alert[]; total: number }>(address("/alerts", {
    size: String(size()), status: states() === "all" ? "" : states(), level: level(), rule: rule(), text: text(), assignee: mine() ? me()?.name : "",
  }), signal), LOOK_EVERY);
  createEffect(on([states, level, rule, text, mine, me, size], () => void list.again(), { defer: true }));
  const alerts = kept(() => list.data()?.alerts ?? []);
  const marked = marks(alerts);
  const [chosen, setChosen] = createSignal<string>();
  const [fresh, setFresh] = createSignal<ReadonlySet<string>>(new Set());
  const [news, setNews] = createSignal("");
  const [line, setLine] = createSignal<Line>("connecting");
  const [changed, setChanged] = createSignal(0);
  let gather: ReturnType<typeof setTimeout> | undefined;
  const lookSoon = (): void => {
    gather ??= setTimeout(() => { gather = undefined; void list.again(); }, GATHER);
  };
  const end = follow("/alerts/stream", {
    line: setLine,
    // What came while the line was broken is in the list.
    opened: (again) => { if (again) { void list.again(); setChanged((n) => n + 1); } },
    each: (message) => {
      if (message.event === "alert") {
        const alert = JSON.parse(message.data) as Alert;
        if (!alerts().some((a) => a.id === alert.id) && alert.status === "open") {
          setFresh((before) => new Set(before).add(alert.id));
          setNews(`${t("newAlert")}: ${title(alert)}`);
        }
        if (alert.id === id()) setChanged((n) => n + 1);
      }
      lookSoon();
    },
  });
  onCleanup(() => { end(); clearTimeout(gather); });
  const keep = (): Record<string, string> => Object.fromEntries([...parameters()].filter(([name]) => name !== "e"));
  const open = (alert: Alert): void => { setChosen(alert.id); go(address(`/alerts/${alert.id}`, keep()), id() !== undefined); };
  const leave = (): void => go(address("/alerts", keep()), true);
  const move = (by: number): void => {
    const at = alerts().findIndex((a) => a.id === (id() ?? chosen()));
    const next = alerts()[Math.max(0, Math.min(alerts().length - 1, at < 0 ? 0 : at + by))];
    if (!next) return;
    if (id()) open(next);
    else setChosen(next.id);
    document.querySelector(`[data-alert="${next.id}"]`)?.scrollIntoView({ block: "nearest" });
  };
  keys({
    j: () => move(1),
    k: () => move(-1),
    v: () => {
      const alert = alerts().find((a) => a.id === (id() ?? chosen()));
      if (alert) marked.toggle(alert);
    },
    Enter: () => {
      const alert = alerts().find((a) => a.id === chosen());
      if (alert) open(alert);
    },
  });
  let typing: ReturnType<typeof setTimeout> | undefined;
  const look = (words: string): void => {
    clearTimeout(typing);
    typing = setTimeout(() => change({ q: words.trim() }), GATHER);
  };
  onCleanup(() => clearTimeout(typing));
  const toggle = (one: string): void => {
    const next = levels().includes(one) ? levels().filter((l) => l !== one) : [...levels(), one];
    change({ level: next.join(",") });
  };
  return (
    <div class="inbox" classList={{ split: id() !== undefined }}>
      <section class="list" aria-label={t("alerts")}>
        <div class="tools">
          <div class="tabs" role="group" aria-label={t("status")}>
            <For each={STATES}>{([value, name]) => <button aria-pressed={states() === value} onClick={() => change({ status: value === STATES[0][0] ? "" : value })}>{t(name)}</button>}</For>
          </div>
          <div class="tabs" role="group" aria-label={t("level")}>
            <For each={LEVELS}>{(one) => <button class={one} aria-pressed={levels().includes(one)} onClick={() => toggle(one)}>{t(one)}</button>}</For>
          </div>
          <input name="alert-text" type="search" aria-label={t("findAlerts")} placeholder={t("findAlerts")} maxlength={80} value={text()} onInput={(e) => look(e.currentTarget.value)} autocomplete="off" />
          <label class="check"><input type="checkbox" checked={mine()} onChange={(e) => change({ mine: e.currentTarget.checked ? "1" : "" })} /> {t("mine")}</label>
          <Show when={rule()}><button class="chip" title={rule()} onClick={() => change({ rule: "" })}>{t("oneRule")} <span aria-hidden="true">×</span><span class="sr">{t("removeFacet")}</span></button></Show>
          <span class="grow" />
          <span class="dim"><b>{number(list.data()?.total)}</b> {t("alertsListed")}</span>
          <LineState line={line()} />
        </div>
        <Several marks={marked} changed={() => list.again()} />
        <Freshness of={list} />
        <div class="panel flush">
          <AlertTable alerts={alerts()} loaded={list.data() !== undefined} fresh={fresh()} selected={id() ?? chosen()} brief={id() !== undefined} marks={marked} open={open} />
          <Show when={(list.data()?.total ?? 0) > alerts().length && alerts().length > 0 && size() < 500}><div class="tools pad"><button onClick={() => setSize((n) => Math.min(500, n + PAGE))}>{t("moreAlerts")}</button></div></Show>
        </div>
        <p class="sr" aria-live="polite">{news()}</p>
      </section>
      <Show when={id()} keyed>{(one) => <AlertDetail id={one} version={changed()} leave={leave} changed={() => void list.again()} />}</Show>
    </div>
  );
}

/** Whether a stream is there. */
export function LineState(props: { line: Line }) {
  return <span class={`line-state ${props.line}`} role="status" lang={language()}>{t(props.line)}</span>;
}

