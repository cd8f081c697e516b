// What the screens must hold: they survive a server that fails or goes away, mind the keyboard, lose nothing on a reload, and fit a phone.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { Service, forbidden, launch, shot, stamp, until, visit } from "./service.mjs";

let service, browser;
before(async () => {
  service = await Service.start();
  browser = await launch();
  await service.send(
    forbidden("10.2.16.9"),
    forbidden("10.2.16.10", 8443),
    ...["taro", "jiro", "hanako"].map((user, n) => `<38>${stamp()} srv1 sshd[${100 + n}]: Failed password for ${user} from 198.51.100.${n + 1} port 4000${n} ssh2`),
    "GK3 door 1 opened, which no decoder reads",
    `<13>${stamp()} srv1 app: hidden a\u202eb\u061cc\u00add\u2028e\u2029f\u200bg\u{e0041}h\u001b[31mi\u0085j\u001bk`,
  );
  await service.found("*", 7);
  await until("the alerts", async () => (await service.api("/alerts")).total >= 2);
});
after(async () => {
  await browser?.close();
  await service?.end();
});

const at = (path, options, use) => visit(service, browser, path, options, use);

test("the overview goes on after a failure, and says that it is old meanwhile", () =>
  at("/", {}, async (page) => {
    const rate = page.locator("[data-rate]");
    await until("a figure", async () => /^\d/.test(await rate.innerText()));
    await page.route("**/api/v1/stats", (route) => route.fulfill({ status: 500, body: "{}" }));
    await page.locator(".stale").waitFor();
    assert.match(await rate.innerText(), /^\d/, "what was seen last stays");
    await page.locator("[data-cell='lgwan>outside']").waitFor();
    await page.unroute("**/api/v1/stats");
    await page.locator(".stale").waitFor({ state: "detached" });
  }));

test("the overview says that people are not told, and why", () =>
  at("/", {}, async (page) => {
    await page.locator("[data-rate]").waitFor();
    assert.equal(await page.locator("[data-untold]").count(), 0);
    const away = { destination: "duty <b>", waiting: 3, failing: 2, given_up: 1, last_error: "the destination answered 503" };
    await page.route("**/api/v1/stats", async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, json: { ...(await response.json()), undelivered: [away, { ...away, destination: "fine", failing: 0, given_up: 0 }] } });
    });
    await page.getByRole("alert").filter({ hasText: "届いていません: duty <b>: 2 件が再送待ち, 1 件を断念 (the destination answered 503)" }).waitFor();
    assert.ok(!(await page.locator("[data-untold]").innerText()).includes("fine"), "what only waits is no failure");
  }));

test("an alert leads to its rule, in the reader's language, and to the other alerts of it", () =>
  at("/alerts", {}, async (page) => {
    await page.locator("tr[data-alert]", { hasText: "10.2.16.9" }).click();
    await page.getByRole("link", { name: "このルールのアラート" }).click();
    await until("one rule", () => new URL(page.url()).searchParams.get("rule"));
    await page.locator("tr[data-alert]", { hasText: "10.2.16.10" }).waitFor();
    await page.getByRole("button", { name: "一つのルールのみ" }).click();
    assert.equal(new URL(page.url()).searchParams.get("rule"), null);
    await page.locator("tr[data-alert]", { hasText: "10.2.16.9" }).click();
    await page.locator(".side dl.advice a").first().click();
    await page.locator(".side .said", { hasText: "ゾーン間の禁止された通信" }).waitFor();
    await page.locator("tr.selected", { hasText: "ゾーン間の禁止された通信" }).waitFor();
  }));

test("what an alert's event has leads to a search for it", () =>
  at("/alerts", {}, async (page) => {
    await page.locator("tr[data-alert]", { hasText: "10.2.16.9" }).click();
    await page.locator("[data-evidence] button").first().click();
    // The record that is open is kept over a reload; the way back closes it.
    await page.locator("ol.context li.selected").waitFor();
    await page.reload();
    await page.locator("ol.context li.selected").waitFor();
    await page.goBack();
    await page.locator("ol.context").waitFor({ state: "detached" });
    await page.locator("[data-evidence] button").first().click();
    await page.getByRole("button", { name: "絞り込む destination.port", exact: true }).first().click();
    await page.locator("tr[data-hit]", { hasText: "10.2.16.9" }).waitFor();
    assert.match(new URL(page.url()).searchParams.get("q"), /^destination\.port:"\d+"$/);
  }));

