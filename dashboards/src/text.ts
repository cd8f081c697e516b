// Text that a sender wrote is shown as text: control, direction and zero-width characters become visible.

const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;

export const visible = (text: string): string =>
  text.replace(HIDDEN, (c) => `\\u{${c.charCodeAt(0).toString(16).padStart(4, "0")}}`);

export const show = (value: unknown): string =>
  visible(Array.isArray(value) ? value.map((v) => String(v)).join(", ") : value === null ? "null" : String(value));

/** A condition of the query language for a field's value. */
export const condition = (field: string, value: unknown): string =>
  `${field}:"${String(value).replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;

/** Adds a condition to a query, once. */
export function narrow(query: string, added: string, negate = false): string {
  const term = negate ? `NOT ${added}` : added;
  if (query.includes(term) && (negate || !query.includes(`NOT ${added}`))) return query;
  const before = query.trim();
  if (before === "" || before === "*") return term;
  return / or /i.test(before) ? `(${before}) AND ${term}` : `${before} AND ${term}`;
}

export function when(iso: string, utc: boolean): string {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return iso;
  const parts = new Intl.DateTimeFormat("sv-SE", {
    timeZone: utc ? "UTC" : "Asia/Tokyo",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  });
  return parts.format(time);
}
