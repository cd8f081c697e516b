import { describe, expect, it } from "vitest";
import { messages } from "./messages";
import { brief, condition, dump, exact, fieldAt, instant, meant, narrow, renamed, show, visible, when, zoneless } from "./text";

describe("what a sender wrote", () => {
  it("shows hidden characters", () => {
    expect(visible("a\u202eb\u001b[31m\u200b")).toBe("a\\u{202e}b\\u{001b}[31m\\u{200b}");
    const hidden = [
      "\0", "\u0007", "\r", "\u007f", "\u0085", "\u009b", "\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u17b4", "\u180e", "\u200b", "\u200c",
      "\u200d", "\u200e", "\u200f", "\u2028", "\u2029", "\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2060", "\u2061", "\u2066", "\u2069",
      "\u206f", "\u2800", "\u3164", "\ue000", "\ufe0f", "\ufeff", "\uffa0", "\ufff9", "\u{e0001}", "\u{e0041}", "\u{e007f}", "\u{e0100}", "\ud800",
    ];
    for (const c of hidden) expect(visible(`a${c}b`), c.codePointAt(0)!.toString(16)).toBe(`a\\u{${c.codePointAt(0)!.toString(16).padStart(4, "0")}}b`);
    expect(show(["a\u202e", "b"])).toBe("a\\u{202e}, b");
  });
  it("leaves what people write", () => {
    for (const text of ["個人番号\n\t", "辻\u{e0100}さん", "ﾊﾝｶｸ が　全角", "é 𠮷 😀 ñ"]) expect(visible(text)).toBe(text);
  });
  it("is looked at byte by byte", () => {
    const hex = [...new TextEncoder().encode("<13>a\u0000b \u3042 end of it")].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    expect(dump(hex)).toBe(
      "0000  3c 31 33 3e 61 00 62 20 e3 81 82 20 65 6e 64 20  <13>a.b ... end \n0010  6f 66 20 69 74                                   of it",
    );
    expect(dump("")).toBe("");
  });
  it("becomes a condition that means just that", () => {
    expect(condition("user.name", 'a"b\\c')).toBe('user.name:"a\\"b\\\\c"');
  });
});

describe("queries", () => {
  const a = 'a:"1"';
  it.each([
    ["", a, false, a],
    ["*", a, false, a],
    ["x", a, false, `x AND ${a}`],
    [`x AND ${a}`, a, false, `x AND ${a}`],
    [`${a} AND x`, a, true, `x AND NOT ${a}`],
    [`x AND NOT ${a}`, a, false, `x AND ${a}`],
    // A condition that stands under OR does not narrow the whole.
    [`${a} OR y`, a, false, `(${a} OR y) AND ${a}`],
    ["x OR y", a, true, `(x OR y) AND NOT ${a}`],
    ["x || y", a, false, `(x || y) AND ${a}`],
    [`(x OR ${a}) AND z`, a, false, `(x OR ${a}) AND z AND ${a}`],
    ['"this OR that"', a, false, `"this OR that" AND ${a}`],
    ['m:"say \\" OR "', a, false, `m:"say \\" OR " AND ${a}`],
    ["path:/a OR b/", a, false, `path:/a OR b/ AND ${a}`],
    ["n:[1 TO 2] AND x", a, false, `n:[1 TO 2] AND x AND ${a}`],
    ["ORDER and SANDY", a, false, `ORDER AND SANDY AND ${a}`],
    ["(unclosed OR", a, false, `((unclosed OR) AND ${a}`],
  ])("%s with %s (excluded: %s)", (query, added, negate, expected) => {
    expect(narrow(query, added, negate)).toBe(expected);
  });
  it("complete field names only where one is typed", () => {
    expect(fieldAt("source.i", 8)).toEqual({ begin: 0, word: "source.i" });
    expect(fieldAt("a:1 AND sou", 11)).toEqual({ begin: 8, word: "sou" });
    expect(fieldAt("source.ip:10", 12)).toBeUndefined();
    expect(fieldAt('m:"in quotes', 12)).toBeUndefined();
  });
});

