/** A browser is reloaded, its page crashes, its processes are killed, with writes that no leader has seen. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Browser, Profile, ready } from "../harness/browser.mjs";
import { owner } from "../harness/cleanup.mjs";
import { rounds } from "../harness/env.mjs";
import { figures, progress } from "../harness/figures.mjs";
import { Link } from "../harness/link.mjs";
import { live, openIn, settled } from "../harness/pages.mjs";
import { Random } from "../harness/random.mjs";
import { Site } from "../harness/site.mjs";
import { pause } from "../harness/until.mjs";
import { Worker } from "../harness/worker.mjs";

const ROUNDS = rounds(20, 5);
const ENDS = /** @type {const} */ (["reload", "crash", "kill"]);
/** The end comes while the page writes, so soon at most. */
const WRITE_MS_MAX = 600;
const LARGE = 40_000;

test("what was local survives the end of its page and is sent later", async (t) => {
  const random = Random.ofRun("offline-reload");
  const all = owner(t);
  const worker = await Worker.start(all);
  const link = await Link.start(all, worker);
  const site = await Site.start(all);
  const profile = await Profile.create(all);
  const say = progress("offline-reload");
  const opening = { database: "offline", url: link.url };
  let page = await open(profile, site, opening);
  let [survived, unsent] = [0, 0];

  for (let round = 0; round < ROUNDS; round += 1) {
    await live(page);
    // In every second round the network goes in the middle of writing, and the leader may have more than it could say.
    const isAbrupt = round % 2 === 1;
    const local = await listen(page);
    if (!isAbrupt) link.goOffline();
    const before = (await worker.json("offline", "notes")).names ?? {};
    const writing = page.evaluate(write, { round }).catch(() => undefined);
    const endsAt = performance.now() + random.between(50, WRITE_MS_MAX);
    if (isAbrupt) {
      await pause(random.below(endsAt - performance.now()));
      link.goOffline();
    }
    await pause(endsAt - performance.now());
    const last = await page.evaluate(() => ({ written: window.written, pending: window.db.pending.count }));
    if (!isAbrupt) assert.equal(last.pending, last.written, "offline, everything written is pending");

    const end = ENDS[round % ENDS.length] ?? "reload";
    if (end === "reload") {
      await page.reload();
      await ready(page);
      await openIn(page, opening);
    } else {
      if (end === "kill") await profile.kill();
      else await crash(page);
      page = await open(profile, site, opening);
    }
    await writing;

    const after = await page.evaluate(async () => {
      const { count, bytes, oldest } = window.db.pending;
      const stages = window.db.pending.receipts().map((receipt) => receipt.stage);
      return { names: window.doc.getMap("names").toJSON(), count, bytes, isDated: oldest !== null, stages };
    });
    const lost = local.filter((name) => after.names[name] === undefined);
    assert.deepEqual(lost, [], `${end}: writes that were local and are gone`);

    const held = (await worker.json("offline", "notes")).names ?? {};
    const missing = Object.keys(after.names).filter((name) => held[name] === undefined);
    if (isAbrupt) assert.ok(after.count >= missing.length, `${after.count} pending, the leader misses ${missing.length}`);
    else assert.equal(after.count, missing.length, `${end}: pending is what the leader has not got`);
    if (!isAbrupt) assert.deepEqual(held, before, "nothing reached the leader while offline");
    assert.equal(after.stages.length, after.count, "there is a receipt for each pending write");
    assert.ok(after.stages.every((stage) => stage === "local"), "and each is local");
    assert.equal(after.isDated, after.count > 0);
    assert.equal(after.bytes > 0, after.count > 0);

    link.goOnline();
    // As browsers tell it; without it the page would try again by itself, later.
    await page.evaluate(() => void window.dispatchEvent(new Event("online")));
    await settled(page);
    const sent = (await worker.json("offline", "notes")).names ?? {};
    assert.deepEqual(sent, after.names, "everything that was there is sent, and nothing else");
    survived += local.length;
    unsent += missing.length;
    say(`${round + 1} of ${ROUNDS} rounds, ${end} with ${missing.length} unsent writes`);
  }

  await page.reload();
  await ready(page);
  await openIn(page, opening);
  assert.equal(await page.evaluate(() => window.db.pending.count), 0, "what was sent is not pending after a reload");
  const { lsn } = await worker.status("offline");
  const names = Object.keys((await worker.json("offline", "notes")).names);
  assert.equal(Number(lsn), names.length, "each write is in the log once");
  figures("offline-reload", { rounds: ROUNDS, unsent, "local before the end": survived, lost: 0 });
});

test("a large outbox is there after a reload, and is sent", async (t) => {
  const all = owner(t);
  const worker = await Worker.start(all);
  const site = await Site.start(all);
  const browser = await Browser.start(all);
  const page = await browser.visit(site.url);
  await openIn(page, { database: "large", url: worker.url, options: { connect: false } });
  await page.evaluate(async (count) => {
    const text = window.doc.getText("text");
    for (let at = 0; at < count; at += 1) {
      window.last = window.doc.transact(() => text.insert(at, "abcdefgh"[at % 8]));
      if (at % 100 === 0) await window.page.macrotask();
    }
    await window.last.reached("local");
  }, LARGE);
  await page.reload();
  await ready(page);
  await openIn(page, { database: "large", url: worker.url, options: { connect: false } });
  assert.equal(await page.evaluate(() => window.db.pending.count), LARGE);
  await page.evaluate(() => window.db.connect());
  await settled(page);
  const { text } = await worker.json("large", "notes");
  assert.ok(text === "abcdefgh".repeat(LARGE / 8), "the leader has all of it");
});

/**
 * @param {Profile} profile
 * @param {Site} site
 * @param {{ database: string, url: string }} opening
 */
async function open(profile, site, opening) {
  const page = await profile.visit(site.url);
  await openIn(page, opening);
  return page;
}

/**
 * The names of writes of which the page has told that they are local. What it could not tell any more is not there.
 * @param {import("playwright-core").Page} page
 */
async function listen(page) {
  /** @type {string[]} */
  const local = [];
  const name = `tell${Math.floor(performance.now())}`;
  await page.exposeFunction(name, (/** @type {string[]} */ names) => void local.push(...names));
  await page.evaluate((name) => void (window.tell = window[name]), name);
  return local;
}

/** Crashes the page's renderer, and closes what is left of it. @param {import("playwright-core").Page} page */
async function crash(page) {
  const crashed = page.waitForEvent("crash");
  page.goto("chrome://crash").catch(() => undefined);
  await crashed;
  await page.close();
}

/** In the page: writes without end, some in a turn, each under a name of its own. */
async function write({ round }) {
  const names = window.doc.getMap("names");
  window.written = 0;
  for (;;) {
    const turn = [];
    while (turn.length < 1 + (window.written % 9)) {
      const name = `${round}-${window.written}`;
      const receipt = window.doc.transact(() => names.set(name, window.written));
      window.written += 1;
      turn.push({ name, receipt });
    }
    const told = turn.map(({ name }) => name);
    turn.at(-1).receipt.reached("local").then(() => void window.tell(told), () => undefined);
    await new Promise((resolve) => void setTimeout(resolve, window.written % 5));
  }
}
