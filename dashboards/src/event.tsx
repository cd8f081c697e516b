import { For, Show, createResource, createSignal } from "solid-js";
import { type Hit, get } from "./api";
import { t, utc } from "./i18n";
import { condition, show, visible, when } from "./text";

/** One event: every field, the record as it came, its neighbours. */
export function EventDrawer(props: { hit: Hit; close: () => void; narrow?: (condition: string, negate: boolean) => void }) {
  const [wanted, setWanted] = createSignal<string>();
  const [context] = createResource(wanted, (id) => get<{ events: Hit[] }>(`/events/${encodeURIComponent(id)}/context`));
  return (
    <aside class="drawer" role="dialog" aria-label={props.hit.id}>
      <div class="tools">
        <h2 class="grow">{when(props.hit.time, utc())}</h2>
        <button onClick={props.close}>{t("closeDrawer")}</button>
      </div>
      <h3>{t("raw")}</h3>
      <div class="mono panel">{visible(props.hit.raw)}</div>
      <h3>{t("fields")}</h3>
      <table>
        <tbody>
          <For each={Object.entries(props.hit.fields).sort(([a], [b]) => a.localeCompare(b))}>
            {([name, value]) => (
              <tr>
                <th scope="row">{name}</th>
                <td class="mono">{show(value)}</td>
                <td class="time">
                  <Show when={props.narrow && value !== null}>
                    <button title={t("filterFor")} aria-label={`${t("filterFor")} ${name}`} onClick={() => props.narrow?.(condition(name, Array.isArray(value) ? value[0] : value), false)}>＋</button>
                    <button title={t("filterOut")} aria-label={`${t("filterOut")} ${name}`} onClick={() => props.narrow?.(condition(name, Array.isArray(value) ? value[0] : value), true)}>－</button>
                  </Show>
                </td>
              </tr>
            )}
          </For>
          <tr><th scope="row">{t("received")}</th><td class="mono">{when(props.hit.received, utc())}</td><td /></tr>
        </tbody>
      </table>
      <div class="tools"><button onClick={() => setWanted(props.hit.id)}>{t("context")}</button></div>
      <For each={context()?.events}>
        {(event) => <div class="mono" classList={{ selected: event.id === props.hit.id }}>{when(event.time, utc())} {visible(event.raw).slice(0, 400)}</div>}
      </For>
    </aside>
  );
}
