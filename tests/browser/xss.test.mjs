// What an attacker writes into a record stays text on every screen: sent through UDP syslog into every field, looked at in a browser.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Service, launch, shot, stamp, until } from "./service.mjs";

// Each is to call `hit`; N is its number. Kinds: elements with handlers, scripts, addresses, markup that is mended by parsers, templates.
const VECTORS = [
  "<script>hit(N)</script>", "<script src=//evil.example/N.js></script>", "<SCRIPT>hit(N)</SCRIPT>", "<script\t>hit(N)</script>", "<scr<script>ipt>hit(N)</script>",
  "<img src=x onerror=hit(N)>", "<img/src=x/onerror=hit(N)>", "<IMG SRC=x OnErRoR=hit(N)>", "<img src='x' onerror='hit(N)'", "<img src=`x` onerror=hit(N)>", "<image src=x onerror=hit(N)>",
  "<svg onload=hit(N)>", "<svg/onload=hit(N)>", "<svg><script>hit(N)</script></svg>", "<svg><animate onbegin=hit(N) attributeName=x dur=1s>", "<svg><a xlink:href=javascript:hit(N)><text y=20>x</text></a></svg>",
  "<svg><use href=data:image/svg+xml,<svg/onload=hit(N)>>", "<svg><foreignObject><iframe onload=hit(N)></foreignObject></svg>", "<svg><set attributeName=onload to=hit(N)>", "<svg><style><img src=x onerror=hit(N)></style></svg>",
  "<math><mtext><table><mglyph><style><img src=x onerror=hit(N)>", "<math><a xlink:href=javascript:hit(N)>x</a></math>", "<math href=javascript:hit(N)>x</math>",
  "<body onload=hit(N)>", "<body onpageshow=hit(N)>", "<iframe src=javascript:hit(N)>", "<iframe srcdoc='<script>parent.hit(N)</script>'>", "<iframe onload=hit(N)>", "<object data=javascript:hit(N)>", "<embed src=javascript:hit(N)>",
  "<video onerror=hit(N)><source></video>", "<video src=x onerror=hit(N)>", "<audio src=x onerror=hit(N)>", "<input autofocus onfocus=hit(N)>", "<select autofocus onfocus=hit(N)>", "<textarea autofocus onfocus=hit(N)>", "<keygen autofocus onfocus=hit(N)>",
  "<details open ontoggle=hit(N)>", "<marquee onstart=hit(N)>", "<a href=javascript:hit(N)>x</a>", "<a href='java\tscript:hit(N)'>x</a>", "<a href=&#106;avascript:hit(N)>x</a>", "<form action=javascript:hit(N)><button>x</button></form>",
  "<button formaction=javascript:hit(N)>x</button>", "<isindex action=javascript:hit(N) type=submit>", "<link rel=stylesheet href=//evil.example/N.css>", "<style>@import '//evil.example/N.css';</style>", "<style onload=hit(N)>", "<base href=//evil.example/N/>",
  "<meta http-equiv=refresh content='0;url=javascript:hit(N)'>", "<template><script>hit(N)</script></template>", "<div style=background:url(//evil.example/N)>", "<div style='animation:x' onanimationstart=hit(N)>", "<p onmouseover=hit(N)>x</p>",
  "<x onclick=hit(N) tabindex=1 autofocus onfocus=hit(N)>", "<noscript><p title='</noscript><img src=x onerror=hit(N)>'>", "<textarea></textarea><img src=x onerror=hit(N)>", "<title></title><img src=x onerror=hit(N)>", "<plaintext><img src=x onerror=hit(N)>",
  "<!--><img src=x onerror=hit(N)>-->", "<!--[if]><script>hit(N)</script>-->", "<![CDATA[<img src=x onerror=hit(N)>]]>", "<?xml version=1?><img src=x onerror=hit(N)>", "&lt;img src=x onerror=hit(N)&gt;", "&#60;script&#62;hit(N)&#60;/script&#62;",
  "\\u003cimg src=x onerror=hit(N)\\u003e", "%3Cscript%3Ehit(N)%3C/script%3E", "+ADw-script+AD4-hit(N)+ADw-/script+AD4-", "javascript:hit(N)//", "data:text/html,<script>hit(N)</script>", "${hit(N)}", "{{hit(N)}}", "#{hit(N)}", "<%= hit(N) %>",
  "__proto__[innerHTML]=<img src=x onerror=hit(N)>", "constructor.constructor('hit(N)')()", "`-hit(N)-`", "';hit(N)//", "\";hit(N)//", "\\';hit(N)//", "');hit(N)//",
];
const WRAPS = [(v) => v, (v) => `"></td></table></textarea></title></script>${v}`, (v) => `' autofocus onfocus=hit(N) x='${v}`];
const PAYLOADS = WRAPS.flatMap((wrap) => VECTORS.map(wrap)).map((text, n) => text.replaceAll("N", String(n)));

