// Server-sent events as text.

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
