/** Every wait ends: at its time with `OFFLINE` or `TIMEOUT`, at once with `ABORTED`. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Browser } from "../harness/browser.mjs";
import { owner } from "../harness/cleanup.mjs";
import { figures } from "../harness/figures.mjs";
import { Link } from "../harness/link.mjs";
import { live, openIn } from "../harness/pages.mjs";
import { Site } from "../harness/site.mjs";
import { Worker } from "../harness/worker.mjs";

const DATABASE = "waits";
/** What must happen at once, or at a given time, may take so much longer on a busy machine; a hang takes for ever. */
const HANG_MS = 15_000;
const TEST_MS_MAX = 60_000;

const all = owner();
/** @type {Worker} */
let worker;
/** @type {Link} */
let link;
/** @type {import("playwright-core").Page} */
let page;
/** A bookmark of a write that never reaches the leader. @type {string} */
let unsent;
const waits = { begun: 0, ended: 0 };

before(async () => {
  worker = await Worker.start(all);
  link = await Link.start(all, worker);
  const site = await Site.start(all);
  const browser = await Browser.start(all);
  page = await browser.visit(site.url);
  await openIn(page, { database: DATABASE, url: link.url });
  await live(page);
  const other = await browser.visit(site.url);
  await openIn(other, { database: DATABASE, url: worker.url, options: { connect: false } });
  unsent = await other.evaluate(() => {
    window.doc.getMap("values").set("n", 1);
    return window.db.session().bookmark();
  });
});

after(() => figures("waits", { waits: waits.begun, "ended as they should": waits.ended }));

test("online, a wait for what does not come ends with TIMEOUT", { timeout: TEST_MS_MAX }, async () => {
  link.stall("down");
  link.stall("up");
  await endsInOrder("TIMEOUT");
  const response = await worker.read(DATABASE, "notes", { bookmark: unsent, query: "?timeout=300" });
  assert.equal((await response.json()).code, "TIMEOUT");
  link.flow();
});

test("offline, every wait ends with OFFLINE at its time", { timeout: TEST_MS_MAX }, async () => {
  await live(page);
  link.goOffline();
  await page.evaluate(() => window.page.phase(window.db, "offline"));
  await endsInOrder("OFFLINE");
});

test("offline, with onTimeout: stale, a read answers what is here and says so", async () => {
  waits.begun += 1;
  const meta = await page.evaluate(async (from) => {
    const options = { timeoutMs: 200, onTimeout: "stale" };
    return (await window.db.session({ from }).read("notes", () => null, options)).meta;
  }, unsent);
  assert.deepEqual([meta.asked, meta.met], ["session", "eventual"]);
  waits.ended += 1;
});

test("what is local needs no leader", async () => {
  const value = await page.evaluate(async () => {
    const session = window.db.session();
    const receipt = window.doc.transact(() => window.doc.getMap("values").set("mine", 7));
    await receipt.reached("local", { timeoutMs: 10_000 });
    return (await session.read("notes", (doc) => doc.getMap("values").get("mine"), { timeoutMs: 10_000 })).value;
  });
  assert.equal(value, 7);
});

test("an aborted wait ends at once, also one that was aborted before it began", { timeout: TEST_MS_MAX }, async () => {
  for (const isBefore of [false, true]) {
    const ends = await begin({ spans: [600_000], abort: isBefore ? "before" : "during" });
    for (const { what, code, afterMs } of ends) {
      assert.equal(code, "ABORTED", what);
      assert.ok(afterMs < HANG_MS, `${what} ended after ${afterMs} ms`);
    }
    waits.ended += ends.length;
  }
});

test("closing the database ends what waits with CLOSED", { timeout: TEST_MS_MAX }, async () => {
  const ends = await begin({ spans: [600_000], abort: "close" });
  for (const { what, code } of ends) assert.equal(code, "CLOSED", what);
  waits.ended += ends.length;
});

/** @param {{ spans: number[], abort?: string }} what */
async function begin(what) {
  waits.begun += 4 * what.spans.length;
  return page.evaluate(waitAll, { from: unsent, ...what });
}

/** @param {string} code */
async function endsInOrder(code) {
  // Begun in another order than they end in.
  const spans = [800, 200, 600, 0, 400];
  const ends = await begin({ spans });
  for (const end of ends) {
    assert.equal(end.code, code, `${end.what} of ${end.span} ms`);
    assert.ok(end.afterMs >= end.span - 1, `${end.what} of ${end.span} ms ended after ${end.afterMs} ms`);
    assert.ok(end.afterMs < end.span + HANG_MS, `${end.what} of ${end.span} ms ended after ${end.afterMs} ms`);
  }
  const order = ends.map((end) => end.span);
  assert.deepEqual(order, [...order].sort((left, right) => left - right), "they end in the order of their times");
  waits.ended += ends.length;
}

/** In the page: begins every kind of wait with every span, and tells in which order and how they end. */
async function waitAll({ from, spans, abort }) {
  const receipt = window.doc.transact(() => window.doc.getMap("values").set("w", Math.random()));
  const [of, mine] = [window.db.session({ from }), window.db.session()];
  const kinds = {
    receipt: (options) => receipt.reached("leader", options),
    session: (options) => of.read("notes", () => null, options),
    strong: (options) => mine.read("notes", () => null, { ...options, consistency: "strong" }),
    staleness: (options) => mine.read("notes", () => null, { ...options, consistency: { maxStalenessMs: 0 } }),
  };
  const ends = [];
  const controller = new AbortController();
  if (abort === "before") controller.abort(new Error("not wanted"));
  const { signal } = controller;
  const waits = Object.entries(kinds).flatMap(([what, wait]) =>
    spans.map(async (span) => {
      const begin = performance.now();
      const code = await wait({ timeoutMs: span, signal }).then(() => "none", (error) => error.code);
      ends.push({ what, span, code, afterMs: performance.now() - begin });
    }),
  );
  if (abort === "during") setTimeout(() => controller.abort(), 50);
  if (abort === "close") setTimeout(() => window.db.close(), 50);
  await Promise.all(waits);
  return ends;
}
