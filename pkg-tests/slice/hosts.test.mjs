/** The package in its other hosts: a Node.js replica beside a browser, and imports that do nothing. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, test } from "node:test";
import { open } from "headwater";

import { Browser } from "../harness/browser.mjs";
import { owner } from "../harness/cleanup.mjs";
import { ROOT } from "../harness/env.mjs";
import { figures } from "../harness/figures.mjs";
import { changed, live, settled } from "../harness/page.mjs";
import { openIn, live as liveIn } from "../harness/pages.mjs";
import { Site } from "../harness/site.mjs";
import { Worker } from "../harness/worker.mjs";

const all = owner();
/** @type {Worker} */
let worker;
/** @type {Site} */
let site;
/** @type {Browser} */
let browser;
const found = { "requests of an import": 0, "properties added by an import": 0, "hosts that converge": 0 };

before(async () => {
  worker = await Worker.start(all);
  site = await Site.start(all);
  browser = await Browser.start(all);
});

after(() => figures("hosts", found));

test("a replica in Node.js and one in a browser converge", async () => {
  const db = await open("hosts", { url: worker.url, storage: "memory" });
  all.after(() => db.close());
  const doc = await db.doc("notes");
  const page = await browser.visit(site.url);
  await openIn(page, { database: "hosts", url: worker.url });
  await Promise.all([live(db), liveIn(page)]);
  doc.transact(() => doc.getText("text").insert(0, "from Node.js"));
  await settled(db);
  await page.evaluate((from) => window.db.session({ from }).read("notes", () => null).then(() => undefined), db.session().bookmark());
  await page.evaluate(() => window.doc.getText("text").insert(4, " the page and"));
  await changed(doc, () => doc.getText("text").toString().includes("page"));
  assert.equal(doc.getText("text").toString(), "from the page and Node.js");
  const session = db.session();
  const { value } = await session.read("notes", (doc) => doc.getText("text").toString(), { consistency: "strong" });
  assert.equal(value, "from the page and Node.js");
  assert.equal((await worker.json("hosts", "notes")).text, "from the page and Node.js");
  found["hosts that converge"] = 2;
});

test("in Node.js there is no storage on disk, and memory is not chosen silently", async () => {
  await assert.rejects(open("nowhere", { url: worker.url }), { code: "STORAGE_UNAVAILABLE" });
});

test("importing in a browser asks for the script and nothing else", async () => {
  const page = await browser.visit(`${site.url}/blank`);
  site.requests.length = 0;
  const added = await page.evaluate(async () => {
    const calls = [];
    for (const name of ["fetch", "WebSocket", "setTimeout", "setInterval", "queueMicrotask", "addEventListener"]) {
      const real = window[name];
      window[name] = function (...args) {
        calls.push(name);
        return new.target ? new real(...args) : real.apply(this, args);
      };
    }
    for (const name of ["compile", "compileStreaming", "instantiate", "instantiateStreaming", "Module", "Instance"]) {
      WebAssembly[name] = () => calls.push(`WebAssembly.${name}`);
    }
    IDBFactory.prototype.open = () => calls.push("indexedDB.open");
    const before = new Set(Object.getOwnPropertyNames(window));
    await import("/headwater/browser.js");
    return [...calls, ...Object.getOwnPropertyNames(window).filter((name) => !before.has(name))];
  });
  assert.deepEqual(added, []);
  assert.deepEqual(site.requests, ["/headwater/browser.js"]);
  assert.deepEqual(await page.evaluate(async () => (await indexedDB.databases()).length), 0);
  found["requests of an import"] = site.requests.length - 1;
  found["properties added by an import"] = added.length;
});

test("importing in Node.js leaves nothing behind, and the process ends by itself", () => {
  const script = `
    const before = new Set(Object.getOwnPropertyNames(globalThis));
    const wasm = { ...WebAssembly };
    let touched = 0;
    globalThis.fetch = () => { touched += 1; throw new Error("fetched"); };
    WebAssembly.Module = WebAssembly.Instance = class { constructor() { touched += 1; } };
    await import("headwater");
    const added = Object.getOwnPropertyNames(globalThis).filter((name) => !before.has(name));
    const handles = process.getActiveResourcesInfo().filter((name) => /Timeout|Immediate|TCP|UDP|Worker|Message/.test(name));
    console.log(JSON.stringify({ touched, added, handles }));
  `;
  const { stdout, status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    cwd: new URL("pkg-tests", `file://${ROOT}`),
    encoding: "utf8",
    timeout: 20_000,
  });
  assert.equal(status, 0, stderr);
  assert.deepEqual(JSON.parse(stdout), { touched: 0, added: [], handles: [] });
});

test("closing a database in Node.js lets the process end", () => {
  const script = `
    import { open } from "headwater";
    const db = await open("ending", { url: ${JSON.stringify(worker.url)}, storage: "memory" });
    const doc = await db.doc("notes");
    await doc.transact(() => doc.getMap("map").set("a", 1)).reached("leader");
    await db.close();
  `;
  const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    cwd: new URL("pkg-tests", `file://${ROOT}`),
    encoding: "utf8",
    timeout: 30_000,
  });
  assert.equal(status, 0, stderr);
});