test("what was said of an address is found again, from an event and by words", () =>
  at("/search?q=10.2.16.9", {}, async (page) => {
    await page.locator("tr[data-hit]").first().click();
    await page.getByRole("link", { name: "アラートを探す: 10.2.16.9" }).click();
    await page.locator("tr[data-alert]", { hasText: "10.2.16.9" }).waitFor();
    assert.equal(await page.locator("tr[data-alert]").count(), 1);
    const words = page.locator("input[name=alert-text]");
    assert.equal(await words.inputValue(), '"10.2.16.9"');
    await words.fill("禁止された通信 10.2.16.1");
    await page.locator("tr[data-alert]", { hasText: "10.2.16.10" }).waitFor();
    await page.locator("tr[data-alert]", { hasText: /10\.2\.16\.9$/ }).waitFor({ state: "detached" });
    await page.reload();
    await page.locator("tr[data-alert]", { hasText: "10.2.16.10" }).waitFor();
    await words.fill("10.2.16.10 nosuchword");
    await page.locator("td.empty").waitFor();
  }));

test("a tab that is opened beside another is signed in, and signing out ends it in both", async () => {
  const context = await browser.newContext();
  const [one, two] = [await context.newPage(), await context.newPage()];
  await one.goto(service.url);
  await one.fill("input[name=token]", service.token);
  await one.keyboard.press("Enter");
  await one.locator("[data-rate]").waitFor();
  await two.goto(`${service.url}/alerts`);
  await two.locator("tr[data-alert]").first().waitFor();
  await two.getByRole("button", { name: "サインアウト" }).click();
  for (const page of [one, two]) await page.getByRole("status").filter({ hasText: "サインアウトしました" }).waitFor();
  await one.reload();
  await one.locator("input[name=token]").waitFor();
  await context.close();
});

test("a revoked token leads to a sign-in that says so, and back to the same place", async () => {
  const token = service.newToken("leaver");
  await at("/search?q=taro", { token }, async (page) => {
    await page.locator("tr[data-hit]").first().waitFor();
    assert.match(service.command("token", "revoke", token), /is revoked/);
    await page.locator("button.primary").click();
    await page.getByRole("alert").filter({ hasText: "取り消されました" }).waitFor();
    await page.fill("input[name=token]", "wrong");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").filter({ hasText: "トークンが正しくありません" }).waitFor();
    await page.fill("input[name=token]", service.token);
    await page.keyboard.press("Enter");
    await page.locator("tr[data-hit]").first().waitFor();
    assert.equal(await page.locator("input[name=query]").inputValue(), "taro");
  });
});

test("keys with modifiers, and keys that are typed, do nothing to an alert; closing asks, and can be undone", () =>
  at("/alerts", {}, async (page) => {
    await page.locator("tr[data-alert]").first().click();
    await page.locator("[data-status=open]").waitFor();
    for (const key of ["Control+a", "Control+x", "Meta+a", "Alt+x", "Control+m"]) await page.keyboard.press(key);
    await page.locator("input[name=comment]").fill("");
    await page.locator("input[name=comment]").pressSequentially("max arc x a");
    assert.equal(await page.locator("input[name=comment]").inputValue(), "max arc x a");
    assert.equal(await page.locator("dialog").count(), 0);
    await page.keyboard.press("Enter");
    await page.locator("ol.timeline .said", { hasText: "max arc x a" }).waitFor();
    assert.equal(await page.locator("[data-status]").getAttribute("data-status"), "open");

    await page.keyboard.press("Escape");
    await page.locator("tr[data-alert]").first().click();
    await page.keyboard.press("x");
    await page.locator("dialog").waitFor();
    await page.keyboard.press("Escape");
    await page.locator("dialog").waitFor({ state: "detached" });
    assert.equal(await page.locator("[data-status]").getAttribute("data-status"), "open", "Escape closes the question only");
    await page.keyboard.press("x");
    await page.locator("dialog input[value=benign]").check();
    await page.locator("dialog input[name=reason]").fill("訓練");
    await page.keyboard.press("Enter");
    await page.locator("[data-status=closed]").waitFor();
    await page.locator(".undo button").click();
    await page.locator("[data-status=open]").waitFor();
    await page.locator("ol.timeline li.action", { hasText: "訓練" }).waitFor();
    await page.locator("ol.timeline li.action", { hasText: "再開する" }).waitFor();
  }));

