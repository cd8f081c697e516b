import { For, Match, Show, Switch, createEffect, createMemo, createResource, createSignal, on } from "solid-js";
import { Group, title } from "./alerts";
import { Anchor } from "./anchor";
import { type Action, type Alert, type Delivery, type Entry, type Hit, type Problem, get, post, problemOf } from "./api";
import { EventPanel, FieldName, summary } from "./event";
import { keys } from "./keys";
import { number, pick, t, utc, word } from "./i18n";
import { Freshness, Level, Modal, Panel, Status, Wrong, told } from "./parts";
import { address, change, go, parameter } from "./place";
import { Terminal } from "./terminal";
import { kept, poll } from "./poll";
import { condition, narrow, show, visible, when } from "./text";
import { me } from "./user";

const DISPOSITIONS = ["true_positive", "false_positive", "benign", "duplicate"] as const;
/** How long closing can be undone from where it was done, in milliseconds. */
const UNDO = 12_000;
/** Around an alert's events, when it is searched for what else there was, in milliseconds. */
const AROUND = 15 * 60_000;

/** The stream tells of changes; deliveries are told by looking again, so often, in milliseconds. */
const LOOK_EVERY = 30_000;

const load = async (id: string, signal: AbortSignal): Promise<{ alert: Alert; entries: Entry[] }> => {
  const [alert, timeline] = await Promise.all([
    get<Alert>(`/alerts/${encodeURIComponent(id)}`, signal),
    get<{ entries: Entry[] }>(`/alerts/${encodeURIComponent(id)}/timeline`, signal),
  ]);
  return { alert, entries: timeline.entries };
};

