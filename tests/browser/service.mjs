// The real program for a test: a service with its own data, policy and rules, records sent to it by UDP, and a browser that looks at it.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

export const program = `${process.env.CARGO_TARGET_DIR ?? "../../target"}/debug/mihari`;
const shots = process.env.MIHARI_SHOTS;
if (shots) mkdirSync(shots, { recursive: true });
export const shot = async (page, name) => shots && page.screenshot({ path: `${shots}/${name}.png` });

export const launch = () =>
  chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });

export const POLICY = `
model: alpha
zones:
  lgwan:    {name: {ja: LGWAN接続系, en: LGWAN}, cidr: [10.2.0.0/16], clause: "6(3)②"}
  internet: {name: {ja: インターネット接続系, en: Internet}, cidr: [10.3.0.0/16], clause: "6(3)③"}
  outside:  {name: {ja: 外部, en: Outside}, rest: true}
default: deny
allow:
  - {from: internet, to: outside, service: [tcp/443], owner: 情報政策課}
must_deny:
  - {from: lgwan, to: [internet, outside]}
observe:
  - {sensor: fw-lgwan, cells: [[lgwan, "*"]], heartbeat: 5m}
  - {sensor: fw-silent, cells: [[internet, "*"]], heartbeat: 5m}
`;

/** Waits until `look` gives something. */
export async function until(what, look, patience = 40_000) {
  const end = Date.now() + patience;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A page of `service` at `path`; at its end nothing may have gone wrong that the test did not bring about. */
export async function visit(service, browser, path, options, use) {
  const page = await service.page(browser, options);
  await page.goto(service.url + path);
  await use(page);
  assert.deepEqual(page.problems, []);
  assert.deepEqual(await page.evaluate(() => globalThis.violations), []);
  await page.context().close();
}

export class Service {
  /** Starts the service; `rules` are the texts of rules to load besides the shipped ones. */
  static async start(rules = []) {
    const service = new Service();
    service.dir = mkdtempSync(join(tmpdir(), "mihari-browser-"));
    writeFileSync(join(service.dir, "policy.yaml"), POLICY);
    mkdirSync(join(service.dir, "rules"));
    rules.forEach((text, n) => writeFileSync(join(service.dir, "rules", `${n}.yml`), text));
    service.configure("127.0.0.1:0", ["127.0.0.1:0", "127.0.0.1:0"]);
    service.token = service.newToken("test");
    await service.run();
    // From now on at the same places, so that it can come back there.
    service.configure(service.ready.api, service.ready.listen);
    service.socket = createSocket("udp4");
    return service;
  }

  /** `more` are further lines of the configuration. */
  configure(api, [syslog, flow], ...more) {
    const lines = [
      `data: ${join(this.dir, "data")}`,
      `policy: ${join(this.dir, "policy.yaml")}`,
      `rules: {lateness_s: 1, paths: [${join(this.dir, "rules")}]}`,
      `listen: [{kind: syslog_udp, address: "${syslog}"}, {kind: flow_udp, address: "${flow}"}]`,
      `api: {address: "${api}"}`,
      ...more,
    ];
    writeFileSync(join(this.dir, "mihari.yaml"), `${lines.join("\n")}\n`);
  }

  command(...args) {
    const [one, two, ...rest] = args;
    const done = spawnSync(program, [one, two, "--config", join(this.dir, "mihari.yaml"), ...rest], { encoding: "utf8" });
    if (done.status !== 0) throw new Error(`${args.join(" ")}: ${done.stderr}`);
    return done.stdout.trim();
  }

  newToken(name) {
    return this.command("token", "create", "--name", name);
  }

  async run() {
    const file = join(this.dir, "ready.json");
    rmSync(file, { force: true });
    this.child = spawn(program, ["serve", "--config", join(this.dir, "mihari.yaml"), "--ready-file", file], { stdio: ["ignore", "ignore", "ignore"] });
    this.ended = new Promise((resolve) => this.child.once("exit", resolve));
    this.ready = await until("the service", () => {
      try {
        return JSON.parse(readFileSync(file, "utf8"));
      } catch {
        return undefined;
      }
    });
    this.url = `http://${this.ready.api}`;
  }

  async stop() {
    this.child.kill("SIGTERM");
    await this.ended;
  }

  /** Sends records, each a datagram. */
  send(...records) {
    return this.sendTo(0, records);
  }

  /** Sends flow packets. */
  sendFlows(...packets) {
    return this.sendTo(1, packets);
  }

  async sendTo(listener, records) {
    const [host, port] = this.ready.listen[listener].split(":");
    for (const record of records) await new Promise((resolve, reject) => this.socket.send(record, Number(port), host, (error) => (error ? reject(error) : resolve())));
  }

  async api(path, body, { token = this.token, method = "POST", seen } = {}) {
    const response = await fetch(`${this.url}/api/v1${path}`, {
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json", ...(seen ? { "If-Match": `"${seen}"` } : {}) },
      ...(body ? { method, body: JSON.stringify(body) } : {}),
    });
    return response.json();
  }

  /** Waits until so many events match. */
  found(query, count = 1) {
    return until(`${count} hits of ${query}`, async () => {
      const answer = await this.api("/search", { query, from: "now-24h", size: 1000 });
      return answer.total >= count && answer;
    });
  }

  /** A page of a browser that is signed in; what goes wrong in it is gathered. */
  async page(browser, { language = "ja", token = this.token, ...options } = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    await context.addInitScript(
      ([token, language]) => {
        if (!sessionStorage.getItem("begun")) sessionStorage.setItem("mihari-token", token);
        sessionStorage.setItem("begun", "1");
        localStorage.setItem("mihari-language", language);
        globalThis.violations = [];
        document.addEventListener("securitypolicyviolation", (e) => globalThis.violations.push(`${e.violatedDirective} ${e.sample}`));
      },
      [token, language],
    );
    const page = await context.newPage();
    page.problems = [];
    page.on("request", (request) => request.url().startsWith(this.url) || page.problems.push(`elsewhere: ${request.url()}`));
    page.on("pageerror", (error) => page.problems.push(error.stack));
    page.on("dialog", async (dialog) => {
      page.problems.push(`a dialog: ${dialog.message()}`);
      await dialog.dismiss();
    });
    return page;
  }

  async end() {
    this.socket?.close();
    await this.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** A forbidden flow that was allowed: raises an alert of the zone policy. */
export const forbidden = (source = "10.2.16.9", port = 443) =>
  `<4>${stamp()} fw-lgwan kernel: [1.0] LGWAN-ACCEPT: IN=eth1 OUT=eth0 SRC=${source} DST=192.0.2.7 LEN=60 TTL=63 PROTO=TCP SPT=50000 DPT=${port} SYN`;

/** The head of a message of RFC 3164, now, in Japan. */
export function stamp() {
  const [month, day, time] = new Intl.DateTimeFormat("en-US", {
    timeZone: "Asia/Tokyo", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
  })
    .format(new Date())
    .replace(",", "")
    .split(" ");
  return `${month} ${day.padStart(2)} ${time}`;
}