test("an alert is acknowledged, assigned and let go, and its timeline tells", () =>
  at("/alerts", { language: "en" }, async (page) => {
    service.newToken("hanako");
    await page.locator("tr[data-alert]").nth(1).click();
    await page.locator("[data-status=open]").waitFor();
    await page.keyboard.press("a");
    await page.locator("[data-status=acknowledged]").waitFor();
    await page.locator(".facts", { hasText: "Assignee: test" }).waitFor();
    await page.locator("select[name=assignee]").selectOption("hanako");
    await page.locator(".facts", { hasText: "Assignee: hanako" }).waitFor();
    await page.locator("ol.timeline li.action", { hasText: "→ hanako" }).waitFor();
    await page.locator("ol.timeline li.event", { hasText: "LGWAN-ACCEPT" }).waitFor();
    await page.keyboard.press("m");
    await page.locator(".facts", { hasText: "Assignee: test" }).waitFor();
    await page.locator("select[name=assignee]").selectOption("");
    await page.locator(".facts", { hasText: "Assignee: Nobody" }).waitFor();
    // Its evidence opens, and leads to the same source's neighbours.
    await page.locator("tr[data-evidence]").first().click();
    await page.locator("ol.context li.selected").waitFor();
    await page.keyboard.press("Escape");
    await page.locator("ol.context").waitFor({ state: "detached" });
    await page.locator("[data-status]").waitFor();
    await page.getByRole("button", { name: "Search related events" }).click();
    await page.locator("tr[data-hit]").first().waitFor();
    assert.match(new URL(page.url()).searchParams.get("q"), /source\.ip/);
  }));

test("the inbox keeps its filter in the address and shows what comes after a broken line", () =>
  at("/alerts", {}, async (page) => {
    await page.locator(".line-state.live").waitFor();
    await page.getByRole("button", { name: "完了", exact: true }).click();
    await page.locator("td.empty").waitFor();
    await page.reload();
    await page.locator("td.empty").waitFor();
    await page.getByRole("button", { name: "未完了" }).click();
    await page.locator("tr[data-alert]").first().waitFor();
    const known = await page.locator("tr[data-alert]").count();
    const link = page.locator("tr[data-alert]", { hasText: "10.2.16.9" }).locator("a");
    await link.focus();
    await service.send(forbidden("10.2.16.21"));
    await page.locator("tr[data-alert].fresh", { hasText: "10.2.16.21" }).waitFor();
    assert.ok(await link.evaluate((element) => element === document.activeElement), "what comes does not take the focus away");
    // The server goes away and comes back; an alert came before the stream was there again.
    await page.route("**/api/v1/alerts/stream", (route) => route.abort());
    await service.stop();
    await page.locator(".line-state.waiting").waitFor();
    await service.run();
    await service.send(forbidden("10.2.16.22"));
    await until("the alert", async () => (await service.api("/alerts")).total >= known + 2);
    await page.unroute("**/api/v1/alerts/stream");
    await page.locator(".line-state.live").waitFor();
    await page.locator("tr[data-alert]", { hasText: "10.2.16.22" }).waitFor();
  }));

