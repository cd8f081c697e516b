import { For, Show, createResource, createSignal } from "solid-js";
import { get } from "./api";
import { t } from "./i18n";
import { signedIn } from "./session";
import { fieldAt } from "./text";

/** Names offered at once. */
const OFFERED = 8;
const [names] = createResource(signedIn, () => get<{ fields: { name: string }[] }>("/fields").then((f) => f.fields.map((x) => x.name)).catch((): string[] => []));
export { names as fieldNames };

/** Where a query is typed; names of fields are offered as they are typed. */
export function QueryField(props: { value: string; input: (text: string) => void; ref: (field: HTMLInputElement) => void }) {
  const [offered, setOffered] = createSignal<string[]>([]);
  const [at, setAt] = createSignal(0);
  let field!: HTMLInputElement;
  const look = (): void => {
    const typed = fieldAt(field.value, field.selectionStart ?? field.value.length);
    const word = typed?.word.toLowerCase();
    const found = word ? (names() ?? []).filter((name) => name.toLowerCase().includes(word) && name !== typed?.word) : [];
    found.sort((a, b) => Number(!a.startsWith(word!)) - Number(!b.startsWith(word!)) || (a < b ? -1 : 1));
    setOffered(found.slice(0, OFFERED));
    setAt(-1);
  };
  const take = (name: string): void => {
    const end = field.selectionStart ?? field.value.length;
    const typed = fieldAt(field.value, end);
    if (!typed) return;
    const text = `${field.value.slice(0, typed.begin)}${name}:${field.value.slice(end)}`;
    props.input(text);
    field.value = text;
    const place = typed.begin + name.length + 1;
    field.setSelectionRange(place, place);
    field.focus();
    setOffered([]);
  };
  const key = (e: KeyboardEvent): void => {
    if (e.isComposing) return;
    if (e.key === "Escape") {
      e.preventDefault();
      if (offered().length > 0) setOffered([]);
      else field.blur();
      return;
    }
    if (offered().length === 0) return;
    if (e.key === "ArrowDown" || e.key === "ArrowUp") {
      e.preventDefault();
      setAt((n) => (n + (e.key === "ArrowDown" ? 1 : -1) + offered().length) % offered().length);
    } else if ((e.key === "Tab" && at() < 0) || ((e.key === "Enter" || e.key === "Tab") && at() >= 0)) {
      e.preventDefault();
      take(offered()[Math.max(at(), 0)]!);
    }
  };
  return (
    <div class="query-field">
      <input ref={(made) => { field = made; props.ref(made); }} name="query" role="combobox" aria-label={t("query")} aria-expanded={offered().length > 0} aria-controls="offered"
        aria-activedescendant={at() >= 0 ? `offered-${at()}` : undefined} placeholder={t("queryHint")} value={props.value} spellcheck={false} autocomplete="off" autocapitalize="off"
        onInput={(e) => { props.input(e.currentTarget.value); look(); }} onKeyDown={key} onBlur={() => setOffered([])} />
      <Show when={offered().length > 0}>
        <ul id="offered" role="listbox" aria-label={t("fields")}>
          <For each={offered()}>{(name, n) => <li id={`offered-${n()}`} role="option" aria-selected={n() === at()} onMouseDown={(e) => { e.preventDefault(); take(name); }}>{name}</li>}</For>
        </ul>
      </Show>
    </div>
  );
}
