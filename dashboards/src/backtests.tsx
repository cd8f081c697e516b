import { For, Show, createResource, createSignal } from "solid-js";
import { act } from "./act";
import { Group, title } from "./alerts";
import { Anchor } from "./anchor";
import { type Alert, type Backtest, type Rules, get, post } from "./api";
import { number, t, utc } from "./i18n";
import { Level, Wrong } from "./parts";
import { address, change, parameter } from "./place";
import { RANGES } from "./search";
import { draft } from "./session";
import { visible, when } from "./text";

/** A rule over the stored history: what it would have told, day by day, and whether that is all. */
export function BacktestPage() {
  const [rules] = createResource(() => get<Rules>("/rules").catch(() => undefined));
  const rule = (): string => parameter("rule");
  const from = (): string => parameter("from") || "now-7d";
  const [yaml, setYaml] = draft("rule");
  const [answer, setAnswer] = createSignal<Backtest>();
  const testing = act();
  const run = () => testing.run(async (signal) => {
    setAnswer(undefined);
    setAnswer(await post<Backtest>("/backtests", { ...(rule() ? { rule: rule() } : { yaml: yaml() }), from: from(), to: "now" }, signal));
  });
  const listed = (): Rules["rules"] => (rules()?.rules ?? []).filter((one) => one.kind !== "behaviour").sort((a, b) => a.title.localeCompare(b.title));
  const days = (): [string, Backtest["days"][string]][] => Object.entries(answer()?.days ?? {}).sort(([a], [b]) => (a < b ? 1 : -1));
  return (
    <>
      <form class="panel form gap" onSubmit={(e) => { e.preventDefault(); void run(); }}>
        <p class="dim">{t("backtestHint")}</p>
        <div class="pair">
          <label>{t("rule")} <select name="rule" onChange={(e) => change({ rule: e.currentTarget.value })}>
            <option value="">{t("ownText")}</option>
            <Show when={rule() && !listed().some((one) => one.id === rule())}><option value={rule()} selected>{visible(rule())}</option></Show>
            <For each={listed()}>{(one) => <option value={one.id} selected={one.id === rule()}>{visible(one.title)}</option>}</For>
          </select></label>
          <label>{t("range")} <select name="range" onChange={(e) => change({ from: e.currentTarget.value })}>
            <For each={RANGES}>{([value, name]) => <option value={value} selected={value === from()}>{t(name)}</option>}</For>
          </select></label>
        </div>
        <Show when={!rule()}><label>{t("ruleText")} <textarea name="yaml" class="mono" rows={14} spellcheck={false} value={yaml()} onInput={(e) => setYaml(e.currentTarget.value)} /></label></Show>
        <div class="tools"><button class="primary" disabled={testing.busy() || (!rule() && !yaml().trim())}>{t("backtestRun")}</button><Show when={testing.busy()}><span class="dim" role="status">{t("loading")}</span></Show></div>
        <Show when={testing.problem()} keyed>{(problem) => <Wrong problem={problem} />}</Show>
      </form>
      <Show when={answer()} keyed>{(found) => (
        <section class="panel" aria-label={t("backtests")} data-exact={String(found.exact)}>
          <p class="facts">
            <b class={found.exact ? "allowed" : "denied"}>{t(found.exact ? "exact" : "notExact")}</b>
            <span>{t("matched")}: <b data-matches={found.matches}>{number(found.matches)}</b></span><span>{t("alerts")}: <b>{number(found.alerts)}</b></span>
            <span>{t("replayed")}: {number(found.frames)}</span><span class="dim">{number(found.took_ms)} ms</span>
          </p>
          <Show when={found.reasons.length > 0}><ul class="policy"><For each={found.reasons}>{(reason) => <li class="problem">{visible(reason)}</li>}</For></ul></Show>
          <h3>{t("byDay")}</h3>
          <div class="scroll"><table class="days">
            <thead><tr><th>{t("day")} (JST)</th><th class="number">{t("matched")}</th><th class="number">{t("alerts")}</th><th>{t("samples")}</th></tr></thead>
            <tbody><For each={days()} fallback={<tr><td colspan={4} class="dim empty">{t("none")}</td></tr>}>{([day, of]) => (
              <tr data-day={day}><td class="time">{day}</td><td class="number">{number(of.matches)}</td><td class="number">{number(of.alerts)}</td>
                <td class="what"><For each={of.samples}>{(alert) => <Sample alert={alert} />}</For></td></tr>
            )}</For></tbody>
          </table></div>
        </section>
      )}</Show>
    </>
  );
}

/** An alert that would have been: what it was about, and its first event. */
function Sample(props: { alert: Alert }) {
  return (
    <p><Level level={props.alert.rule.level} /> <span class="time">{when(props.alert.first, utc())}</span> {title(props.alert)} <Group alert={props.alert} />{" "}
      <Show when={props.alert.evidence[0]}>{(id) => <Anchor to={address("/search", { e: id(), from: props.alert.first })}>{t("evidence")}</Anchor>}</Show></p>
  );
}