test("several alerts are marked and closed at once; one that fails stays marked", () =>
  at("/alerts", { language: "en" }, async (page) => {
    await service.send(forbidden("10.2.16.31"), forbidden("10.2.16.32"), forbidden("10.2.16.33"));
    const row = (address) => page.locator("tr[data-alert]", { hasText: address });
    const status = async (address) => (await service.api(`/alerts?text=${address}`)).alerts[0]?.status;
    for (const address of ["10.2.16.31", "10.2.16.32", "10.2.16.33"]) await row(address).waitFor();
    for (const address of ["10.2.16.31", "10.2.16.32"]) await row(address).locator("input[type=checkbox]").check();
    // A key marks what is chosen, also where the focus is on a box.
    const wanted = await row("10.2.16.33").getAttribute("data-alert");
    for (let step = 0; step < 20 && (await page.locator("tr[aria-current]").getAttribute("data-alert").catch(() => "")) !== wanted; step += 1) await page.keyboard.press("j");
    await page.keyboard.press("v");
    await page.locator("[data-marked='3']").waitFor();
    await shot(page, "screens-marked");
    await page.locator("[data-marked] button", { hasText: "Acknowledge" }).click();
    await page.locator("[data-marked]").waitFor({ state: "detached" });
    for (const address of ["10.2.16.31", "10.2.16.32", "10.2.16.33"]) assert.equal(await status(address), "acknowledged");
    for (const address of ["10.2.16.31", "10.2.16.32"]) await row(address).locator("input[type=checkbox]").check();
    const refused = await row("10.2.16.32").getAttribute("data-alert");
    await page.route(`**/api/v1/alerts/${refused}/actions`, (route) => route.abort());
    const close = async () => {
      await page.locator("[data-marked] button", { hasText: "Close…" }).click();
      await page.locator("input[name=disposition][value=false_positive]").check();
      await page.locator("input[name=reason]").fill("a test of the line");
      await page.locator("dialog button.primary").click();
    };
    await close();
    await page.getByRole("alert").waitFor();
    assert.equal(await status("10.2.16.32"), "acknowledged");
    assert.ok(await row("10.2.16.32").locator("input[type=checkbox]").isChecked());
    await page.unroute(`**/api/v1/alerts/${refused}/actions`);
    await close();
    await page.locator("[data-marked]").waitFor({ state: "detached" });
    for (const address of ["10.2.16.31", "10.2.16.32"]) await until("all closed", async () => (await status(address)) === "closed");
    const [alert] = (await service.api("/alerts?text=10.2.16.32&status=closed")).alerts;
    assert.equal(alert.disposition, "false_positive");
    await row("10.2.16.33").waitFor();
  }));

test("the live tail takes up a broken line and shows what it missed, each event once", () =>
  at("/tail?q=tailword", {}, async (page) => {
    const records = (from, to) => Array.from({ length: to - from }, (_, n) => `<13>${stamp()} srv1 app: tailword number${from + n}end`);
    await page.locator(".line-state.live").waitFor();
    await service.send(...records(0, 3));
    await page.locator("tr[data-hit]", { hasText: "number2end" }).waitFor();
    await page.route("**/api/v1/tail?*", (route) => route.abort());
    await service.stop();
    await page.locator(".line-state.waiting").waitFor();
    await service.run();
    await service.send(...records(3, 8));
    await service.found("tailword", 8);
    assert.equal(await page.locator("tr[data-hit]").count(), 3);
    await page.unroute("**/api/v1/tail?*");
    for (let n = 0; n < 8; n++) await page.locator("tr[data-hit]", { hasText: `number${n}end` }).waitFor();
    assert.equal(await page.locator("tr[data-hit]").count(), 8);
    // Paused, events are held; then they come.
    await page.keyboard.press("p");
    await service.send(...records(8, 10));
    await page.getByText("2 件が待っています").waitFor();
    assert.equal(await page.locator("tr[data-hit]").count(), 8);
    await page.keyboard.press("p");
    await page.locator("tr[data-hit]", { hasText: "number9end" }).waitFor();
    assert.equal(await page.locator("tr[data-hit]").count(), 10);
  }));

