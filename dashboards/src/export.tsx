import { Show, createSignal } from "solid-js";
import { act } from "./act";
import { Problem, request } from "./api";
import { number, t } from "./i18n";
import { Modal, Wrong } from "./parts";
import { visible } from "./text";

/** In the last bytes of an export its manifest stands, the query in it. */
const MANIFEST_WITHIN = 65_536;

/** What the last line says of the whole; an export without it has broken off. */
async function manifest(file: Blob): Promise<{ complete: boolean }> {
  const last = (await file.slice(-MANIFEST_WITHIN).text()).trimEnd().split("\n").pop() ?? "";
  try {
    const told = JSON.parse(last.replace(/^# /, "")) as { complete?: boolean; manifest?: { complete?: boolean } };
    const complete = (told.manifest ?? told).complete;
    if (typeof complete === "boolean") return { complete };
  } catch {
    // A line that is no manifest is a record that was cut.
  }
  throw new Problem(0, "broken_off", "");
}

/** Every hit of a search as a file, with the manifest that says what it is. */
export function ExportDialog(props: { search: { query: string; from: string; to: string }; range: string; columns: string[]; total: number | undefined; close: () => void }) {
  const [format, setFormat] = createSignal("csv");
  const [chosen, setChosen] = createSignal(props.columns.length > 0);
  const [bytes, setBytes] = createSignal<number>();
  const writing = act();
  const write = () => writing.run(async (signal) => {
    setBytes(0);
    const { query, from, to } = props.search;
    const body = { query, from, ...(to ? { to } : {}), format: format(), ...(chosen() ? { fields: props.columns } : {}) };
    const reader = (await request("/api/v1/export", { body, signal })).body!.getReader();
    const parts: Uint8Array<ArrayBuffer>[] = [];
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      setBytes((n) => (n ?? 0) + value.length);
    }
    const file = new Blob(parts);
    const { complete } = await manifest(file);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = `mihari-${new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, "")}Z.${format()}`;
    link.click();
    // The browser has taken hold of it by then.
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    if (!complete) throw new Problem(0, "not_all", "");
    props.close();
  });
  return (
    <Modal label={t("export")} close={props.close}>
      <form onSubmit={(e) => { e.preventDefault(); void write(); }}>
        <h2>{t("export")}</h2>
        <p><span class="dim">{t("query")}:</span> <span class="mono">{visible(props.search.query) || t("everything")}</span></p>
        <p><span class="dim">{t("range")}:</span> {props.range} <Show when={props.total !== undefined}>– {number(props.total)} {t("hits")}</Show></p>
        <fieldset>
          <legend>{t("format")}</legend>
          <label class="check"><input type="radio" name="format" value="csv" autofocus checked={format() === "csv"} onChange={() => setFormat("csv")} /> {t("asCsv")}</label>
          <label class="check"><input type="radio" name="format" value="ndjson" checked={format() === "ndjson"} onChange={() => setFormat("ndjson")} /> {t("asNdjson")}</label>
          <Show when={props.columns.length > 0}><label class="check"><input type="checkbox" name="only" checked={chosen()} onChange={(e) => setChosen(e.currentTarget.checked)} /> {t("onlyColumns")}</label></Show>
        </fieldset>
        <p class="dim">{t("exportHint")}</p>
        <Show when={writing.problem()} keyed>{(problem) => <Wrong problem={problem} query={props.search.query} />}</Show>
        <div class="tools"><button class="primary" disabled={writing.busy()}>{t("export")}</button><button type="button" onClick={() => props.close()}>{t("cancel")}</button>
          <Show when={writing.busy() && bytes() !== undefined}><span role="status">{number((bytes() ?? 0) / 1024)} KiB</span></Show></div>
      </form>
    </Modal>
  );
}
