import { For, Show, createSignal } from "solid-js";
import type { SearchAnswer } from "./api";
import { number, t } from "./i18n";
import { fieldNames } from "./query";
import { condition, visible } from "./text";

const USUAL = ["mihari.format", "source.ip", "destination.ip", "destination.port", "event.action", "user.name", "policy.verdict"];
/** As many as one search may ask for, less the histogram. */
const FACETS_MAX = 16;
const stored = localStorage.getItem("mihari-facets");
const [fields, setFields] = createSignal<string[]>(stored ? stored.split(",").filter(Boolean).slice(0, FACETS_MAX) : USUAL);
export { fields as facetFields };

function keep(next: string[]): void {
  localStorage.setItem("mihari-facets", next.join(","));
  setFields(next);
}

/** What the hits consist of, by field; each value can be asked for or excluded. */
export function Facets(props: { answer: SearchAnswer | undefined; narrow: (condition: string, negate: boolean) => void; changed: () => void }) {
  // On a phone the hits come first: there the facets begin folded.
  const folded = matchMedia("(max-width: 760px)").matches;
  return (
    <details class="panel facets" open={!folded}>
      <summary>{t("facets")}</summary>
      <For each={fields()}>{(field) => (
        <Show when={props.answer?.aggs[field]} keyed>{(agg) => (
          <Show when={agg.buckets.length > 0}>
            <section aria-label={field}>
              <h3>{field} <button class="small plain" aria-label={`${t("removeFacet")} ${field}`} title={t("removeFacet")} onClick={() => keep(fields().filter((f) => f !== field))}>×</button></h3>
              <ul>
                <For each={agg.buckets}>{(bucket) => (
                  <li data-facet={field}>
                    <button class="plain value" title={`${t("filterFor")}: ${visible(bucket.key)}`} onClick={() => props.narrow(condition(field, bucket.key), false)}>{visible(bucket.key)}</button>
                    <span class="dim count">{number(bucket.count)}</span>
                    <button class="small plain" aria-label={`${t("filterOut")} ${field} ${visible(bucket.key)}`} title={t("filterOut")} onClick={() => props.narrow(condition(field, bucket.key), true)}>－</button>
                    <span class="bar" style={{ width: `${(100 * bucket.count) / Math.max(1, props.answer?.total ?? 1)}%` }} />
                  </li>
                )}</For>
              </ul>
              <Show when={agg.other}><p class="dim others">{t("others")} {number(agg.other)}</p></Show>
            </section>
          </Show>
        )}</Show>
      )}</For>
      <Show when={fields().length < FACETS_MAX}>
        <select aria-label={t("addFacet")} onChange={(e) => { const field = e.currentTarget.value; e.currentTarget.value = ""; if (field) { keep([...fields(), field]); props.changed(); } }}>
          <option value="">＋ {t("addFacet")}</option>
          <For each={(fieldNames() ?? []).filter((name) => !fields().includes(name))}>{(name) => <option value={name}>{name}</option>}</For>
        </select>
      </Show>
    </details>
  );
}
