// The HTTP interface (docs/http.md). The token goes into a header, never into an address.
import { signOut, token } from "./session";

export type Hit = { id: string; time: string; received: string; fields: Record<string, unknown>; raw: string };
export type Bucket = { key: string; count: number };
export type Agg = { interval_ms?: number; buckets: Bucket[]; other?: number };
export type SearchAnswer = {
  took_ms: number;
  complete: boolean;
  /** Why not. */
  incomplete?: { code: "stopped" | "behind" | "missing" | "fields" | "unread"; detail: string }[];
  /** Fields of the query that no event has. */
  unknown_fields?: string[];
  total: number;
  hits: Hit[];
  aggs: Record<string, Agg>;
  cursor: string | null;
};
export type SearchBody = {
  query: string;
  from?: string;
  to?: string;
  size?: number;
  cursor?: string | null;
  sort?: string;
  aggs?: Record<string, unknown>;
};
export type Texts = Record<string, string>;
export type Action = {
  at: string;
  actor: string;
  action: string;
  comment: string | null;
  assignee: string | null;
  disposition: string | null;
};
export type Delivery = { destination: string; state: string; attempts: number; last_error: string | null; at: string | null };
export type Alert = {
  id: string;
  rule: { id: string; title: string; level: string; tags: string[]; kind: string };
  title?: Texts;
  meaning?: Texts;
  first_steps?: Texts;
  false_positives?: Texts;
  clause?: string;
  group: Record<string, string>;
  first: string;
  last: string;
  count: number;
  evidence: string[];
  fields: Record<string, string>;
  explanation?: Record<string, string>;
  status: string;
  assignee: string | null;
  disposition: string | null;
  detected_at: string;
  actions?: Action[];
  deliveries?: Delivery[];
};
export type Entry = { time: string; kind: string; event?: Hit; action?: Action; delivery?: Delivery };
export type Stats = {
  events_per_second: number;
  received_total: number;
  quarantined_total: number;
  documents: number;
  alerts_open: Record<string, number>;
  /** Messages about alerts that have not arrived. */
  undelivered?: { destination: string; waiting: number; failing: number; given_up: number; last_error: string | null }[];
};
export type Source = {
  address: string; transport: string; format: string; first: string; last: string; received: number; parsed: number; quarantined: number; bytes: number;
  lost_before?: Record<string, number>; silent_ms: number | null; unidentified: boolean;
};
export type Sources = { sources: Source[]; total: number; all: number; silent: number; unidentified: number; quarantined: number };
export type LedgerDay = {
  day: string; source: string; received: number; parsed: number;
  quarantined: Record<string, number>; dropped: Record<string, number>; released: Record<string, number>; lost_before: Record<string, number>;
};
export type Quarantined = {
  id: string; received: string; source: string; transport: string; reason: string; releasing: boolean; raw: string | null; hex: string | null; raw_bytes: number | null;
};
export type Condition = ">" | ">=" | "=" | "<" | "none";
export type Schedule = { every_minutes: number; condition: Condition; count: number; group_by: string | null; level: string; title: string; message: string };
export type SearchText = { name: string; query: string; range: string; columns: string[]; sort: string; schedule: Schedule | null };
export type Run = { at: string; window_start: string; window_end: string; took_ms: number; matched: number | null; alerts: number; beyond: boolean; error: string | null };
export type SavedSearch = SearchText & {
  id: string; version: number; owner: string; created: string; changed: string; changed_by: string;
  state: { is: "waiting" | "failing"; window_start: string; next_run: string; failing_since: string | null; attempts: number; error: string | null; last_run: Run | null } | null;
};
export type Mode = "off" | "record" | "alert";
export type LogSource = { product?: string; category?: string; service?: string };
/** What a correlation gave up for a bound, or what came late. */
export type GivenUp = "late" | "groups_evicted" | "entries_evicted" | "taken_early" | "undecided" | "alerts_closed_early";
export type Rule = {
  id: string; title: string; titles?: Record<string, string>; level: string; status: string; kind: string; tags: string[]; log_source: LogSource; path: string; clause?: string; alerts: number; matches: number;
  last_match: string | null; mode: Mode; cost: { evaluated: number; tests: number; text_bytes: number }; given_up?: Record<GivenUp, number>;
};
export type RuleProblem = { path: string; line: number; refused: boolean; reason: string; hint?: string };
export type Rules = {
  rules: Rule[]; refused: RuleProblem[]; loaded: string; failure: string | null;
  unmapped: { log_source: LogSource; rules: number; seen: boolean; fields: [string, number][] }[];
};
export type Part = { holds: boolean; name?: string; asks: string; found?: string[]; parts?: Part[]; hidden?: number };
export type Explanation = {
  rule: string; title: string; eligible: boolean; condition?: Part;
  feeds?: { rule: Explanation; group: [string, string | null][]; values: [string, string | null][] }[];
};
export type Backtest = {
  rules: Record<string, { matches: number; alerts: number; sha256: string }>; exact: boolean; reasons: string[]; narrowed: boolean; frames: number; events: number; matches: number; alerts: number; took_ms: number;
  days: Record<string, { matches: number; alerts: number; samples: Alert[] }>;
};
export type PolicyVersion = { sha256: string; since: string; by: string; bytes: number };
export type PolicyChange =
  | { what: "zone"; first: string; last: string; before: string; after: string }
  | { what: "service"; from: string; to: string; service: string; before: string; after: string; lines_before: number[]; lines_after: number[] }
  | { what: "renamed"; before: string; after: string }
  | { what: "named"; zone: string; before: string; after: string }
  | { what: "model"; before: string; after: string }
  | { what: "sensor"; sensor: string; before: string; after: string }
  | { what: "invariant"; from: string; to: string; before: string; after: string };
