import { For, Match, Show, Switch, createEffect, createMemo, createResource, createSignal, on } from "solid-js";
import { act } from "./act";
import { Anchor } from "./anchor";
import { type PolicyChange, type PolicyVersion, type WhatIf, get, post } from "./api";
import { type Key, has, number, t, utc } from "./i18n";
import { useZones } from "./matrix";
import { Wrong } from "./parts";
import { address, change, parameter } from "./place";
import { RANGES } from "./search";
import { draft } from "./session";
import { visible, when } from "./text";

/** Enough of a version's hash to tell it apart. */
export const HASH = 12;

/** The policies that were in force, what two of them decide differently, and what a draft would have said of stored records. */
export function PolicyPage() {
  const [versions] = createResource(() => get<{ versions: PolicyVersion[] }>("/policy/versions").then((found) => found.versions).catch((): PolicyVersion[] => []));
  const all = (): PolicyVersion[] => versions() ?? [];
  const a = createMemo(() => parameter("a") || all()[1]?.sha256 || all()[0]?.sha256 || "");
  const b = createMemo(() => parameter("b") || all()[0]?.sha256 || "");
  const comparing = act();
  const [changes, setChanges] = createSignal<PolicyChange[]>();
  createEffect(on([a, b], ([one, two]) => {
    setChanges(undefined);
    if (one && two && one !== two) void comparing.run(async (signal) => { setChanges((await get<{ changes: PolicyChange[] }>(address("/policy/diff", { a: one, b: two }), signal)).changes); });
  }));
  const choice = (name: "a" | "b", version: PolicyVersion, chosen: string, label: string) => (
    <input type="radio" name={name} aria-label={`${label}: ${version.sha256.slice(0, HASH)}`} checked={version.sha256 === chosen} onChange={() => change({ [name]: version.sha256 })} />
  );
  return (
    <div class="stack">
      <div class="tools"><Anchor class="button" to="/matrix">{t("back")}</Anchor></div>
      <section class="panel" aria-label={t("versions")}>
        <h2>{t("versions")}</h2>
        <div class="scroll"><table class="versions">
          <thead><tr><th>{t("compareA")}</th><th>{t("compareB")}</th><th>{t("since")}</th><th>{t("by")}</th><th class="number wide">{t("bytes")}</th></tr></thead>
          <tbody><For each={all()} fallback={<tr><td colspan={5} class="dim empty">{versions.loading ? t("loading") : t("noPolicy")}</td></tr>}>{(version) => (
            <tr data-version={version.sha256}><td>{choice("a", version, a(), t("compareA"))}</td><td>{choice("b", version, b(), t("compareB"))}</td><td class="time">{when(version.since, utc())}</td>
              <td class="mono">{version.by === "at the start" ? t("atStart") : visible(version.by)} <span class="dim">{version.sha256.slice(0, HASH)}</span></td><td class="number wide">{number(version.bytes)}</td></tr>
          )}</For></tbody>
        </table></div>
        <Show when={all().length > 1 && a() !== b()}>
          <h3>{t("differences")}</h3>
          <Show when={comparing.problem()} keyed>{(problem) => <Wrong problem={problem} />}</Show>
          <Show when={changes()} keyed>{(list) => (
            <ul class="policy" data-changes={list.length}><For each={list} fallback={<li class="dim">{t("same")}</li>}>{(one) => <li><Change of={one} /></li>}</For></ul>
          )}</Show>
        </Show>
      </section>
      <Draft current={all()[0]?.sha256} />
    </div>
  );
}

function Change(props: { of: PolicyChange }) {
  const of = (): PolicyChange => props.of;
  const lines = (numbers: number[]): string => (numbers.length > 0 ? `${t("line")} ${numbers.join(", ")}` : "");
  const pair = (one: { from: string; to: string }): string => `${visible(one.from)} → ${visible(one.to)}`;
  const two = (one: { before: string; after: string }) => <><span class="denied">{visible(one.before) || "–"}</span> → <span class="allowed">{visible(one.after) || "–"}</span></>;
  return (
    <Switch>
      <Match when={of().what === "zone" && (of() as Extract<PolicyChange, { what: "zone" }>)}>{(one) => <><span class="dim">{t("zoneChange")}</span> <span class="mono">{visible(one().first)} – {visible(one().last)}</span> {two(one())}</>}</Match>
      <Match when={of().what === "renamed" && (of() as Extract<PolicyChange, { what: "renamed" }>)}>{(one) => <><span class="dim">{t("zone")}</span> {two(one())}</>}</Match>
      <Match when={of().what === "named" && (of() as Extract<PolicyChange, { what: "named" }>)}>{(one) => <><span class="dim">{t("zone")}</span> <b>{visible(one().zone)}</b> {two(one())}</>}</Match>
      <Match when={of().what === "model" && (of() as Extract<PolicyChange, { what: "model" }>)}>{(one) => <><span class="dim">{t("model")}</span> {two(one())}</>}</Match>
      <Match when={of().what === "service" && (of() as Extract<PolicyChange, { what: "service" }>)}>{(one) => <><b>{pair(one())}</b> <span class="mono">{visible(one().service)}</span> {two(one())} <span class="dim">{[lines(one().lines_before), lines(one().lines_after)].filter(Boolean).join(" → ")}</span></>}</Match>
      <Match when={of().what === "sensor" && (of() as Extract<PolicyChange, { what: "sensor" }>)}>{(one) => <><span class="dim">{t("sensors")}</span> <b>{visible(one().sensor)}</b> {two(one())}</>}</Match>
      <Match when={of().what === "invariant" && (of() as Extract<PolicyChange, { what: "invariant" }>)}>{(one) => <><span class="dim">{t("invariant")}</span> <b>{pair(one())}</b> {two(one())}</>}</Match>
    </Switch>
  );
}