/** The whole of an alert: what it means, what to do, what shows it, what was done. */
export function AlertDetail(props: { id: string; version: number; leave: () => void; changed: () => void }) {
  const found = poll((signal) => load(props.id, signal), LOOK_EVERY);
  createEffect(on(() => props.version, () => void found.again(), { defer: true }));
  const [names] = createResource(async () => {
    const { tokens } = await get<{ tokens: { name: string; good: boolean }[] }>("/tokens").catch(() => ({ tokens: [] }));
    return [...new Set(tokens.filter((token) => token.good).map((token) => token.name))].sort();
  });
  const alert = (): Alert | undefined => found.data()?.alert;
  const [comment, setComment] = createSignal("");
  const [problem, setProblem] = createSignal<Problem>();
  const [closing, setClosing] = createSignal(false);
  const [undo, setUndo] = createSignal(false);
  const row = CSS.escape(props.id);
  let commentField!: HTMLInputElement;
  let forget: ReturnType<typeof setTimeout> | undefined;
  const act = async (action: string, more: Record<string, string> = {}): Promise<boolean> => {
    try {
      await post<Alert>(`/alerts/${encodeURIComponent(props.id)}/actions`, { action, ...more });
      setProblem(undefined);
      await found.again();
      props.changed();
      return true;
    } catch (error) {
      setProblem(problemOf(error));
      return false;
    }
  };
  const say = async (): Promise<void> => {
    const text = comment().trim();
    if (text && (await act("comment", { comment: text }))) setComment("");
  };
  const close = async (disposition: string, text: string): Promise<void> => {
    setClosing(false);
    if (!(await act("close", { disposition, ...(text ? { comment: text } : {}) }))) return;
    setUndo(true);
    clearTimeout(forget);
    forget = setTimeout(() => setUndo(false), UNDO);
  };
  const reopen = async (): Promise<void> => {
    setUndo(false);
    await act("reopen");
  };
  const open = (): boolean => alert() !== undefined && alert()?.status !== "closed";
  keys({
    a: () => { if (alert()?.status === "open") void act("acknowledge"); },
    m: () => { if (open() && me()) void act("assign", { assignee: me()!.name }); },
    c: () => commentField?.focus(),
    x: () => { if (open()) setClosing(true); },
    r: () => { if (alert()?.status === "closed") void reopen(); },
  });
  const related = (a: Alert): string => Object.entries(a.group).filter(([k]) => k.includes(".")).map(([k, v]) => condition(k, v)).join(" AND ");
  const around = (a: Alert, query = related(a)): string => {
    const at = (iso: string, by: number): string => new Date(Date.parse(iso) + by).toISOString();
    return address("/search", { q: query, from: at(a.first, -AROUND), to: at(a.last, AROUND) });
  };
  // The record that is open stands in the address, so that a reload and a link find it; it may be none of the evidence.
  const eventId = createMemo(() => parameter("e"));
  const setEvent = (hit: Hit): void => change({ e: hit.id }, eventId() === "");
  const events = kept(() => found.data()?.entries.flatMap((entry) => entry.event ?? []) ?? []);
  const [single] = createResource(
    () => (found.data() && eventId() && !events().some((hit) => hit.id === eventId()) ? eventId() : undefined),
    (id) => get<Hit>(`/events/${encodeURIComponent(id)}`).catch(() => undefined),
  );
  const event = (): Hit | undefined => (eventId() ? (events().find((hit) => hit.id === eventId()) ?? (single.latest?.id === eventId() ? single.latest : undefined)) : undefined);
  return (
    <Panel label={alert() ? title(alert()!) : t("alerts")} close={() => props.leave()} class="detail" back={() => document.querySelector(`[data-alert="${row}"] a`)}>
      <Switch fallback={<p class="dim">{t("loading")}</p>}>
        <Match when={alert() === undefined && found.problem()} keyed>{(error) => (
          <>
            <div class="tools head"><p class="grow problem" role="alert">{told(error)}</p><button onClick={() => props.leave()}>{t("closeIt")} <kbd>Esc</kbd></button></div>
            <Show when={error.status !== 404}><button onClick={() => void found.again()}>{t("again")}</button></Show>
          </>
        )}</Match>
        <Match when={alert()}>{(a) => (
          <>
            <div class="tools head">
              <h2 class="grow"><Level level={a().rule.level} /> {title(a())}</h2>
              <button onClick={() => props.leave()}>{t("closeIt")} <kbd>Esc</kbd></button>
            </div>
            <Freshness of={found} />
            <p class="facts">
              <span data-status={a().status}><Status status={a().status} /></span>
              <Show when={a().disposition}>{(d) => <span>{word(d())}</span>}</Show>
              <span>{t("assignee")}: <b>{a().assignee ? visible(a().assignee!) : t("nobody")}</b></span>
              <span>{t("count")}: <b>{number(a().count)}</b></span>
              <span class="time">{when(a().first, utc())} – {when(a().last, utc())}</span>
            </p>
            <p><Group alert={a()} /></p>
            <div class="tools acts">
              <Show when={a().status === "open"}><button class="primary" onClick={() => void act("acknowledge")}>{t("acknowledge")} <kbd>a</kbd></button></Show>
              <Show when={open()} fallback={<button class="primary" onClick={() => void reopen()}>{t("reopen")} <kbd>r</kbd></button>}>
                <button onClick={() => setClosing(true)}>{t("close")}… <kbd>x</kbd></button>
                <button onClick={() => void act("escalate")}>{t("escalate")}</button>
                <Show when={me() && a().assignee !== me()!.name}><button onClick={() => void act("assign", { assignee: me()!.name })}>{t("assignMe")} <kbd>m</kbd></button></Show>
                <label>{t("assignee")} <select name="assignee" value={a().assignee ?? ""} onChange={(e) => void act("assign", { assignee: e.currentTarget.value })}>
                  <option value="">{t("nobody")}</option>
                  <For each={[...new Set([...(names() ?? []), ...(a().assignee ? [a().assignee!] : [])])]}>{(name) => <option value={name} selected={name === a().assignee}>{visible(name)}</option>}</For>
                </select></label>
              </Show>
              <Show when={related(a())}><button onClick={() => go(around(a()))}>{t("searchRelated")}</button></Show>
            </div>
            <Show when={undo() && a().status === "closed"}>
              <p class="undo" role="status">{t("hasClosed")} <button onClick={() => void reopen()}>{t("undo")}</button></p>
            </Show>
            <Show when={problem()} keyed>{(p) => <Wrong problem={p} />}</Show>
            <dl class="advice">
              <Show when={pick(a().first_steps)}>{(text) => <><dt>{t("firstSteps")}</dt><dd class="steps">{visible(text())}</dd></>}</Show>
              <Show when={pick(a().meaning)}>{(text) => <><dt>{t("meaning")}</dt><dd>{visible(text())}</dd></>}</Show>
              <Show when={pick(a().false_positives)}>{(text) => <><dt>{t("falsePositives")}</dt><dd>{visible(text())}</dd></>}</Show>
              <Show when={a().clause}>{(clause) => <><dt>{t("clause")}</dt><dd>§{visible(clause())}</dd></>}</Show>
              <dt>{t("rule")}</dt><dd><Anchor to={address("/rules", { r: a().rule.id })}>{title(a())}</Anchor> · <Anchor to={address("/alerts", { rule: a().rule.id, status: "all" })}>{t("alertsOfRule")}</Anchor> <span class="dim mono">{visible(a().rule.id)} {visible(a().rule.tags.join(" "))}</span></dd>
            </dl>
            <h3>{t("evidence")} <span class="dim">{number(events().length)}</span></h3>
            <div class="scroll"><table><tbody>
              <For each={events()} fallback={<tr><td class="dim">{t("none")}</td></tr>}>{(hit) => (
                <tr class="row" onClick={() => setEvent(hit)} data-evidence={hit.id}>
                  <td class="time"><button class="plain" onClick={(e) => { e.stopPropagation(); setEvent(hit); }}>{when(hit.time, utc())}</button></td>
                  <td class="mono"><span class="two-lines">{summary(hit)}</span></td>
                </tr>
              )}</For>
            </tbody></table></div>
            <Show when={a().fields["source.ip"]}>{(ip) => <Terminal ip={ip()} port={a().fields["source.port"]} at={a().first} />}</Show>
            <Show when={Object.keys(a().fields).length > 0}>
              <details><summary>{t("firstEvent")}</summary><table class="fields"><tbody><For each={Object.entries(a().fields)}>{([name, value]) => <tr><th scope="row"><FieldName name={name} /></th><td class="mono">{show(value)}</td></tr>}</For></tbody></table></details>
            </Show>
            <Show when={Object.entries(a().explanation ?? {})}>{(all) => (
              <Show when={all().length > 0}><details><summary>{t("numbers")}</summary><table class="fields"><tbody><For each={all()}>{([name, value]) => <tr><th scope="row">{visible(name)}</th><td class="mono">{visible(value)}</td></tr>}</For></tbody></table></details></Show>
            )}</Show>
            <h3>{t("timeline")}</h3>
            <ol class="timeline">
              <For each={found.data()?.entries}>{(entry) => <li class={entry.kind}><span class="time">{when(entry.time, utc())}</span> <TimelineText entry={entry} /></li>}</For>
            </ol>
            <form class="query" onSubmit={(e) => { e.preventDefault(); void say(); }}>
              <input ref={commentField} name="comment" aria-label={t("comment")} placeholder={`${t("comment")} (c)`} value={comment()} onInput={(e) => setComment(e.currentTarget.value)} autocomplete="off" />
              <button>{t("comment")}</button>
            </form>
          </>
        )}</Match>
      </Switch>
      <Show when={closing()}><CloseDialog cancel={() => setClosing(false)} close={(d, text) => void close(d, text)} /></Show>
      <Show when={event()?.id} keyed>{(_id) => <EventPanel hit={event()!} close={() => change({ e: "" })} show={setEvent} narrow={(added, negate) => go(around(alert()!, narrow(negate ? related(alert()!) : "", added, negate)))} />}</Show>
    </Panel>
  );
}

