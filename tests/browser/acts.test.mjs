// What people do on the screens beside looking: keep and schedule a search, set a rule's mode, load rules, ask the past, release what was
// quarantined, follow the ledger, compare policies, name a terminal.
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { POLICY, Service, forbidden, launch, shot, stamp, until, visit } from "./service.mjs";

const RULE = `
title: Logins of taro
id: 5f0f4a3c-0c7e-4d55-9f0b-1f1c58a1d0aa
status: test
logsource: {product: linux, service: sshd}
detection: {selection: {user.name: taro}, condition: selection}
level: low
tags: [attack.t1110.001]
`;
const ID = "5f0f4a3c-0c7e-4d55-9f0b-1f1c58a1d0aa";

let service, browser;
before(async () => {
  service = await Service.start([RULE]);
  browser = await launch();
  await service.send(
    forbidden("10.2.16.9"),
    ...["taro", "taro", "jiro"].map((user, n) => `<38>${stamp()} srv1 sshd[${100 + n}]: Failed password for ${user} from 198.51.100.${n + 1} port 4000${n} ssh2`),
    ...[1, 2, 3].map((n) => `GK3 door ${n} opened by card 00${n}\u0007`),
  );
  await service.found("*", 7);
});
after(async () => {
  await browser?.close();
  await service?.end();
});

const at = (path, options, use) => visit(service, browser, path, options, use);

test("a search is kept with its columns, opened, scheduled, tried, and its runs are seen", () =>
  at("/search?from=now-1h&q=user.name:*", {}, async (page) => {
    await page.locator("tr[data-hit]").first().waitFor();
    await page.locator("select[name=column]").selectOption("user.name");
    await page.locator("th", { hasText: "user.name" }).waitFor();
    await page.locator("select[name=sort]").selectOption("-user.name");
    await until("the order", async () => (await page.locator("tr[data-hit] td").nth(1).innerText()) === "taro");
    await page.getByRole("button", { name: "保存する…" }).click();
    assert.equal(await page.locator("dialog select[name=saved-range]").inputValue(), "now-1h", "what is kept of the range is seen");
    await page.locator("dialog input[name=name]").fill("ログイン失敗");
    await page.keyboard.press("Enter");
    await page.locator("tr[data-search='ログイン失敗']").waitFor();
    // It opens as it was kept.
    await page.getByRole("button", { name: "検索を開く" }).click();
    await page.locator("tr[data-hit]").first().waitFor();
    const kept = new URL(page.url()).searchParams;
    assert.deepEqual([kept.get("q"), kept.get("from"), kept.get("cols"), kept.get("sort")], ["user.name:*", "now-1h", "user.name", "-user.name"]);
    await page.goBack();
    // A schedule: tried first, then in force. Of the minute before now nothing of the kind has come, so it alerts at once.
    await page.locator("input[name=scheduled]").check();
    await page.locator("input[name=query]").fill("nosuchword");
    await page.locator("input[name=every]").fill("1");
    await page.locator("select[name=condition]").selectOption("none");
    await page.locator("input[name=alert-title]").fill("何も来ていない");
    await page.locator("textarea[name=message]").fill("回線を確認");
    await page.getByRole("button", { name: "試す" }).click();
    await page.locator("[data-tried='0']", { hasText: "1 アラート" }).waitFor();
    await page.locator(".side button.primary").click();
    await page.getByText("保存しました").waitFor();
    await page.locator("tr[data-run]").first().waitFor();
    await shot(page, "acts-saved");
    const alert = await until("the alert", async () => (await service.api("/alerts?status=open")).alerts.find((one) => one.rule.kind === "search"));
    assert.equal(alert.rule.title, "何も来ていない");
    await page.goto(`${service.url}/alerts/${alert.id}`);
    await page.locator("dl.advice", { hasText: "回線を確認" }).waitFor();
    await page.locator("summary", { hasText: "検知の根拠" }).click();
    await page.locator("table.fields td", { hasText: "nosuchword" }).waitFor();
  }));

test("a change that somebody else has overtaken is not saved over theirs, and a search is deleted only when asked twice", () =>
  at("/searches", { language: "en" }, async (page) => {
    const saved = await service.api("/searches", { name: "shared", query: "taro" });
    await page.locator("tr[data-search=shared]").click();
    await page.locator(".side input[name=query]").fill("taro AND mine");
    await service.api(`/searches/${saved.id}`, { name: "shared", query: "theirs" }, { method: "PUT", seen: 1 });
    await page.locator(".side button.primary").click();
    await page.getByRole("alert").filter({ hasText: "Somebody else has changed it" }).waitFor();
    assert.equal((await service.api(`/searches/${saved.id}`)).query, "theirs");
    await page.getByRole("button", { name: "Load again" }).click();
    await until("what they wrote", async () => (await page.locator(".side input[name=query]").inputValue()) === "theirs");
    await page.locator(".side input[name=query]").fill("a:(");
    await page.locator(".side button.primary").click();
    await page.locator("[role=alert] .mark", { hasText: "^" }).waitFor();
    await page.getByRole("button", { name: "Delete…" }).click();
    await page.locator("dialog").waitFor();
    await page.keyboard.press("Escape");
    await page.locator("dialog").waitFor({ state: "detached" });
    await page.locator("tr[data-search=shared]").waitFor();
    await page.getByRole("button", { name: "Delete…" }).click();
    await page.locator("dialog button.primary").click();
    await page.locator("tr[data-search=shared]").waitFor({ state: "detached" });
  }));

