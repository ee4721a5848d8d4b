/** Opening, closing and reconnecting, over and over: nothing grows, in the page, in its storage and at the leader. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Profile } from "../harness/browser.mjs";
import { owner } from "../harness/cleanup.mjs";
import { rounds } from "../harness/env.mjs";
import { figures, progress } from "../harness/figures.mjs";
import { live, openIn } from "../harness/pages.mjs";
import { Site } from "../harness/site.mjs";
import { until } from "../harness/until.mjs";
import { Worker } from "../harness/worker.mjs";
import { dump, storageName } from "./idb.mjs";
import { captureInstances } from "./wasm.mjs";

const CYCLES = rounds(1_000, 60);
/** Before it is measured: what browsers and engines cache is there by then. */
const WARM_UP = rounds(100, 20);
/** What a heap may move by without anything having been kept. */
const HEAP_BYTES = 3 << 20;

const all = owner();
/** @type {Worker} */
let worker;
/** @type {Site} */
let site;
/** @type {Profile} */
let profile;
/** @type {Record<string, number>} */
const counted = {};

before(async () => {
  worker = await Worker.start(all);
  site = await Site.start(all);
  profile = await Profile.create(all);
});

after(() => figures("cycles", counted));

/** How large the page's heap is once all that can go is gone, and how many instances of wasm are still there. */
async function measure(/** @type {import("playwright-core").Page} */ page) {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.enable");
  for (let turn = 0; turn < 4; turn += 1) {
    await session.send("HeapProfiler.collectGarbage");
    await page.evaluate(() => window.page.turns(3));
  }
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  await session.detach();
  const kept = await page.evaluate(() => window.memories.filter((memory) => memory.deref() !== undefined).length);
  return { heap: usedSize, kept };
}

/** Remembers the memories of instances, and keeps none. */
const watchMemories = () => {
  /** @type {WeakRef<object>[]} */
  const memories = [];
  const { Instance } = WebAssembly;
  WebAssembly.Instance = /** @type {any} */ (
    new Proxy(Instance, {
      construct(target, parameters) {
        const instance = Reflect.construct(target, parameters);
        memories.push(new WeakRef(instance.exports.memory));
        return instance;
      },
    })
  );
  Object.assign(window, { memories });
};

/** One opening: a write, a read, an observer, a session, and the end. */
const cycle = async ({ url, from, to }) => {
  for (let at = from; at < to; at += 1) {
    const db = await window.headwater.open("cycles", { url });
    const doc = await db.doc("notes");
    const names = doc.getMap("names");
    names.observe(() => {});
    const session = db.session();
    await doc.transact(() => names.set("last", at)).reached("leader");
    session.close();
    doc.close();
    await db.close();
  }
};

test("opening and closing keeps nothing", async () => {
  const page = await profile.visit(site.url, { init: watchMemories });
  const say = progress("cycles");
  await page.evaluate(cycle, { url: worker.url, from: 0, to: WARM_UP });
  const before = await measure(page);
  for (let at = 0; at < CYCLES; at += 20) {
    await page.evaluate(cycle, { url: worker.url, from: at, to: Math.min(at + 20, CYCLES) });
    say(`${at} of ${CYCLES}`);
  }
  const after = await measure(page);
  const { stores } = await page.evaluate(dump, storageName("cycles"));
  const rows = Object.values(stores).reduce((sum, rows) => sum + rows.length, 0);
  Object.assign(counted, { cycles: CYCLES, "heap bytes more": after.heap - before.heap, "instances kept": after.kept, rows });
  assert.ok(after.kept <= 2, `${after.kept} instances are kept`);
  assert.ok(after.heap - before.heap < HEAP_BYTES, `the heap grew by ${after.heap - before.heap} bytes`);
  assert.ok(rows < 150, `${rows} rows`);
  await until(async () => (await connections("cycles")) === 0, { what: "the leader has no connection left" });
  await page.close();
});

test("reconnecting keeps nothing", async () => {
  const page = await profile.visit(site.url, { init: captureInstances });
  await openIn(page, { database: "reconnects", url: worker.url });
  await live(page);
  const reconnect = async (/** @type {number} */ count) => {
    for (let at = 0; at < count; at += 1) {
      window.db.disconnect();
      window.db.connect();
      await window.page.live(window.db);
      await window.doc.transact((doc) => doc.getMap("names").set("last", at)).reached("leader");
    }
    return window.instances.at(-1).memory.buffer.byteLength;
  };
  const before = await page.evaluate(reconnect, WARM_UP);
  const after = await page.evaluate(reconnect, CYCLES);
  Object.assign(counted, { reconnects: CYCLES, "wasm bytes before": before, "wasm bytes more": after - before });
  assert.ok(after - before <= 1 << 20, `wasm grew by ${after - before} bytes`);
  assert.ok((await connections("reconnects")) <= 1, "the leader has one connection");
  await page.evaluate(() => window.db.close());
  await page.close();
});

test("deaths keep nothing", async () => {
  const page = await profile.visit(site.url, { init: watchMemories });
  await page.evaluate(async (url) => {
    for (let at = 0; at < 10; at += 1) {
      const db = await window.headwater.open("deaths", { url });
      const doc = await db.doc("notes");
      doc.getMap("names").set("last", at);
      new Uint8Array(/** @type {any} */ (window.memories.at(-1)?.deref()).buffer).fill(0xff);
      try {
        doc.getMap("names").set("never", 1);
      } catch {
        // It trapped.
      }
      await new Promise((resolve) => void db.on("storage", resolve));
      await db.close();
    }
  }, worker.url);
  const { kept } = await measure(page);
  assert.ok(kept <= 2, `${kept} instances are kept`);
  await page.close();
});

/** @param {string} database */
async function connections(database) {
  const status = await (await fetch(`${worker.url}/v1/${database}/status`)).json();
  return status.connections;
}