function TimelineText(props: { entry: Entry }) {
  const did = (action: Action): string =>
    [word(action.action), action.assignee !== null ? `→ ${visible(action.assignee) || t("nobody")}` : "", action.disposition ? `(${word(action.disposition)})` : ""].filter(Boolean).join(" ");
  const went = (delivery: Delivery): string => word(delivery.state === "waiting" ? "waitingState" : delivery.state);
  return (
    <Switch fallback={<b>{word(props.entry.kind)}</b>}>
      <Match when={props.entry.event}>{(hit) => <span class="mono">{summary(hit()).slice(0, 200)}</span>}</Match>
      <Match when={props.entry.action}>{(action) => <><b>{visible(action().actor)}</b> {did(action())} <Show when={action().comment}>{(text) => <span class="said">{visible(text())}</span>}</Show></>}</Match>
      <Match when={props.entry.delivery}>{(delivery) => <><b>{t("deliveredTo")}</b> {visible(delivery().destination)}: {went(delivery())} <span class="dim">{visible(delivery().last_error ?? "")}</span></>}</Match>
    </Switch>
  );
}

/** Asks for the disposition: an alert is not closed by one stray key. */
export function CloseDialog(props: { cancel: () => void; close: (disposition: string, comment: string) => void }) {
  const [disposition, setDisposition] = createSignal<string>(DISPOSITIONS[0]);
  const [comment, setComment] = createSignal("");
  return (
    <Modal label={t("closing")} close={props.cancel}>
      <form onSubmit={(e) => { e.preventDefault(); props.close(disposition(), comment().trim()); }}>
        <h2>{t("closing")}</h2>
        <fieldset>
          <legend>{t("disposition")}</legend>
          <For each={DISPOSITIONS}>{(d) => <label class="check"><input type="radio" name="disposition" value={d} checked={disposition() === d} autofocus={d === DISPOSITIONS[0]} onChange={() => setDisposition(d)} /> {t(d)}</label>}</For>
        </fieldset>
        <label>{t("comment")} <input name="reason" value={comment()} onInput={(e) => setComment(e.currentTarget.value)} autocomplete="off" /></label>
        <div class="tools"><button class="primary">{t("close")}</button><button type="button" onClick={() => props.cancel()}>{t("cancel")}</button></div>
      </form>
    </Modal>
  );
}