test("a rule's hits are seen, its mode is set, and it says why an event matches", () =>
  at("/rules", {}, async (page) => {
    const { hits } = await service.found("user.name:taro");
    await page.locator("input[name=rule-filter]").fill("taro");
    const row = page.locator(`tr[data-rule='${ID}']`);
    await row.waitFor();
    await until("the hits", async () => (await row.locator("td").nth(3).innerText()) === "2");
    assert.match(await row.innerText(), /T1110\.001/);
    await row.click();
    await page.locator("input[name=mode-comment]").fill("訓練のため");
    await page.locator(".side .tabs").getByRole("button", { name: "記録のみ" }).click();
    await page.locator(".side ol.timeline", { hasText: "訓練のため" }).waitFor();
    await row.locator("[data-mode=record]").waitFor();
    await page.locator(".side input[name=event]").fill(hits[0].id);
    await page.keyboard.press("Enter");
    await page.locator("[data-holds=true]").waitFor();
    await page.locator("ul.tree", { hasText: "taro" }).first().waitFor();
    await shot(page, "acts-rule");
    // From an event to the rules, and back to why not.
    const other = (await service.found("user.name:jiro")).hits[0].id;
    await page.goto(`${service.url}/search?from=now-24h&q=user.name:jiro&e=${other}`);
    await page.getByRole("link", { name: "ルールで調べる" }).click();
    await page.locator("[data-choose-rule]", { hasText: other }).waitFor();
    await page.locator("input[name=rule-filter]").fill("taro");
    await row.click();
    await page.locator("[data-holds=false]").waitFor();
    // What it says can be read. A behaviour looks at more than events: nothing is said of its hits, of one event, of the past.
    await page.locator("summary", { hasText: "ルールの本文" }).click();
    await page.locator("[data-rule-text]", { hasText: "user.name: taro" }).waitFor();
    await page.goto(`${service.url}/rules?q=${encodeURIComponent("ゾーン間の禁止")}`);
    const behaviour = page.locator("tr[data-rule]", { hasText: "ゾーン間の禁止された通信" });
    await behaviour.click();
    await page.locator("[data-behaviour]").waitFor();
    assert.equal(await behaviour.locator("td").nth(3).innerText(), "–");
    assert.equal(await page.locator(".side").getByRole("link", { name: "過去の検証" }).count() + await page.locator(".side input[name=event]").count(), 0);
    await page.locator(".side dl.advice").getByRole("link", { name: "1", exact: true }).click();
    await page.locator("tr[data-alert]", { hasText: "10.2.16.9" }).waitFor();
    await page.goto(`${service.url}/rules`);
    await page.locator("summary", { hasText: "対応するログがないルール" }).click();
    await page.locator("table.unmapped tbody tr").first().waitFor();
  }));

test("rules are loaded again; with a mistake those before stay, and it is said", () =>
  at("/rules", { language: "en" }, async (page) => {
    const file = join(service.dir, "rules", "more.yml");
    writeFileSync(file, "title: Broken\ndetection: {condition: nothing}\n");
    await page.getByRole("button", { name: "Load the rules again" }).click();
    await page.getByRole("alert").filter({ hasText: "those before stay in force" }).waitFor();
    await page.locator("pre", { hasText: "more.yml" }).first().waitFor();
    writeFileSync(file, RULE.replace(ID, "5f0f4a3c-0c7e-4d55-9f0b-1f1c58a1d0ab").replace("Logins of taro", "Further logins"));
    await page.getByRole("button", { name: "Load the rules again" }).click();
    await page.getByText("Loaded: ", { exact: false }).first().waitFor();
    await page.locator("tr[data-rule='5f0f4a3c-0c7e-4d55-9f0b-1f1c58a1d0ab']").waitFor();
    rmSync(file);
  }));

test("a rule over the past tells its days, with samples, and whether that is exact", () =>
  at("/backtests", {}, async (page) => {
    await page.locator("textarea[name=yaml]").fill(RULE);
    await page.getByRole("button", { name: "検証する" }).click();
    await page.locator("[data-exact=true]").waitFor();
    await page.locator("[data-matches='2']").waitFor();
    await page.locator("tr[data-day] td.what", { hasText: "Logins of taro" }).waitFor();
    await shot(page, "acts-backtest");
    await page.locator("textarea[name=yaml]").fill("title: x\n");
    await page.getByRole("button", { name: "検証する" }).click();
    await page.getByRole("alert").waitFor();
    await page.locator("select[name=rule]").selectOption({ index: 1 });
    await page.getByRole("button", { name: "検証する" }).click();
    await page.locator("[data-exact], [role=alert]").first().waitFor();
  }));