const RULE = `
title: 'Marked <img src=x onerror=hit(9001)> record'
id: 5f0f4a3c-0c7e-4d55-9f0b-1f1c58a1d001
status: experimental
description: '<script>hit(9002)</script>'
logsource: {product: linux, service: sshd}
detection: {selection: {user.name|startswith: 'xm'}, condition: selection}
falsepositives: ['<svg onload=hit(9003)>']
level: high
tags: [attack.t1110]
mihari:
  group: [user.name]
  ja: {title: '件名 <img src=x onerror=hit(9004)>', meaning: '<svg onload=hit(9005)>', first_steps: '<iframe onload=hit(9006)>', false_positives: '<b onmouseover=hit(9007)>x</b>'}
  en: {title: 'Title <img src=x onerror=hit(9008)>', meaning: '<svg onload=hit(9009)>', first_steps: '<iframe onload=hit(9010)>', false_positives: '<b onmouseover=hit(9011)>x</b>'}
`;

/** Where a header takes no blanks, HTML takes a slash as well. */
const close = (text, length) => text.replaceAll(/\s+/g, "/").slice(0, length);
const time = () => new Date().toISOString();
/** As web servers write it. */
const clock = () => new Date().toUTCString().replace(/^.* (\d+) (\w+) (\d+) (\S+) GMT$/, "$1/$2/$3:$4 +0000");
const quoted = (text) => text.replaceAll(/[\\"\]]/g, "\\$&");
const RECORDS = PAYLOADS.flatMap((text, n) => [
  // RFC 5424: host, application, process, message id, structured data, message.
  `<13>1 ${time()} h${close(text, 250)} a${close(text, 40)} ${close(text, 100)} ${close(text, 30)} [x@1 k="${quoted(text)}"] xmark${n} ${text}`,
  `<38>${stamp()} srv1 sshd[7]: Failed password for invalid user xm${n}${close(text, 400)} from 198.51.100.7 port 22 ssh2`,
  `<134>${stamp()} www1 httpd[1]: 198.51.100.8 - ${close(text, 60)} [${clock()}] "GET /xmark${n}${close(text, 400)} HTTP/1.1" 404 12 "${quoted(text)}" "${quoted(text)}"`,
  `<13>${stamp()} dev1 CEF:0|v|p|1|xmark${n}|${text.replaceAll("|", "\\|")}|5|act=${text.replaceAll("=", "\\=")} suser=${text.replaceAll("=", "\\=")}`,
]);

let service, browser, page;
before(async () => {
  service = await Service.start([RULE]);
  browser = await launch();
  page = await service.page(browser);
  await page.addInitScript(() => { globalThis.hits = []; globalThis.hit = (n) => globalThis.hits.push(n); });
  for (let at = 0; at < RECORDS.length; at += 40) await service.send(...RECORDS.slice(at, at + 40));
  await service.found("*", RECORDS.length);
  await until("the alerts", async () => (await service.api("/alerts")).total >= PAYLOADS.length);
});
after(async () => {
  await browser?.close();
  await service?.end();
});

/** After a moment for handlers to fire: nothing ran, nothing was reported, nothing was asked of another host. */
async function clean(where) {
  await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 150)));
  assert.deepEqual(await page.evaluate(() => globalThis.hits), [], `${where}: something ran`);
  assert.deepEqual(await page.evaluate(() => globalThis.violations), [], `${where}: a report`);
  assert.deepEqual(page.problems, [], where);
}