test("facets narrow and exclude, also under OR", () =>
  at(`/search?q=${encodeURIComponent('source.ip:"198.51.100.1" OR user.name:jiro OR user.name:hanako')}`, {}, async (page) => {
    const total = (n) => page.locator(`[data-total="${n}"]`).waitFor();
    const facet = (value) => page.locator("li[data-facet='source.ip']", { hasText: value });
    await total(3);
    await facet("198.51.100.1").locator("button.value").click();
    await total(1);
    assert.equal(await page.locator("input[name=query]").inputValue(), '(source.ip:"198.51.100.1" OR user.name:jiro OR user.name:hanako) AND source.ip:"198.51.100.1"');
    await page.goBack();
    await total(3);
    await facet("198.51.100.2").getByRole("button", { name: /除く/ }).click();
    await total(2);
    await page.locator("tr[data-hit]").first().click();
    await page.getByRole("button", { name: "絞り込む user.name" }).first().click();
    await total(1);
    // Numbers and addresses too.
    await page.goto(`${service.url}/search?q=${encodeURIComponent("mihari.format:netfilter")}`);
    await page.locator("tr[data-hit]", { hasText: "DPT=8443" }).click();
    await page.getByRole("button", { name: "絞り込む destination.port", exact: true }).first().click();
    await total(1);
    await page.locator("tr[data-hit]").click();
    await page.getByRole("button", { name: "絞り込む source.ip" }).click();
    await total(1);
    await page.locator("tr[data-hit]").click();
    await page.getByRole("button", { name: "除く destination.port" }).click();
    await page.locator("tr[data-hit]", { hasText: "DPT=8443" }).waitFor({ state: "detached" });
  }));

test("a search is kept over a reload, also while it is typed; fields are offered", () =>
  at("/search?from=now-24h", {}, async (page) => {
    await page.locator("tr[data-hit]").first().waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("user.na");
    await page.locator("#offered").getByRole("option", { name: "user.name", exact: true }).waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.keyboard.type("tar");
    await page.reload();
    const query = page.locator("input[name=query]");
    assert.equal(await query.inputValue(), "user.name:tar");
    assert.equal(await page.locator("select[name=range]").inputValue(), "now-24h");
    await query.fill("user.name:taro");
    await page.keyboard.press("Enter");
    await page.locator("[data-total='1']").waitFor();
    // The event that is open is kept too.
    await page.locator("tr[data-hit]").click();
    await page.locator("ol.context li.selected").waitFor();
    await page.reload();
    await page.locator("ol.context li.selected").waitFor();
    for (const [wrong, said] of [["user.name:(", "ここに値が必要です"], ['user.name:taro "srv1', "引用符が閉じられていません"], ["x:/[/", "unclosed character class"]]) {
      await query.fill(wrong);
      await query.press("Enter");
      const alert = page.locator("[role=alert]", { hasText: said });
      await alert.locator(".mark", { hasText: "^" }).waitFor();
      assert.ok((await alert.innerText()).includes(wrong));
    }
  }));

