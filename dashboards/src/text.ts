// Text that a sender wrote is shown as text, and what cannot be seen becomes visible: control, direction, zero-width and format characters,
// line separators, tags, private use, fillers. A variation selector is left where it is lawful: once, after an ideograph (names in registers).

const HIDDEN =
  /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0]|(?<!\p{Script=Han})[\ufe00-\ufe0f\u{e0100}-\u{e01ef}]/gu;

export const visible = (text: string): string =>
  text.replace(HIDDEN, (c) => (c === "\n" || c === "\t" ? c : `\\u{${c.codePointAt(0)!.toString(16).padStart(4, "0")}}`));

export const show = (value: unknown): string =>
  visible(Array.isArray(value) ? value.map((v) => String(v)).join(", ") : value === null ? "null" : String(value));

/** A condition of the query language for a field's value. */
export const condition = (field: string, value: unknown): string =>
  `${field}:"${String(value).replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;

/** The parts of a query that are joined by AND at the top, or nothing where the query is of another form (OR at the top). */
function conjuncts(query: string): string[] | undefined {
  const parts: string[] = [];
  let depth = 0;
  let begin = 0;
  for (let at = 0; at < query.length; ) {
    const c = query[at]!;
    if (c === "\\") at += 2;
    else if (c === '"' || (c === "/" && /[\s:(]/.test(query[at - 1] ?? " "))) {
      let end = at + 1;
      while (end < query.length && query[end] !== c) end += query[end] === "\\" ? 2 : 1;
      at = end + 1;
    } else if ("([{".includes(c)) {
      depth += 1;
      at += 1;
    } else if (")]}".includes(c)) {
      depth -= 1;
      at += 1;
    } else if (depth === 0 && (at === 0 || /[\s)"]/.test(query[at - 1]!))) {
      const word = /^(AND|and|&&|OR|or|\|\|)(?=[\s("]|$)/.exec(query.slice(at))?.[1];
      if (word === "OR" || word === "or" || word === "||") return undefined;
      if (word) {
        parts.push(query.slice(begin, at).trim());
        begin = at + word.length;
      }
      at += word?.length ?? 1;
    } else at += 1;
  }
  parts.push(query.slice(begin).trim());
  return depth === 0 ? parts : undefined;
}

/** Adds a condition to a query, once; its opposite goes. */
export function narrow(query: string, added: string, negate = false): string {
  const term = negate ? `NOT ${added}` : added;
  const opposite = negate ? added : `NOT ${added}`;
  const before = query.trim();
  if (before === "" || before === "*") return term;
  const parts = conjuncts(before);
  if (!parts) return `(${before}) AND ${term}`;
  if (parts.includes(term)) return before;
  return [...parts.filter((part) => part !== opposite && part !== "*"), term].join(" AND ");
}

/** The field name that is being typed at `at`, with where it begins. */
export function fieldAt(query: string, at: number): { begin: number; word: string } | undefined {
  const word = /[\w.@-]+$/.exec(query.slice(0, at))?.[0];
  if (!word || word.length < 2) return undefined;
  const begin = at - word.length;
  const quotes = query.slice(0, begin).replaceAll('\\"', "").split('"').length - 1;
  return quotes % 2 === 1 || query[begin - 1] === ":" ? undefined : { begin, word };
}

/** Bytes as they are looked at: where, in hexadecimal, and as far as they are ASCII. */
export function dump(hex: string): string {
  const bytes = hex.match(/../g) ?? [];
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = bytes.slice(at, at + 16);
    const ascii = row.map((byte) => { const n = Number.parseInt(byte, 16); return n >= 0x20 && n < 0x7f ? String.fromCharCode(n) : "."; }).join("");
    lines.push(`${at.toString(16).padStart(4, "0")}  ${row.join(" ").padEnd(47)}  ${ascii}`);
  }
  return lines.join("\n");
}

/** How long the units of relative times are, in milliseconds. */
const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** The instant that an end of a range stands for, as the server reads it: RFC 3339, `now`, `now-90m`; what rounds is not known here (NaN). */
export function instant(text: string, now = Date.now()): number {
  const relative = /^now(?:-(\d+)([smhdw]))?$/.exec(text);
  return relative ? now - Number(relative[1] ?? 0) * (UNITS[relative[2] ?? "s"] ?? 0) : Date.parse(text);
}

/** Whether a query asks for times without saying of which zone: they are read as UTC, whatever the screen shows. */
export const zoneless = (query: string): boolean => /(?:@timestamp|event\.(?:start|end|created|received))\s*(?::|[<>=]=?)[^\s]*\s*"?\d{4}-\d\d-\d\d(?!T[\d:.]+(?:Z|[+-]\d\d))/.test(query);

/** What other tools call the parts of our names. */
const ALIASES: readonly (readonly [RegExp, string])[] = [
  [/\.(keyword|raw)$/, ""], [/^@?time(stamp)?$/, "@timestamp"], [/^(?:src|s(?=[_.-]?(?:ip|port|pt|addr)))/, "source"], [/^(?:dst|dest(?!ination)|d(?=[_.-]?(?:ip|port|pt|addr)))/, "destination"],
  [/addr(ess)?$/, "ip"], [/pt$/, "port"], [/hostname$/, "host.name"], [/^proto(col)?$/, "network.transport"],
];

/** The fields that may have been meant by a name that no event has: by the names of other tools, and in any case. */
export function meant(name: string, names: readonly string[]): string[] {
  const plain = (text: string): string => text.toLowerCase().replaceAll(/[._-]/g, "");
  const asked = plain(ALIASES.reduce((text, [pattern, ours]) => text.replace(pattern, ours), name.toLowerCase()));
  const ends = (one: string): boolean => one.split(".").some((_part, n, parts) => plain(parts.slice(n).join("")) === asked);
  const rank = (one: string): number => [plain(one) === asked, plain(one) === `${asked}name`, ends(one)].indexOf(true);
  return names.filter((one) => asked !== "" && rank(one) >= 0).sort((a, b) => rank(a) - rank(b) || a.length - b.length || (a < b ? -1 : 1)).slice(0, 3);
}

/** The query with another field in the place of one. */
export const renamed = (query: string, before: string, after: string): string =>
  query.replaceAll(new RegExp(`(?<![\\w.@-])${before.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")}(?=\\s*[:=<>!])`, "g"), after);

const formats = new Map<string, Intl.DateTimeFormat>();
function format(zone: string, date: boolean): Intl.DateTimeFormat {
  const key = `${zone}${date}`;
  const day = { year: "numeric", month: "2-digit", day: "2-digit" } as const;
  const time = { hour: "2-digit", minute: "2-digit", second: "2-digit" } as const;
  const made = formats.get(key) ?? new Intl.DateTimeFormat("sv-SE", { timeZone: zone, ...(date ? day : {}), ...time });
  formats.set(key, made);
  return made;
}

/** The same with the fraction of the second that the record has, to the millisecond: what came first matters in an event. */
export const exact = (iso: string, utc: boolean): string => `${when(iso, utc)}${/\.\d{1,3}/.exec(iso)?.[0] ?? ""}`;

/** The same where there is little room: of today the time, else the day and the minute. */
export function brief(iso: string, utc: boolean, now = new Date()): string {
  const whole = when(iso, utc);
  if (Number.isNaN(Date.parse(iso))) return whole;
  const [day, time] = whole.split(" ") as [string, string];
  return day === when(now.toISOString(), utc).split(" ")[0] ? time : `${day.slice(5)} ${time.slice(0, 5)}`;
}

/** An instant as people read it: in Japan's time unless asked otherwise. */
export function when(iso: string, utc: boolean, date = true): string {
  const time = new Date(iso);
  return Number.isNaN(time.getTime()) ? visible(iso) : format(utc ? "UTC" : "Asia/Tokyo", date).format(time);
}