test("there are two hundred payloads and more", () => assert.ok(PAYLOADS.length >= 200 && new Set(PAYLOADS).size === PAYLOADS.length));

test("search shows every payload as text", async () => {
  await page.goto(`${service.url}/search?from=now-24h&q=${encodeURIComponent("mihari.format:syslog OR xmark*")}`);
  await page.locator("tr[data-hit]").first().waitFor();
  for (let pages = 2; ; pages++) {
    const more = page.getByRole("button", { name: "続きを表示" });
    if ((await more.count()) === 0) break;
    const before = await page.locator("tr[data-hit]").count();
    await more.click();
    await until("the next page", async () => (await page.locator("tr[data-hit]").count()) > before);
    assert.ok(pages < 40);
  }
  const text = await page.locator("table.hits").evaluate((table) => table.textContent);
  const missing = PAYLOADS.filter((payload, n) => !text.includes(`xmark${n} ${payload}`));
  assert.deepEqual(missing, []);
  await shot(page, "xss-search");
  await clean("search");
});

test("an event shows its fields and neighbours as text", async () => {
  for (const n of [0, 5, 11, 16, 20, 25, 44, 58, 90, 130, 170, 200]) {
    const { hits } = await service.found(`"xmark${n}" AND host.name:*`);
    await page.goto(`${service.url}/search?from=now-24h&q=${encodeURIComponent(`"xmark${n}"`)}&e=${hits[0].id}`);
    await page.locator("ol.context li.selected").waitFor();
    const text = await page.locator(".side").evaluate((side) => side.textContent);
    assert.ok(text.includes(`xmark${n} ${PAYLOADS[n]}`), `${n}: ${text.slice(0, 500)}`);
    await page.locator(".facets li").first().waitFor({ state: "attached" });
    await clean(`event ${n}`);
  }
});

test("alerts show who they are about as text, and what was said", async () => {
  const { alerts } = await service.api("/alerts?size=500");
  const mine = alerts.filter((alert) => alert.group["user.name"]?.startsWith("xm"));
  assert.ok(mine.length >= PAYLOADS.length);
  await page.goto(`${service.url}/alerts`);
  await page.locator("tr[data-alert]").nth(90).waitFor();
  const text = await page.locator("table.alerts").evaluate((table) => table.textContent);
  for (const alert of mine.slice(0, 90)) assert.ok(text.includes(alert.group["user.name"]), alert.group["user.name"]);
  await clean("inbox");
  for (const alert of mine.filter((_, n) => n % 25 === 0)) {
    await service.api(`/alerts/${alert.id}/actions`, { action: "comment", comment: PAYLOADS[5] });
    await service.api(`/alerts/${alert.id}/actions`, { action: "assign", assignee: PAYLOADS[11] });
    await page.goto(`${service.url}/alerts/${alert.id}`);
    await page.locator("ol.timeline .said").waitFor();
    const all = await page.locator(".detail").evaluate((detail) => detail.textContent);
    for (const part of [alert.group["user.name"], PAYLOADS[5], PAYLOADS[11], "件名 <img src=x onerror=hit(9004)>", "<svg onload=hit(9005)>", "<iframe onload=hit(9006)>"]) {
      assert.ok(all.includes(part), part);
    }
    await clean("alert");
  }
  await shot(page, "xss-alert");
});

test("the overview, the live tail and the zones show it as text", async () => {
  await page.goto(service.url);
  await page.locator("tr[data-alert]").first().waitFor();
  await page.getByText("件名 <img src=x onerror=hit(9004)>").first().waitFor();
  await clean("overview");
  await page.goto(`${service.url}/tail`);
  await page.locator(".line-state.live").waitFor();
  await service.send(...RECORDS.slice(0, 60));
  await until("events", async () => (await page.locator("tr[data-hit]").count()) >= 60);
  assert.ok((await page.locator("table.hits").evaluate((table) => table.textContent)).includes(PAYLOADS[5]));
  await clean("tail");
  await page.goto(`${service.url}/matrix?cell=${encodeURIComponent(PAYLOADS[5])}`);
  await page.locator("table.matrix").waitFor();
  await clean("zones");
});

