// What is done to several alerts at once: an incident is often many of them.
import { Show, createMemo, createSignal } from "solid-js";
import { act } from "./act";
import { CloseDialog } from "./alert";
import { type Alert, post } from "./api";
import { number, t } from "./i18n";
import { Wrong } from "./parts";
import { me } from "./user";

export type Marks = {
  /** Those of the list that are marked. What is not shown is not acted on. */
  alerts: () => Alert[];
  has: (alert: Alert) => boolean;
  toggle: (alert: Alert) => void;
  /** Marks all of the list, or none where all are. */
  all: () => void;
  clear: () => void;
};

export function marks(list: () => Alert[]): Marks {
  const [ids, setIds] = createSignal<ReadonlySet<string>>(new Set());
  const alerts = createMemo(() => list().filter((alert) => ids().has(alert.id)));
  const toggle = ({ id }: Alert): void => {
    setIds((before) => {
      const after = new Set(before);
      if (!after.delete(id)) after.add(id);
      return after;
    });
  };
  const clear = (): void => void setIds(new Set<string>());
  const all = (): void => {
    if (alerts().length === list().length) clear();
    else setIds(new Set(list().map((alert) => alert.id)));
  };
  return { alerts, has: (alert) => ids().has(alert.id), toggle, all, clear };
}

/** The marked alerts and what can be done to them, one after the other: where one fails it and those behind it stay marked. */
export function Several(props: { marks: Marks; changed: () => Promise<void> }) {
  const [closing, setClosing] = createSignal(false);
  const doing = act();
  const notClosed = (): Alert[] => props.marks.alerts().filter((alert) => alert.status !== "closed");
  const open = (): Alert[] => props.marks.alerts().filter((alert) => alert.status === "open");
  const each = async (alerts: Alert[], body: Record<string, string>): Promise<void> => {
    const went = await doing.run(async (signal) => {
      for (const alert of alerts) {
        await post(`/alerts/${encodeURIComponent(alert.id)}/actions`, body, signal);
        props.marks.toggle(alert);
      }
    });
    if (went) props.marks.clear();
    await props.changed();
  };
  const close = (disposition: string, comment: string): void => {
    setClosing(false);
    void each(notClosed(), { action: "close", disposition, ...(comment ? { comment } : {}) });
  };
  return (
    <Show when={props.marks.alerts().length > 0}>
      <div class="tools" role="group" aria-label={t("markedAlerts")} data-marked={props.marks.alerts().length}>
        <b>{number(props.marks.alerts().length)}</b> {t("markedAlerts")}
        <button disabled={doing.busy() || open().length === 0} onClick={() => void each(open(), { action: "acknowledge" })}>{t("acknowledge")}</button>
        <Show when={me()}>{(own) => <button disabled={doing.busy() || notClosed().length === 0} onClick={() => void each(notClosed(), { action: "assign", assignee: own().name })}>{t("assignMe")}</button>}</Show>
        <button disabled={doing.busy() || notClosed().length === 0} onClick={() => setClosing(true)}>{t("close")}…</button>
        <button class="quiet" onClick={() => props.marks.clear()}>{t("unmark")}</button>
      </div>
      <Show when={doing.problem()} keyed>{(problem) => <Wrong problem={problem} />}</Show>
      <Show when={closing()}><CloseDialog cancel={() => setClosing(false)} close={close} /></Show>
    </Show>
  );
}
