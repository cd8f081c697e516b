import { For, Show, createEffect, createResource, createSignal, onCleanup, onMount } from "solid-js";
import { type Alert, type Hit, follow, get, post } from "./api";
import { EventDrawer } from "./event";
import { has, language, pick, t, utc } from "./i18n";
import { condition, show, visible, when } from "./text";

export const title = (alert: Alert): string => visible(pick(alert.title) ?? alert.rule.title);
const group = (alert: Alert): string => Object.entries(alert.group).map(([k, v]) => `${k}=${show(v)}`).join(", ");

export function AlertTable(props: { alerts: Alert[]; selected?: string | undefined; open: (alert: Alert) => void }) {
  return (
    <div class="scroll">
      <table>
        <thead><tr><th>{t("level")}</th><th>{t("title")}</th><th>{t("group")}</th><th>{t("status")}</th><th>{t("count")}</th><th>{t("last")}</th></tr></thead>
        <tbody>
          <For each={props.alerts} fallback={<tr><td colspan={6} class="dim">{t("none")}</td></tr>}>
            {(alert) => (
              <tr class="row" classList={{ selected: alert.id === props.selected }} onClick={() => props.open(alert)} data-alert={alert.id}>
                <td class={`level ${alert.rule.level}`}>{alert.rule.level}</td>
                <td><a href={`/alerts/${alert.id}`} onClick={(e) => { e.preventDefault(); e.stopPropagation(); props.open(alert); }}>{title(alert)}</a></td>
                <td class="mono">{group(alert)}</td>
                <td>{has(alert.status) ? t(alert.status) : alert.status}</td>
                <td class="number">{alert.count.toLocaleString(language())}</td>
                <td class="time">{when(alert.last, utc())}</td>
              </tr>
            )}
          </For>
        </tbody>
      </table>
    </div>
  );
}

export function Inbox(props: { id?: string | undefined; go: (path: string) => void }) {
  const [status, setStatus] = createSignal("open");
  const [level, setLevel] = createSignal("");
  const [list, { refetch }] = createResource(
    () => ({ status: status(), level: level() }),
    (f) => get<{ alerts: Alert[]; total: number }>(`/alerts?size=200&status=${f.status}&level=${f.level}`),
  );
  const [at, setAt] = createSignal(0);
  const alerts = (): Alert[] => list.latest?.alerts ?? [];
  const abort = new AbortController();
  onMount(() => {
    follow("/alerts/stream", () => void refetch(), abort.signal).catch(() => undefined);
    const keys = (e: KeyboardEvent): void => {
      if (e.target instanceof HTMLInputElement || e.target instanceof HTMLTextAreaElement || e.target instanceof HTMLSelectElement) return;
      if (e.key === "j") setAt((n) => Math.min(n + 1, alerts().length - 1));
      else if (e.key === "k") setAt((n) => Math.max(n - 1, 0));
      else if (e.key === "Enter" && !props.id) {
        const alert = alerts()[at()];
        if (alert) props.go(`/alerts/${alert.id}`);
      } else if (e.key === "Escape") props.go("/alerts");
    };
    document.addEventListener("keydown", keys);
    onCleanup(() => { document.removeEventListener("keydown", keys); abort.abort(); });
  });
  return (
    <>
      <div class="tools">
        <label>{t("status")} <select value={status()} onChange={(e) => setStatus(e.currentTarget.value)}>
          <option value="">{t("all")}</option><option value="open">{t("open")}</option><option value="acknowledged">{t("acknowledged")}</option><option value="closed">{t("closed")}</option>
        </select></label>
        <label>{t("level")} <select value={level()} onChange={(e) => setLevel(e.currentTarget.value)}>
          <option value="">{t("all")}</option><For each={["critical", "high", "medium", "low"]}>{(l) => <option>{l}</option>}</For>
        </select></label>
        <span class="dim">{list.latest?.total ?? 0} {t("hits")}</span>
      </div>
      <div class="panel"><AlertTable alerts={alerts()} selected={props.id ?? alerts()[at()]?.id} open={(a) => props.go(`/alerts/${a.id}`)} /></div>
      <Show when={props.id} keyed>{(id) => <Detail id={id} go={props.go} changed={() => void refetch()} />}</Show>
    </>
  );
}