test("fields by other tools' names are offered ours; what takes long is said and stopped; the hits are a file", () =>
  at(`/search?q=${encodeURIComponent("src_ip:198.51.100.1 AND User.Name:taro")}&from=now-2h`, {}, async (page) => {
    const unknown = page.locator("[data-unknown-fields]");
    await unknown.getByRole("button", { name: "source.ip?" }).click();
    await unknown.getByRole("button", { name: "user.name?" }).click();
    await page.locator("[data-total='1']").waitFor();
    assert.equal(await page.locator("input[name=query]").inputValue(), "source.ip:198.51.100.1 AND user.name:taro");
    // A range of two hours is drawn as such, and the pointer tells what an interval holds.
    const box = await page.locator(".hist .u-over").boundingBox();
    await page.mouse.move(box.x + 30, box.y + 20);
    const [, from, to] = (await until("an interval", async () => /(\d\d:\d\d):00 – (\d\d:\d\d):00 {2}0 件/.exec(await page.locator(".under").innerText())));
    const minutes = (text) => text.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
    const now = minutes(stamp().split(" ").pop().slice(0, 5));
    assert.ok((now - minutes(from) + 1440) % 1440 > 110 && (minutes(to) - minutes(from) + 1440) % 1440 <= 5, `${from} – ${to}`);
    // A field of the open event becomes a column, and only the columns are exported.
    await page.locator("tr[data-hit]").click();
    await page.getByRole("button", { name: "列を追加 user.name", exact: true }).click();
    await page.locator("th", { hasText: "user.name" }).first().waitFor();
    await page.getByRole("button", { name: "書き出す…" }).click();
    const [file] = await Promise.all([page.waitForEvent("download"), page.locator("dialog button.primary").click()]);
    assert.match(file.suggestedFilename(), /^mihari-\d{8}T\d{6}Z\.csv$/);
    const lines = readFileSync(await file.path(), "utf8").trim().split(/\r?\n/);
    assert.deepEqual([lines[0], lines.length], ["id,time,received,user.name,raw", 3]);
    assert.match(lines[2], /^# \{.*"count":1,"complete":true/);
    await page.locator("dialog").waitFor({ state: "detached" });
    // An export that has broken off is no file.
    await page.route("**/api/v1/export", (route) => route.fulfill({ body: "id,time\n0-1-0,2026" }));
    await page.getByRole("button", { name: "書き出す…" }).click();
    await page.locator("dialog button.primary").click();
    await page.locator("dialog [role=alert]", { hasText: "途中で切れました" }).waitFor();
    await page.keyboard.press("Escape");
    let held;
    await page.route("**/api/v1/search", (route) => (held = route));
    await page.locator("input[name=query]").fill('@timestamp >= "2026-04-01T09:00:00"');
    await page.keyboard.press("Enter");
    await page.locator(".late").getByRole("button", { name: "やめる" }).click();
    await page.getByRole("alert").filter({ hasText: "検索を中止しました" }).waitFor();
    await page.locator("[data-zoneless]").waitFor();
    await held.abort();
  }));

test("dragging over the histogram chooses the range", () =>
  at("/search?from=now-1h", {}, async (page) => {
    await page.locator("tr[data-hit]").first().waitFor();
    const box = await page.locator(".hist .u-over").boundingBox();
    await page.mouse.move(box.x + box.width * 0.5, box.y + 20);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width, box.y + 20, { steps: 5 });
    await page.mouse.up();
    await until("the range", async () => new URL(page.url()).searchParams.get("to"));
    const range = new URL(page.url()).searchParams;
    const length = (Date.parse(range.get("to")) - Date.parse(range.get("from"))) / 60_000;
    assert.ok(length > 25 && length < 35, `${length} minutes`);
    await page.locator("tr[data-hit]").first().waitFor();
    // The same range can be typed, in the time zone that is shown.
    const seconds = (text) => Date.parse(`${text}+09:00`);
    assert.ok(Math.abs(seconds(await page.locator("input[name=from]").inputValue()) - Date.parse(range.get("from"))) < 1000);
    await page.locator("input[name=to]").fill("2026-04-01T09:30:00");
    await page.locator("input[name=to]").blur();
    await until("the typed end", async () => new URL(page.url()).searchParams.get("to") === "2026-04-01T00:30:00.000Z");
    await page.goBack();
    await page.goBack();
    await until("the former range", async () => new URL(page.url()).searchParams.get("from") === "now-1h");
  }));

test("what cannot be seen is made visible", () =>
  at("/search?q=hidden", {}, async (page) => {
    const row = page.locator("tr[data-hit]", { hasText: "hidden a" });
    await row.waitFor();
    const shown = "a\\u{202e}b\\u{061c}c\\u{00ad}d\\u{2028}e\\u{2029}f\\u{200b}g\\u{e0041}h\\u{001b}[31mi\\u{0085}j\\u{001b}k";
    assert.ok((await row.innerText()).includes(shown), await row.innerText());
    await row.click();
    await page.locator(".rawtext").waitFor();
    // A colour is no part of what is read, so that no field has it.
    const read = shown.replace("\\u{001b}[31m", "");
    for (const [where, text] of [[".rawtext", shown], ["table.fields", read], ["ol.context", shown]])
      assert.ok((await page.locator(where).innerText()).includes(text), where);
    assert.doesNotMatch(await page.locator("body").innerText(), /[\u061c\u00ad\u2028\u2029\u200b\u202e\u001b\u0085]|\u{e0041}/u);
  }));