describe("streams", () => {
  it("are split into whole messages", () => {
    expect(messages(': keep\n\nevent: hit\ndata: {"a":1}\n\nevent: hit\nda')).toEqual([[{ event: "hit", data: '{"a":1}' }], "event: hit\nda"]);
  });
});

describe("times", () => {
  it("are Japanese unless asked otherwise", () => {
    expect(when("2026-04-01T00:00:00Z", false)).toBe("2026-04-01 09:00:00");
    expect(when("2026-04-01T00:00:00Z", true)).toBe("2026-04-01 00:00:00");
    expect(when("2026-04-01T00:00:00Z", false, false)).toBe("09:00:00");
  });
  it("have the fraction that an event has", () => {
    expect(exact("2026-04-01T00:00:00.123456Z", false)).toBe("2026-04-01 09:00:00.123");
    expect(exact("2026-04-01T00:00:00Z", true)).toBe("2026-04-01 00:00:00");
  });
  it("are short where there is little room, by the day in the zone that is shown", () => {
    const now = new Date("2026-04-01T16:00:00Z");
    expect(brief("2026-04-01T15:30:01Z", false, now)).toBe("00:30:01");
    expect(brief("2026-04-01T14:30:01Z", false, now)).toBe("04-01 23:30");
    expect(brief("2026-04-01T14:30:01Z", true, now)).toBe("14:30:01");
    expect(brief("no time", true, now)).toBe("no time");
  });
});

describe("what an analyst types", () => {
  const NAMES = ["@timestamp", "client.ip", "destination.ip", "destination.port", "event.action", "host.name", "network.transport", "source.ip", "source.port", "url.path", "user.name"];
  it("is led to the field that was meant", () => {
    for (const [name, first] of [
      ["src_ip", "source.ip"], ["srcip", "source.ip"], ["SourceIp", "source.ip"], ["src_addr", "source.ip"], ["s-ip", "source.ip"], ["dst_port", "destination.port"], ["dpt", "destination.port"],
      ["dest_ip", "destination.ip"], ["Destination.IP", "destination.ip"], ["source.ip.keyword", "source.ip"], ["host", "host.name"], ["username", "user.name"], ["action", "event.action"], ["proto", "network.transport"], ["clientip", "client.ip"], ["_time", undefined], ["timestamp", "@timestamp"],
    ] as const) expect(meant(name, NAMES)[0], name).toBe(first);
    expect(meant("port", NAMES)).toEqual(["source.port", "destination.port"]);
    expect(meant("nothing", NAMES)).toEqual([]);
    expect(renamed('src_ip:1.2.3.4 AND NOT (src_ip : 5 OR my.src_ip:6 OR "src_ip")', "src_ip", "source.ip")).toBe('source.ip:1.2.3.4 AND NOT (source.ip : 5 OR my.src_ip:6 OR "src_ip")');
  });
  it("has times that depend on the zone, or not", () => {
    for (const query of ['@timestamp >= "2026-04-01T09:00:00"', "@timestamp:[2026-04-01 TO now]", "event.start:>2026-04-01T09:00"]) expect(zoneless(query), query).toBe(true);
    for (const query of ["@timestamp:>=2026-04-01T09:00:00+09:00", '@timestamp:"2026-04-01T00:00:00Z"', "@timestamp:>now-1d", "user.name:x 2026-04-01"]) expect(zoneless(query), query).toBe(false);
  });
  it("has ends of ranges as the server reads them", () => {
    const now = Date.parse("2026-04-01T00:00:00Z");
    expect(["now", "now-90m", "now-2w", "2026-03-31T09:00:00+09:00"].map((text) => new Date(instant(text, now)).toISOString())).toEqual(["2026-04-01T00:00:00.000Z", "2026-03-31T22:30:00.000Z", "2026-03-18T00:00:00.000Z", "2026-03-31T00:00:00.000Z"]);
    for (const text of ["", "now-1d/d", "yesterday"]) expect(instant(text, now), text).toBeNaN();
  });
});
