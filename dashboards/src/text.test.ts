import { describe, expect, it } from "vitest";
import { messages } from "./api";
import { condition, narrow, visible, when } from "./text";

describe("what a sender wrote", () => {
  it("shows hidden characters", () => {
    expect(visible("a\u202eb\u001b[31m\u200b")).toBe("a\\u{202e}b\\u{001b}[31m\\u{200b}");
    expect(visible("個人番号\n")).toBe("個人番号\n");
  });
  it("becomes a condition that means just that", () => {
    expect(condition("user.name", 'a"b\\c')).toBe('user.name:"a\\"b\\\\c"');
  });
});

describe("queries", () => {
  it("are narrowed once", () => {
    expect(narrow("", 'a:"1"')).toBe('a:"1"');
    expect(narrow("x", 'a:"1"')).toBe('x AND a:"1"');
    expect(narrow('x AND a:"1"', 'a:"1"')).toBe('x AND a:"1"');
    expect(narrow("x OR y", 'a:"1"', true)).toBe('(x OR y) AND NOT a:"1"');
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
  });
});