test("what no decoder reads is seen to the byte, and released once a decoder is there", () =>
  at("/quarantine", {}, async (page) => {
    const rows = page.locator("tr[data-quarantined]");
    await until("the records", async () => (await rows.count()) === 3);
    await rows.first().filter({ hasText: "どの形式にも当てはまりません" }).click();
    await page.locator(".hex", { hasText: "47 4b 33 20" }).waitFor();
    assert.match(await page.locator(".side .rawtext").first().innerText(), /card 001\\u\{0007\}/);
    await shot(page, "acts-quarantine");
    await page.keyboard.press("Escape");
    await page.locator("select[name=reason]").selectOption("no decoder knows this record");
    await page.locator("select[name=source]").selectOption("127.0.0.1");
    await page.getByRole("button", { name: "読めるか調べる" }).click();
    await page.locator("[data-released='0']").waitFor();
    writeFileSync(join(service.dir, "gk3.yaml"), "name: gk3\nabout: A door.\nlines: ['GK3 door {.door:int} opened by card {user.id}']\n");
    service.configure(service.ready.api, service.ready.listen, `decode: {formats: [${join(service.dir, "gk3.yaml")}]}`);
    await service.stop();
    await service.run();
    await page.reload();
    await until("the records", async () => (await rows.count()) === 3);
    await page.getByRole("button", { name: "読めるか調べる" }).click();
    await page.locator("[data-released='3']").waitFor();
    await page.getByRole("button", { name: "読み直して戻す" }).click();
    await page.locator("[data-released='3']", { hasText: "戻した記録" }).waitFor();
    await service.found("mihari.format:gk3", 3);
  }));

test("the ledger adds up, source by source", () =>
  at("/sources", { language: "en" }, async (page) => {
    const { days } = await service.api("/ledger");
    await page.locator(`tr[data-ledger='${days[0].day}']`, { hasText: "Adds up" }).click();
    await page.locator("tr.within[data-of='127.0.0.1']", { hasText: "Adds up" }).waitFor();
    await page.locator("tr[data-source='127.0.0.1']").first().waitFor();
    await page.locator("button[data-show=silent]").click();
    await page.locator("table.sources td.empty").waitFor();
    await page.locator("button[data-show='']").click();
    await page.locator("tr[data-source='127.0.0.1'] a").first().click();
    await page.locator("tr[data-hit]").first().waitFor();
  }));

test("two policies are compared, a draft is tried on the past, and sensors are heard or overdue", async () => {
  writeFileSync(join(service.dir, "policy.yaml"), POLICY.replace("tcp/443", "tcp/8443"));
  await service.stop();
  await service.run();
  const heard = (await service.api("/search", { query: "LGWAN", from: "now-24h" })).total;
  await service.send(forbidden());
  await service.found("LGWAN", heard + 1);
  await at("/matrix", {}, async (page) => {
    await page.locator("tr[data-sensor=fw-lgwan] .state.kept").waitFor();
    await page.locator("tr[data-sensor=fw-silent] .state.broken").waitFor();
    await page.getByRole("link", { name: "方針の版と試算" }).click();
    await page.locator("tr[data-version]").nth(1).waitFor();
    await page.locator("ul[data-changes] li", { hasText: "tcp/8443" }).first().waitFor();
    await page.getByRole("button", { name: "現在の方針から始める" }).click();
    const draft = page.locator("textarea[name=draft]");
    await until("the policy", async () => (await draft.inputValue()).includes("tcp/8443"));
    // With LGWAN's addresses in the internet zone the forbidden flow would have been allowed.
    await draft.fill((await draft.inputValue()).replace("10.2.0.0/16", "10.9.0.0/16").replace("10.3.0.0/16", "10.2.0.0/16").replace("tcp/8443", "tcp/443"));
    await page.locator("form.form button.primary").click();
    await page.locator("tr[data-change]", { hasText: "違反 (LGWAN接続系 → 外部)" }).filter({ hasText: "遵守 (インターネット接続系 → 外部)" }).first().waitFor();
    await shot(page, "acts-policy");
    await draft.fill("zones: []");
    await page.reload();
    assert.equal(await draft.inputValue(), "zones: []", "a draft is kept over a reload");
    await page.locator("form.form button.primary").click();
    await page.getByRole("alert").waitFor();
  });
});

test("an event tells which terminal stood behind its address", () =>
  at("/search?from=now-24h&q=user.name:jiro", { language: "en" }, async (page) => {
    await page.locator("tr[data-hit]").click();
    await page.locator("summary", { hasText: "Which terminal: 198.51.100.3" }).click();
    await page.locator("details", { hasText: "No record says" }).waitFor();
  }));