test("interface names of flows show nothing but bytes", async () => {
  const chosen = PAYLOADS.filter((_, n) => n % 27 === 5);
  await service.sendFlows(...chosen.map((payload, n) => netflow(payload, n)));
  const { hits } = await service.found("flow.exporter:*", chosen.length);
  await page.goto(`${service.url}/search?from=now-24h&q=${encodeURIComponent("flow.exporter:*")}&cols=source.ip,observer.ingress.interface.name,observer.ingress.interface.id`);
  await page.locator("tr[data-hit]").first().waitFor();
  await clean("flows with chosen columns");
  for (const hit of hits) {
    await page.goto(`${service.url}/search?from=now-24h&q=${encodeURIComponent("flow.exporter:*")}&e=${hit.id}`);
    await page.locator("ol.context li.selected").waitFor();
    const n = Number(hit.fields["source.ip"].split(".")[3]);
    // The packet is kept whole, the names in it.
    assert.ok((await page.locator(".side details .rawtext").textContent()).includes(named(chosen[n]).toString("hex")), `${n}`);
    await clean(`flow ${n}`);
  }
});

test("saved searches, rules, backtests, quarantine, sources and policies show it as text", async () => {
  const wild = PAYLOADS[5];
  const schedule = { every_minutes: 1, condition: "none", group_by: null, level: "high", title: `${wild} ${PAYLOADS[11]}`, message: PAYLOADS[16] };
  const saved = await service.api("/searches", { name: wild, query: "nosuchword", columns: [wild], sort: wild, schedule });
  await page.goto(`${service.url}/searches?s=${saved.id}`);
  await page.locator("tr[data-run]").first().waitFor();
  assert.ok((await page.locator("table.saved").evaluate((table) => table.textContent)).includes(wild));
  await clean("saved searches");
  await page.goto(`${service.url}/search?from=now-24h&cols=${encodeURIComponent(wild)}&sort=user.name`);
  await page.locator("tr[data-hit]").first().waitFor();
  await clean("columns");
  const alert = await until("the alert", async () => (await service.api(`/alerts?rule=${saved.id}`)).alerts[0]);
  await page.goto(`${service.url}/alerts/${alert.id}`);
  await page.locator("dl.advice").waitFor();
  assert.ok((await page.locator(".detail").evaluate((detail) => detail.textContent)).includes(PAYLOADS[16]));
  await clean("an alert of a search");

  const event = (await service.found("user.name:xm*", 1)).hits[0].id;
  await page.goto(`${service.url}/rules?r=5f0f4a3c-0c7e-4d55-9f0b-1f1c58a1d001&event=${event}`);
  await page.locator("[data-holds=true]").waitFor();
  assert.ok((await page.locator(".side").evaluate((side) => side.textContent)).includes("件名 <img src=x onerror=hit(9004)>"));
  await clean("rules");
  await page.goto(`${service.url}/backtests`);
  await page.locator("textarea[name=yaml]").fill(RULE);
  await page.locator("form.form button.primary").click();
  await page.locator("tr[data-day]").first().waitFor();
  await clean("backtests");

  await service.send(...PAYLOADS.filter((_, n) => n % 9 === 5).map((payload) => `GK3 ${payload}`));
  await until("the records", async () => (await service.api("/quarantine")).total > 0);
  await page.goto(`${service.url}/quarantine`);
  await page.locator("tr[data-quarantined]").first().click();
  await page.locator(".hex").waitFor();
  assert.ok((await page.locator("table.quarantine").evaluate((table) => table.textContent)).includes("GK3 "));
  await clean("quarantine");
  await page.goto(`${service.url}/sources`);
  await page.locator("tr[data-ledger]").first().click();
  await page.locator("tr.within").first().waitFor();
  await clean("sources");
  await page.goto(`${service.url}/matrix/policy?a=${encodeURIComponent(wild)}&b=${encodeURIComponent(PAYLOADS[11])}`);
  await page.locator("tr[data-version]").first().waitFor();
  await page.locator("textarea[name=draft]").fill(`zones:\n  a: {cidr: ["${PAYLOADS[11]}"]}\n`);
  await page.locator("form.form button.primary").click();
  await page.locator("[role=alert]").first().waitFor();
  await clean("policies");
});