/** A draft over stored history, before it is put into force. */
function Draft(props: { current: string | undefined }) {
  const [yaml, setYaml] = draft("policy");
  const { name } = useZones();
  // A verdict, and where zones are others than before between which ones.
  const verdict = (one: string): string => {
    const [, key, from, to] = /^(\w+)(?: \((\S+) → (\S+)\))?$/.exec(one) ?? [];
    if (key === undefined || !has(`verdict_${key}`)) return visible(one) || "–";
    return `${t(`verdict_${key}` as Key)}${from && to ? ` (${visible(name(from))} → ${visible(name(to))})` : ""}`;
  };
  const [from, setFrom] = createSignal("now-24h");
  const [found, setFound] = createSignal<WhatIf>();
  const asking = act();
  const take = () => asking.run(async (signal) => { setYaml((await get<{ yaml: string }>(`/policy/versions/${props.current}`, signal)).yaml); });
  const run = () => asking.run(async (signal) => {
    setFound(undefined);
    setFound(await post<WhatIf>("/policy/what-if", { yaml: yaml(), from: from(), to: "now" }, signal));
  });
  return (
    <section class="panel" aria-label={t("whatIf")}>
      <h2>{t("whatIf")}</h2>
      <p class="dim">{t("whatIfHint")}</p>
      <form class="form" onSubmit={(e) => { e.preventDefault(); void run(); }}>
        <label>{t("draft")} <textarea name="draft" class="mono" rows={14} spellcheck={false} value={yaml()} onInput={(e) => setYaml(e.currentTarget.value)} /></label>
        <div class="tools">
          <label>{t("range")} <select name="range" onChange={(e) => setFrom(e.currentTarget.value)}><For each={RANGES}>{([value, name]) => <option value={value} selected={value === from()}>{t(name)}</option>}</For></select></label>
          <button class="primary" disabled={asking.busy() || !yaml().trim()}>{t("whatIf")}</button>
          <Show when={props.current}><button type="button" disabled={asking.busy()} onClick={() => void take()}>{t("takeCurrent")}</button></Show>
        </div>
        <Show when={asking.problem()} keyed>{(problem) => <Wrong problem={problem} />}</Show>
      </form>
      <Show when={found()} keyed>{(f) => (
        <>
          <p class="facts" data-looked-at={f.looked_at}><span>{t("lookedAt")}: <b>{number(f.looked_at)}</b></span><Show when={!f.complete}><span class="problem">{t("incomplete")}</span></Show><Show when={f.beyond > 0}><span class="problem">{t("beyondChanges")}: {number(f.beyond)}</span></Show></p>
          <ul class="policy"><For each={Object.entries(f.renamed)}>{([before, after]) => <li><Change of={{ what: "renamed", before, after }} /></li>}</For></ul>
          <div class="scroll"><table class="what-if">
            <thead><tr><th>{t("from")} → {t("to")}</th><th>{t("service")}</th><th>{t("before")}</th><th>{t("after")}</th><th class="number">{t("count")}</th><th>{t("example")}</th></tr></thead>
            <tbody><For each={f.changes} fallback={<tr><td colspan={6} class="dim empty">{t("same")}</td></tr>}>{(one) => (
              <tr data-change><td class="nowrap">{visible(name(one.from))} → {visible(name(one.to))}</td><td class="mono">{visible(one.service)}</td><td>{verdict(one.before)}</td><td>{verdict(one.after)}</td><td class="number">{number(one.count)}</td>
                <td><Show when={one.example}>{(id) => <Anchor to={address("/search", { e: id(), from: from() })}>{t("event")}</Anchor>}</Show></td></tr>
            )}</For></tbody>
          </table></div>
        </>
      )}</Show>
    </section>
  );
}