test("the focus goes into what opens, Escape closes it, and the focus comes back", () =>
  at("/search?from=now-24h", { language: "en" }, async (page) => {
    await page.locator("tr[data-hit]").nth(1).locator("button").focus();
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    const inside = () => page.evaluate(() => document.activeElement?.closest("[role=dialog]") !== null);
    await until("the focus in the panel", inside);
    await page.keyboard.press("Tab");
    assert.ok(await inside());
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await until("the focus back", () => page.evaluate(() => document.activeElement === document.querySelectorAll("tr[data-hit]")[1].querySelector("button")));
    // By keys alone: choose, open, go on, close; the help, and back.
    await page.keyboard.press("j");
    await page.keyboard.press("Escape");
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    const first = await page.getByRole("dialog").getAttribute("aria-label");
    await page.keyboard.press("j");
    await until("the next event", async () => (await page.getByRole("dialog").getAttribute("aria-label")) !== first);
    await page.keyboard.press("?");
    await page.locator("dialog", { hasText: "This list" }).waitFor();
    await page.keyboard.press("j");
    await page.keyboard.press("Escape");
    await page.locator("dialog").waitFor({ state: "detached" });
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.keyboard.press("g");
    await page.keyboard.press("z");
    await page.locator("[data-cell='lgwan>outside']").waitFor();
  }));

test("a cell of the zone matrix leads to its events", () =>
  at("/matrix", {}, async (page) => {
    const cell = page.locator("[data-cell='lgwan>outside']");
    await cell.waitFor();
    assert.match(await cell.getAttribute("aria-label"), /違反あり/);
    await cell.click();
    await page.getByText("必ず拒否").waitFor();
    await page.getByText("許可する行はありません").waitFor();
    await page.locator(".side td.mono", { hasText: "10.2.16.9" }).waitFor();
    await shot(page, "matrix");
    await page.reload();
    await page.locator(".side td.mono", { hasText: "10.2.16.9" }).waitFor();
    await page.locator("a.violations").click();
    await page.locator("tr[data-hit]", { hasText: "LGWAN-ACCEPT" }).first().waitFor();
    // The records of a conversation go both ways.
    const [there, back] = [["lgwan", "outside"], ["outside", "lgwan"]].map(([from, to]) => `(zone.source:"${from}" AND zone.destination:"${to}")`);
    assert.equal(new URL(page.url()).searchParams.get("q"), `(${there} OR ${back}) AND policy.verdict:"violation"`);
  }));

const PLACES = [
  "/", "/alerts", "/search?from=now-24h", "/search?from=now-24h&cols=user.name,source.ip", "/tail", "/matrix?cell=lgwan%3Eoutside", "/matrix/policy",
  "/searches", "/rules", "/rules?r=RULE", "/backtests", "/quarantine", "/sources",
];
/** What shows that a screen has what it shows. */
const FILLED = "tr[data-alert], tr[data-hit], td button[data-cell], td.empty, tr[data-version], tr[data-search], tr[data-rule], select[name=rule], tr[data-quarantined], tr[data-source]";
/** The screens, and one of each thing that opens. */
async function places() {
  const { alerts } = await service.api("/alerts");
  const { rules } = await service.api("/rules");
  const { searches } = await service.api("/searches");
  const schedule = { every_minutes: 1440, condition: ">", count: 3, group_by: "user.name", level: "high", title: "失敗 many", message: "m" };
  const saved = searches[0] ?? (await service.api("/searches", { name: "検索 one", query: "user.name:*", columns: ["user.name"], schedule }));
  const rule = encodeURIComponent(rules.find((one) => one.kind === "sigma").id);
  const unread = await until("the quarantine", async () => (await service.api("/quarantine")).records[0]);
  return [...PLACES.map((place) => place.replace("RULE", rule)), `/alerts/${alerts[0].id}`, `/searches?s=${saved.id}`, `/quarantine?e=${unread.id}`];
}