function Detail(props: { id: string; go: (path: string) => void; changed: () => void }) {
  const [alert, { mutate }] = createResource(() => props.id, (id) => get<Alert>(`/alerts/${encodeURIComponent(id)}`));
  const [events] = createResource(() => props.id, (id) => get<{ events: Hit[] }>(`/alerts/${encodeURIComponent(id)}/events`));
  const [comment, setComment] = createSignal("");
  const [disposition, setDisposition] = createSignal("true_positive");
  const [problem, setProblem] = createSignal("");
  const [open, setOpen] = createSignal<Hit>();
  const act = async (action: string): Promise<void> => {
    try {
      const text = comment().trim();
      mutate(await post<Alert>(`/alerts/${encodeURIComponent(props.id)}/actions`, {
        action, ...(text ? { comment: text } : {}), ...(action === "close" ? { disposition: disposition() } : {}),
      }));
      setComment("");
      setProblem("");
      props.changed();
    } catch (error) {
      setProblem(String(error instanceof Error ? error.message : error));
    }
  };
  createEffect(() => {
    const keys = (e: KeyboardEvent): void => {
      if (e.target instanceof HTMLInputElement || e.target instanceof HTMLTextAreaElement || e.target instanceof HTMLSelectElement) return;
      if (e.key === "a") void act("acknowledge");
      else if (e.key === "x") void act("close");
    };
    document.addEventListener("keydown", keys);
    onCleanup(() => document.removeEventListener("keydown", keys));
  });
  const related = (a: Alert): string => Object.entries(a.group).filter(([k]) => k.includes(".")).map(([k, v]) => condition(k, v)).join(" AND ");
  return (
    <aside class="drawer" role="dialog" aria-label={t("alerts")}>
      <Show when={alert.error}><p class="problem">{String((alert.error as Error).message)}</p></Show>
      <Show when={!alert.error && alert()} keyed>{(a) => (
        <>
          <div class="tools"><h2 class="grow"><span class={`level ${a.rule.level}`}>[{a.rule.level}]</span> {title(a)}</h2><button onClick={() => props.go("/alerts")}>{t("closeDrawer")}</button></div>
          <div class="tools">
            <button class="primary" onClick={() => void act("acknowledge")}>{t("acknowledge")} (a)</button>
            <button onClick={() => void act("escalate")}>{t("escalate")}</button>
            <label>{t("disposition")} <select value={disposition()} onChange={(e) => setDisposition(e.currentTarget.value)}>
              <For each={["true_positive", "false_positive", "benign", "duplicate"] as const}>{(d) => <option value={d}>{t(d)}</option>}</For>
            </select></label>
            <Show when={a.status !== "closed"} fallback={<button onClick={() => void act("reopen")}>{t("reopen")}</button>}><button onClick={() => void act("close")}>{t("close")} (x)</button></Show>
            <span data-status={a.status}>{t("status")}: {has(a.status) ? t(a.status) : a.status}</span>
          </div>
          <form class="query" onSubmit={(e) => { e.preventDefault(); void act("comment"); }}>
            <input aria-label={t("comment")} placeholder={t("comment")} value={comment()} onInput={(e) => setComment(e.currentTarget.value)} /><button>{t("comment")}</button>
          </form>
          <Show when={problem()}><p class="problem">{problem()}</p></Show>
          <dl>
            <Show when={pick(a.meaning)}>{(text) => <><dt>{t("meaning")}</dt><dd>{visible(text())}</dd></>}</Show>
            <Show when={pick(a.first_steps)}>{(text) => <><dt>{t("firstSteps")}</dt><dd>{visible(text())}</dd></>}</Show>
            <Show when={pick(a.false_positives)}>{(text) => <><dt>{t("falsePositives")}</dt><dd>{visible(text())}</dd></>}</Show>
            <Show when={a.clause}>{(clause) => <><dt>{t("clause")}</dt><dd>§{visible(clause())}</dd></>}</Show>
            <dt>{t("group")}</dt><dd class="mono">{group(a)}</dd>
            <dt>{t("detected")}</dt><dd>{when(a.detected_at, utc())} · {a.count} · {a.rule.tags.join(" ")}</dd>
          </dl>
          <Show when={related(a)}>{(query) => <div class="tools"><button onClick={() => props.go(`/search?q=${encodeURIComponent(query())}`)}>{t("searchEvidence")}</button></div>}</Show>
          <h3>{t("evidence")}</h3>
          <For each={events()?.events} fallback={<p class="dim">{t("none")}</p>}>{(hit) => <div class="mono row" role="button" tabindex={0} onClick={() => setOpen(hit)} onKeyDown={(e) => e.key === "Enter" && setOpen(hit)}>{when(hit.time, utc())} {visible(hit.raw).slice(0, 300)}</div>}</For>
          <h3>{t("history")}</h3>
          <For each={a.actions} fallback={<p class="dim">{t("none")}</p>}>{(done) => <p>{when(done.at, utc())} {visible(done.actor)}: {has(done.action) ? t(done.action) : done.action} {visible(done.comment ?? "")}</p>}</For>
        </>
      )}</Show>
      <Show when={open()} keyed>{(hit) => <EventDrawer hit={hit} close={() => setOpen(undefined)} />}</Show>
    </aside>
  );
}
