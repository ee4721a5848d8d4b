/** A browser is reloaded, its page crashes, its processes are killed, with writes that no leader has seen. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Profile, ready } from "../harness/browser.mjs";
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

test("what was local survives the end of its page and is sent later", async (t) => {
  const random = Random.ofRun("offline-reload");
  const worker = await Worker.start(t);
  const link = await Link.start(t, worker);
  const site = await Site.start(t);
  const profile = await Profile.create(t);
  const say = progress("offline-reload");
  const opening = { database: "offline", url: link.url };
  let page = await open(profile, site, opening);
  let [survived, unsent] = [0, 0];

  for (let round = 0; round < ROUNDS; round += 1) {
    await live(page);
    // In every second round the network goes in the middle of writing, and the leader may have more than it could say.
    const isAbrupt = round % 2 === 1;
    /** @type {Map<string, string>} By name, the stage that the page told last. */
    const told = new Map();
    await listen(page, told);
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
    const local = [...told].filter(([, stage]) => stage !== "applied").map(([name]) => name);
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
    await page.evaluate(() => window.db.connect());
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
 * Hears from the page how far each write has come. What it could not say any more is not counted.
 * @param {import("playwright-core").Page} page
 * @param {Map<string, string>} told
 */
async function listen(page, told) {
  await page.evaluate(() => void delete window.tell);
  const name = `tell_${told.size}_${Math.floor(performance.now())}`;
  await page.exposeFunction(name, (/** @type {string} */ write, /** @type {string} */ stage) => void told.set(write, stage));
  await page.evaluate((name) => void (window.tell = window[name]), name);
}

/** Crashes the page's renderer, and closes what is left of it. @param {import("playwright-core").Page} page */
async function crash(page) {
  const crashed = page.waitForEvent("crash");
  page.goto("chrome://crash").catch(() => undefined);
  await crashed;
  await page.close();
}

/** In the page: writes without end, each under a name of its own. */
async function write({ round }) {
  const names = window.doc.getMap("names");
  window.written = 0;
  for (;;) {
    const name = `${round}-${window.written}`;
    const receipt = window.doc.transact(() => names.set(name, window.written));
    window.written += 1;
    const tell = () => void window.tell(name, receipt.stage);
    receipt.reached("local").then(tell, () => undefined);
    await window.page.turns(1 + (window.written % 7));
  }
}
