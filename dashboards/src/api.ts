// The HTTP interface (docs/http.md). The token goes into a header, never into an address.
import { signOut, token } from "./session";

export type Hit = { id: string; time: string; received: string; fields: Record<string, unknown>; raw: string };
export type Bucket = { key: string; count: number };
export type Agg = { interval_ms?: number; buckets: Bucket[]; other?: number };
export type SearchAnswer = {
  took_ms: number;
  complete: boolean;
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
};
export type Source = { address: string; transport: string; format: string; last: string; received: number; quarantined: number };
export type Cell = {
  from: string;
  to: string;
  allowed: number;
  denied: number;
  violations: number;
  exceptions: number;
  unclear: number;
  state: "kept" | "broken" | "not observed";
  reason: "violation" | "observed" | "blind" | "silent" | "no hour";
  sensors: string[];
  silent: string[];
  query: string;
  hours?: { hour: string; state: Cell["state"]; silent?: string[]; allowed: number; denied: number; violations: number }[];
};
export type Matrix = { zones: string[]; cells: Cell[] };
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
  ) {
    super(detail);
  }
}

export async function request(path: string, body?: unknown, signal?: AbortSignal, own = token()): Promise<Response> {
  const headers: Record<string, string> = { Authorization: `Bearer ${own}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, "unreachable", "");
  }
  if (!response.ok) {
    const problem = (await response.json().catch(() => ({}))) as { code?: string; detail?: string; position?: number };
    if (response.status === 401 && own === token()) signOut("noLongerGood");
    throw new Problem(response.status, problem.code ?? "unknown", problem.detail ?? response.statusText, problem.position);
  }
  return response;
}

export const get = async <T>(path: string, signal?: AbortSignal): Promise<T> =>
  (await (await request(`/api/v1${path}`, undefined, signal)).json()) as T;
export const post = async <T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> =>
  (await (await request(`/api/v1${path}`, body, signal)).json()) as T;

/** Whose token this is; for signing in, so a bad one ends nothing. */
export const whoami = async (own: string): Promise<{ name: string; tenant: string }> =>
  (await (await request("/api/v1/whoami", undefined, undefined, own)).json()) as { name: string; tenant: string };
