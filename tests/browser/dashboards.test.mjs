// The dashboards in Debian's chromium, against the real program and its demo traffic.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { launch, program, shot } from "./service.mjs";

let demo, url, token, browser, page;
const foreign = [];
const problems = [];

before(async () => {
  demo = spawn(program, ["demo", "--port", "0", "--for", "40s", "--terminals", "200"], { stdio: ["ignore", "pipe", "inherit"] });
  await new Promise((resolve, reject) => {
    let text = "";
    demo.on("exit", (code) => reject(new Error(`the demo ended with ${code}`)));
    demo.stdout.on("data", (chunk) => {
      text += chunk;
      url ??= /Dashboards: (\S+)/.exec(text)?.[1];
      token ??= /Token: +(\S+)/.exec(text)?.[1];
      if (url && token && /DETECTED web_attack/.test(text)) resolve();
    });
  });
  browser = await launch();
  page = await (await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "ja-JP" })).newPage();
  page.on("request", (request) => request.url().startsWith(url) || foreign.push(request.url()));
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => message.type() === "error" && !/401/.test(message.text()) && problems.push(message.text()));
  page.on("dialog", (dialog) => problems.push(`a dialog: ${dialog.message()}`));
});

after(async () => {
  await browser?.close();
  demo?.removeAllListeners("exit");
  demo?.kill("SIGINT");
});

test("a wrong token is refused, a good one signs in", async () => {
  await page.goto(url);
  await page.fill("input[name=token]", "wrong");
  await page.click("button.primary");
  await page.getByRole("alert").waitFor();
  await page.fill("input[name=token]", token);
  await page.click("button.primary");
  await page.getByRole("heading", { name: "新しいアラート" }).waitFor();
});

test("the overview shows alerts, zones and sources", async () => {
  await page.locator("tr[data-alert]").first().waitFor();
  await page.locator("table.matrix th[scope=row]", { hasText: "lgwan" }).waitFor();
  await page.locator("td", { hasText: "127.10.0.1" }).first().waitFor();
  await shot(page, "demo-overview");
});

test("an alert is opened, acknowledged and closed by keyboard", async () => {
  await page.keyboard.press("g");
  await page.keyboard.press("a");
  await page.locator("tr[data-alert]", { hasText: "Webサーバー" }).first().click();
  await page.getByText("最初の対応").waitFor();
  await shot(page, "demo-alert");
  await page.keyboard.press("a");
  await page.locator("[data-status=acknowledged]").waitFor();
  await page.keyboard.press("x");
  await page.locator("dialog").waitFor();
  await page.keyboard.press("Enter");
  await page.locator("[data-status=closed]").waitFor();
  await page.keyboard.press("Escape");
  await page.locator("[data-status]").waitFor({ state: "detached" });
});

test("a search finds events, shows one, and points at a mistake", async () => {
  await page.keyboard.press("g");
  await page.keyboard.press("s");
  await page.locator("input[name=query]").fill("source.ip:10.0.0.0/8 AND event.action:close");
  await page.keyboard.press("Enter");
  await page.locator("tr[data-hit]").first().waitFor();
  await page.locator(".hist canvas").waitFor();
  await shot(page, "demo-search");
  await page.locator("tr[data-hit]").first().click();
  await page.getByRole("rowheader", { name: "fortinet.firewall.policyid" }).waitFor();
  await shot(page, "demo-event");
  await page.keyboard.press("Escape");
  await page.locator("input[name=query]").fill("source.ip:(");
  await page.keyboard.press("Enter");
  await page.locator("[role=alert] .mark", { hasText: "^" }).waitFor();
});

test("the live tail moves", async () => {
  await page.locator("header nav a", { hasText: "ライブ" }).click();
  await page.locator("tr[data-hit]").nth(5).waitFor();
  await page.getByRole("button", { name: "English" }).click();
  await page.getByRole("button", { name: "Pause" }).waitFor();
  await shot(page, "demo-tail");
});

test("nothing came from elsewhere and nothing went wrong", () => {
  assert.deepEqual(foreign, []);
  assert.deepEqual(problems.filter((p) => !/400/.test(p)), []);
});
