/** The leader sleeps while clients are connected, and wakes as if it had not. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Browser } from "../harness/browser.mjs";
import { owner } from "../harness/cleanup.mjs";
import { figures } from "../harness/figures.mjs";
import { Link } from "../harness/link.mjs";
import { live, openIn, settled } from "../harness/pages.mjs";
import { Site } from "../harness/site.mjs";
import { pause } from "../harness/until.mjs";
import { Worker } from "../harness/worker.mjs";

const DATABASE = "hibernation";
/** workerd puts an object to sleep that had nothing to do for about ten seconds. */
const IDLE_MS = 12_500;
const SLEEPS_TRIED_MAX = 4;
const ARRIVE_MS_MAX = 120_000;
/** A write that nobody could take for an acknowledgement by its size. */
const LARGE = 20_000;

test("connections, subscriptions and waits outlive the leader's hibernation", async (t) => {
  const all = owner(t);
  const worker = await Worker.start(all);
  const site = await Site.start(all);
  const browser = await Browser.start(all);
  const visit = async (options = {}) => {
    const link = await Link.start(all, worker);
    const page = await browser.visit(site.url);
    await openIn(page, { database: DATABASE, url: link.url, options });
    return { page, link };
  };
  const [a, b, c] = [await visit(), await visit(), await visit({ connect: false })];
  await live(a.page);
  await live(b.page);
  await a.page.evaluate(() => window.doc.getMap("values").set("first", 1));
  await settled(a.page);
  await b.page.evaluate(() => window.page.changed(window.doc, () => window.doc.getMap("values").get("first") === 1));

  // A read that waits for a write that has not left its writer yet.
  const unsent = await c.page.evaluate(() => {
    window.doc.getMap("values").set("late", 2);
    return window.db.session().bookmark();
  });
  await b.page.evaluate(({ from, timeoutMs }) => {
    window.late = window.db.session({ from }).read("notes", (doc) => doc.getMap("values").get("late"), { timeoutMs });
    window.late.then(() => (window.isLate = true));
  }, { from: unsent, timeoutMs: ARRIVE_MS_MAX });

  const first = await instance(worker);
  const second = await sleep(worker, first);
  // This time nobody asks; what wakes it is a frame on a connection from before.
  await pause(IDLE_MS);
  const before = { down: a.link.bytes.down, up: a.link.bytes.up };
  await a.page.evaluate(async (length) => {
    // Random, so that no compression makes it small.
    const bytes = crypto.getRandomValues(new Uint8Array(length));
    const receipt = window.doc.transact(() => window.doc.getMap("values").set("large", bytes));
    await receipt.reached("leader");
  }, LARGE);
  const third = await instance(worker);
  assert.notEqual(third, second, "the leader had slept again");
  assert.ok(a.link.bytes.up - before.up > LARGE, "the write went up");
  await b.page.evaluate(() => window.page.changed(window.doc, () => window.doc.getMap("values").has("large")));
  assert.ok(a.link.bytes.down - before.down < LARGE / 4, "its own write does not come back to the writer");

  assert.equal(await b.page.evaluate(() => window.isLate === true), false, "the read still waits");
  await c.page.evaluate(() => window.db.connect());
  assert.equal(await b.page.evaluate(async () => (await window.late).value), 2, "and ends with what it waited for");
  for (const { page, link } of [a, b]) {
    assert.equal(link.connections, 1, "one connection from the first to the last");
    assert.equal(await page.evaluate(() => window.db.status.phase), "live");
  }
  figures("hibernation", { "instances on one connection": new Set([first, second, third]).size, reconnects: 0, lost: 0 });
});

/** The leader's instance; asking wakes it. @param {Worker} worker */
async function instance(worker) {
  return (await worker.status(DATABASE)).instance.id;
}

/** Lets it sleep; answers the instance that woke up. @param {Worker} worker @param {string} before */
async function sleep(worker, before) {
  for (let tried = 1; tried <= SLEEPS_TRIED_MAX; tried += 1) {
    await pause(IDLE_MS);
    const now = await instance(worker);
    if (now !== before) return now;
  }
  assert.fail(`after ${SLEEPS_TRIED_MAX} times ${IDLE_MS} ms with idle clients the leader is still awake`);
}