/** A name as it stands in a packet: 64 bytes. */
const named = (text) => {
  const bytes = Buffer.alloc(64);
  bytes.write(text.slice(0, 60));
  return bytes;
};

/** A NetFlow v9 packet (RFC 3954): an options record that names an interface, and a flow through it that names it again. */
function netflow(name, n) {
  const be = (...parts) => Buffer.concat(parts.map(([value, size]) => { const b = Buffer.alloc(size); b.writeUIntBE(value, 0, size); return b; }));
  const set = (id, ...bodies) => { const body = Buffer.concat(bodies); return Buffer.concat([be([id, 2], [body.length + 4, 2]), body]); };
  // Options template 257: of the interface (scope 2) its name (82) and description (83); template 256: a flow with its interface's name.
  const options = set(1, be([257, 2], [4, 2], [8, 2], [2, 2], [4, 2], [82, 2], [64, 2], [83, 2], [64, 2]), Buffer.alloc(2));
  const fields = [[8, 4], [12, 4], [7, 2], [11, 2], [4, 1], [10, 4], [1, 4], [2, 4], [82, 64]];
  const template = set(0, be([256, 2], [fields.length, 2], ...fields.flatMap(([type, size]) => [[type, 2], [size, 2]])));
  const described = set(257, be([7, 4]), named(name), named(name));
  const flow = set(256, be([0x0a021000 + n, 4], [0xc0000207, 4], [50_000 + n, 2], [443, 2], [6, 1], [7, 4], [1200, 4], [3, 4]), named(name), Buffer.alloc(3));
  const head = be([9, 2], [4, 2], [1000, 4], [Math.floor(Date.now() / 1000), 4], [n, 4], [1, 4]);
  return Buffer.concat([head, options, template, described, flow]);
}

test("what stands in the address stays text too", async () => {
  for (const payload of PAYLOADS.filter((_, n) => n % 40 === 5)) {
    for (const place of [`/search?q=${encodeURIComponent(payload)}&from=${encodeURIComponent(payload)}`, `/search?q=${encodeURIComponent(`a:(${payload}`)}`, `/alerts/${encodeURIComponent(payload)}`, `/tail?q=${encodeURIComponent(payload)}`,
      ...["searches?s=", "rules?q=", "backtests?rule=", "quarantine?reason=", "sources?day=", "search?cols=", "search?sort="].map((place) => `/${place}${encodeURIComponent(payload)}`)]) {
      await page.goto(service.url + place);
      // What looks like a file of ours (it has a dot) is answered by the server, as JSON.
      await page.locator("[role=alert], table.hits, .side, pre, td.empty, .panel").first().waitFor();
      await clean(place);
    }
  }
});

test("the browser refuses markup that is made past the one policy", async () => {
  await page.goto(service.url);
  await page.locator("header.bar").waitFor();
  const refused = await page.evaluate(() => {
    const tries = [
      () => { document.createElement("div").innerHTML = "<b>x</b>"; },
      () => document.body.insertAdjacentHTML("beforeend", "<b>x</b>"),
      () => document.write("<b>x</b>"),
      () => globalThis.trustedTypes.createPolicy("mihari-templates", { createHTML: (text) => text }),
      () => globalThis.trustedTypes.createPolicy("default", { createHTML: (text) => text }),
    ];
    return tries.map((attempt) => {
      try {
        attempt();
        return false;
      } catch {
        return true;
      }
    });
  });
  assert.deepEqual(refused, [true, true, true, true, true]);
});
