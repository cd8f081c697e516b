// The HTTP interface (docs/http.md). The token lives in this tab only and goes into a header, never into an address.

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
  fields: Record<string, string>;
  status: string;
  assignee: string | null;
  disposition: string | null;
  detected_at: string;
  actions?: { at: string; actor: string; action: string; comment: string | null; disposition: string | null }[];
};
export type Stats = {
  events_per_second: number;
  received_total: number;
  quarantined_total: number;
  documents: number;
  alerts_open: Record<string, number>;
};
export type Source = { address: string; transport: string; format: string; last: string; received: number; quarantined: number };
export type Cell = { from: string; to: string; allowed: number; violations: number; attempts: number; exceptions: number; state: string };

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

const KEY = "mihari-token";
export const token = (): string => sessionStorage.getItem(KEY) ?? "";
export const setToken = (value: string): void => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY));

async function request(path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = { Authorization: `Bearer ${token()}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(path, {
    method: body === undefined ? "GET" : "POST",
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal ? { signal } : {}),
  });
  if (!response.ok) {
    const problem = (await response.json().catch(() => ({}))) as { code?: string; detail?: string; position?: number };
    throw new Problem(response.status, problem.code ?? "unknown", problem.detail ?? response.statusText, problem.position);
  }
  return response;
}

export const get = async <T>(path: string): Promise<T> => (await (await request(`/api/v1${path}`)).json()) as T;
export const post = async <T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> =>
  (await (await request(`/api/v1${path}`, body, signal)).json()) as T;

export type Message = { event: string; data: string };

/** Splits the text of a server-sent event stream into messages; gives what is not whole yet. */
export function messages(text: string): [Message[], string] {
  const parts = text.split("\n\n");
  const rest = parts.pop() ?? "";
  const found = parts.flatMap((part) => {
    const lines = part.split("\n").filter((line) => !line.startsWith(":"));
    const of = (name: string): string[] => lines.filter((l) => l.startsWith(`${name}:`)).map((l) => l.slice(name.length + 1).trimStart());
    const data = of("data").join("\n");
    return data ? [{ event: of("event")[0] ?? "message", data }] : [];
  });
  return [found, rest];
}

/** Follows a stream until it ends or is aborted. */
export async function follow(path: string, each: (message: Message) => void, signal: AbortSignal): Promise<void> {
  const response = await request(`/api/v1${path}`, undefined, signal);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const [found, left] = messages(rest + value);
    rest = left;
    found.forEach(each);
  }
}