test("nothing is wider than a phone", () =>
  at("/", { viewport: { width: 360, height: 740 } }, async (page) => {
    const { hits } = await service.found("*");
    for (const place of [...(await places()), `/search?from=now-24h&e=${hits[0].id}`]) {
      await page.goto(service.url + place);
      await page.locator(".panel:visible, .side:visible").first().waitFor();
      await page.locator(FILLED).first().waitFor({ state: "attached" });
      if (place.startsWith("/search?") && place.includes("&e=")) await page.locator("ol.context li").first().waitFor();
      if (place.startsWith("/alerts/")) await page.locator("dl.advice").waitFor();
      assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 360, place);
      await shot(page, `phone${place.replaceAll(/\W+/g, "-").slice(0, 20)}`);
    }
  }));

for (const language of ["ja", "en"]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`every screen in ${language}, ${colorScheme}: named, legible, in its language`, () =>
      at("/", { language, colorScheme }, async (page) => {
        for (const place of await places()) {
          await page.goto(service.url + place);
          await page.locator(".panel:visible, .side:visible").first().waitFor();
          await page.locator(FILLED).first().waitFor();
          if (place.startsWith("/alerts/")) await page.locator("dl.advice").waitFor();
          await shot(page, `${language}-${colorScheme}${place.replaceAll(/\W+/g, "-").slice(0, 12)}`);
          const found = await page.evaluate(look);
          assert.deepEqual(found.nameless, [], `${place}: without a name`);
          assert.deepEqual(found.faint, [], `${place}: hard to read`);
          assert.equal(found.language, language);
          // Of the interface itself nothing is left in the other language; names of fields and formats are the same in both.
          if (language === "en") assert.deepEqual(found.words.filter((word) => /[ぁ-んァ-ヶ一-龠]/.test(word) && !/見張り|日本語/.test(word)), [], place);
          else assert.deepEqual(found.words.filter((word) => /^[A-Za-z][a-z]+( [a-z]+)+$/.test(word)), [], place);
        }
      }));
  }
}

/** In the page: controls without a name, text with too little contrast (WCAG 2.2, 1.4.3), and the words of controls and headings. */
function look() {
  const luminance = ([r, g, b]) => [r, g, b].map((c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4)).reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const colour = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(colour(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((under, [r, g, b, a]) => under.map((c, n) => c + ([r, g, b][n] - c) * (a / 255)), [255, 255, 255]);
  };
  const visible = (element) => element.checkVisibility() && element.getClientRects().length > 0;
  const nameless = [...document.querySelectorAll("button, a, input, select, textarea, [role=dialog], [role=img]")]
    .filter((e) => visible(e) && !(e.getAttribute("aria-label") || e.innerText?.trim() || e.labels?.[0]?.innerText.trim() || e.closest("label")?.innerText.trim()))
    .map((e) => e.outerHTML.slice(0, 120));
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const style = getComputedStyle(element);
    if (!walker.currentNode.data.trim() || !visible(element) || ["OPTION", "SCRIPT"].includes(element.tagName)) continue;
    const [one, two] = [luminance(colour(style.color)), luminance(behind(element))].sort((a, b) => b - a);
    const contrast = (one + 0.05) / (two + 0.05);
    if (contrast < 4.5) faint.push(`${walker.currentNode.data.slice(0, 30)} ${contrast.toFixed(2)} ${element.className}`);
  }
  const words = [...document.querySelectorAll("button, h2, h3, th, summary, .caption, .tile span, label > span, dt, legend")]
    .filter((e) => visible(e) && !e.closest(".mono, .chip, [data-facet], table.fields, ol, .facets h3, td.what, .matrix, .detail h2"))
    .map((e) => e.innerText.trim())
    .filter(Boolean);
  return { nameless, faint: [...new Set(faint)], words, language: document.documentElement.lang };
}