export type WhatIf = {
  looked_at: number; complete: boolean; beyond: number; sha256: string; renamed: Record<string, string>;
  changes: { from: string; to: string; service: string; before: string; after: string; count: number; example: string | null }[];
};
export type Cell = {
  from: string;
  to: string;
  allowed: number;
  denied: number;
  violations: number;
  exceptions: number;
  unclear: number;
  state: "kept" | "broken" | "not observed";
  reason: "violation" | "observed" | "blind" | "silent" | "unclear" | "gone" | "no hour";
  sensors: string[];
  silent: string[];
  policies: string[];
  hours_kept: number;
  hours_not_observed: number;
  query: string;
  hours?: { hour: string; state: Cell["state"]; silent?: string[]; allowed: number; denied: number; violations: number }[];
};
export type Sensor = { sensor: string; heartbeat_minutes: number; last_heard: string | null };
export type Matrix = { zones: string[]; cells: Cell[]; sensors?: Sensor[] };
export type Service = { protocol: number | null; low: number; high: number };
export type PolicyLine = { line: number; from: string; to: string; service: Service[]; about: Record<string, string>; until?: string };
export type Policy = {
  zones: { name: string; names: Texts; clause?: string }[];
  allow: PolicyLine[];
  exceptions: PolicyLine[];
  must_deny: { line: number; from: string; to: string[]; unless_via?: string }[];
};

export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly position?: number,
    /** What is wrong with a query. */
    readonly reason?: string,
  ) {
    super(detail);
  }
}

export type Asked = {
  /** POST where there is a body, else GET. */
  method?: "PUT" | "PATCH" | "DELETE";
  body?: unknown;
  signal?: AbortSignal | undefined;
  own?: string;
  /** The version that a change is of. */
  seen?: number;
};

export async function request(path: string, { method, body, signal, own = token(), seen }: Asked = {}): Promise<Response> {
  const headers: Record<string, string> = { Authorization: `Bearer ${own}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (seen !== undefined) headers["If-Match"] = `"${seen}"`;
  let response: Response;
  try {
    response = await fetch(path, {
      method: method ?? (body === undefined ? "GET" : "POST"),
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, "unreachable", "");
  }
  if (!response.ok) {
    const problem = (await response.json().catch(() => ({}))) as { code?: string; detail?: string; position?: number; reason?: string };
    if (response.status === 401 && own === token()) signOut("noLongerGood");
    throw new Problem(response.status, problem.code ?? "unknown", problem.detail ?? response.statusText, problem.position, problem.reason);
  }
  return response;
}

/** What went wrong, as a problem. */
export const problemOf = (error: unknown): Problem => (error instanceof Problem ? error : new Problem(0, "unknown", String(error)));

export const ask = async <T>(path: string, asked: Asked = {}): Promise<T> => (await (await request(`/api/v1${path}`, asked)).json()) as T;
export const get = <T>(path: string, signal?: AbortSignal): Promise<T> => ask<T>(path, { signal });
export const post = <T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> => ask<T>(path, { body, signal });

/** Whose token this is; for signing in, so a bad one ends nothing. */
export const whoami = (own: string): Promise<{ name: string; tenant: string }> => ask("/whoami", { own });
