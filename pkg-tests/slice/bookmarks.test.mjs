/** Read-after-write by bookmark: at `session` never older, at `eventual` older at times, under a slow network. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as Y from "yjs";

import { Browser } from "../harness/browser.mjs";
import { owner } from "../harness/cleanup.mjs";
import { rounds } from "../harness/env.mjs";
import { figures, progress } from "../harness/figures.mjs";
import { Link } from "../harness/link.mjs";
import { live, openIn, settled } from "../harness/pages.mjs";
import { Random } from "../harness/random.mjs";
import { Site } from "../harness/site.mjs";
import { Worker } from "../harness/worker.mjs";

const ROUNDS = rounds(1_000, 150);
const DELAY_MS_MAX = 30;
const DATABASE = "bookmarks";

const random = Random.ofRun("bookmarks");
const say = progress("bookmarks");
const all = owner();
/** @type {Worker} */
let worker;
/** @type {{ page: import("playwright-core").Page, link: Link }} */
let a;
/** @type {{ page: import("playwright-core").Page, link: Link }} */
let b;
const older = { eventual: 0, session: 0, strong: 0, http: 0, "http without bookmark": 0 };

before(async () => {
  worker = await Worker.start(all);
  const site = await Site.start(all);
  const browser = await Browser.start(all);
  const visit = async () => {
    const link = await Link.start(all, worker);
    const page = await browser.visit(site.url);
    await openIn(page, { database: DATABASE, url: link.url });
    await live(page);
    return { page, link };
  };
  [a, b] = [await visit(), await visit()];
});

after(() => {
  figures("bookmarks", {
    rounds: ROUNDS,
    "older at session": older.session,
    "older at eventual": older.eventual,
    "older at strong": older.strong,
    "older over HTTP with bookmark": older.http,
    "older over HTTP without": older["http without bookmark"],
  });
});

test("at session a read with the writer's bookmark is never older", async () => {
  for (let round = 1; round <= ROUNDS; round += 1) {
    delay();
    // Every second bookmark is taken before the leader has answered, and names the writer's own log.
    const bookmark = await write(round, { waits: round % 2 === 0 });
    const { value, meta } = await read({ from: bookmark, consistency: "session" });
    if (value < round) older.session += 1;
    assert.equal(meta.met, "session");
    assert.ok(await covers(meta.bookmark, bookmark), "a read's bookmark covers the one it began with");
    say(`${round} of ${ROUNDS} rounds at session`);
  }
  assert.equal(older.session, 0);
});

test("at eventual the same loop reads older values", async () => {
  for (let round = 1; round <= ROUNDS; round += 1) {
    delay();
    const bookmark = await write(ROUNDS + round, { waits: round % 2 === 0 });
    const { value } = await read({ from: bookmark, consistency: "eventual" });
    if (value < ROUNDS + round) older.eventual += 1;
    say(`${round} of ${ROUNDS} rounds at eventual`);
  }
  assert.ok(older.eventual > 0, "no read was older: this network cannot tell a good bookmark from a bad one");
});

test("strong needs no bookmark", async () => {
  for (let round = 1; round <= ROUNDS / 5; round += 1) {
    delay();
    await write(2 * ROUNDS + round, { waits: true });
    const { value } = await read({ consistency: "strong" });
    if (value < 2 * ROUNDS + round) older.strong += 1;
    say(`${round} of ${ROUNDS / 5} rounds at strong`);
  }
  assert.equal(older.strong, 0);
});

test("a read over HTTP honours the bookmark in its header, and answers one", async () => {
  for (let round = 1; round <= ROUNDS / 5; round += 1) {
    delay();
    const value = 3 * ROUNDS + round;
    const bookmark = await write(value, { waits: false });
    const without = await worker.json(DATABASE, "notes");
    if (without.values.n < value) older["http without bookmark"] += 1;
    const response = await worker.read(DATABASE, "notes", { bookmark });
    assert.equal(response.status, 200);
    const { values } = await response.json();
    if (values.n < value) older.http += 1;
    const answered = response.headers.get("headwater-bookmark");
    assert.ok(answered, "the answer brings a bookmark");
    const reread = await read({ from: answered, consistency: "session" });
    assert.ok(reread.value >= value, "which a replica honours in turn");
  }
  assert.equal(older.http, 0);
  assert.ok(older["http without bookmark"] > 0, "no read was older: the header was not needed");
});

test("a write that only deletes has a bookmark that a reader waits for", async () => {
  a.link.delayMs = b.link.delayMs = { up: 0, down: 0 };
  await a.page.evaluate(() => void window.doc.getText("text").insert(0, "to be deleted"));
  await settled(a.page);
  const inserted = await a.page.evaluate(() => window.db.session().bookmark());
  assert.equal(await readText({ from: inserted, consistency: "session" }), "to be deleted");

  b.link.stall("down");
  const bookmark = await a.page.evaluate(async () => {
    const receipt = window.doc.transact(() => window.doc.getText("text").delete(0, 13));
    await receipt.reached("leader");
    return window.db.session().bookmark();
  });
  assert.notEqual(bookmark, inserted, "the deletion has a place of its own");
  assert.equal(await readText({ consistency: "eventual" }), "to be deleted", "the deletion has not arrived");
  const waiting = readText({ from: bookmark, consistency: "session" });
  const isWaiting = await Promise.race([waiting.then(() => false), readText({ consistency: "eventual" }).then(() => true)]);
  assert.ok(isWaiting, "a read with the bookmark waits");
  b.link.flow();
  assert.equal(await waiting, "", "and sees the deletion");
  const update = new Y.Doc();
  Y.applyUpdate(update, await worker.update(DATABASE, "notes", { bookmark }));
  assert.equal(update.getText("text").toString(), "", "over HTTP, too");
});

test("a bookmark of another database or a damaged one is refused by its code", async () => {
  const elsewhere = await worker.read("elsewhere", "notes");
  const foreign = elsewhere.headers.get("headwater-bookmark") ?? "";
  const codes = await b.page.evaluate(async (foreign) => {
    const codeOf = async (from) => {
      try {
        await window.db.session({ from }).read("notes", () => null, { timeoutMs: 2_000 });
        return "none";
      } catch (error) {
        return error.code;
      }
    };
    return [await codeOf(foreign), await codeOf("not-a-bookmark"), await codeOf(`${foreign.slice(0, -2)}AA`)];
  }, foreign);
  assert.deepEqual(codes, ["BOOKMARK_LOST", "MALFORMED", "MALFORMED"]);
  const response = await worker.read(DATABASE, "notes", { bookmark: foreign });
  assert.equal(response.ok, false);
  assert.equal((await response.json()).code, "BOOKMARK_LOST");
});

/** Another network for each round: the reader hears late, the writer is late or not. */
function delay() {
  a.link.delayMs = { up: random.below(DELAY_MS_MAX / 2), down: random.below(DELAY_MS_MAX / 2) };
  b.link.delayMs = { up: random.below(DELAY_MS_MAX / 2), down: random.below(DELAY_MS_MAX) };
}

/**
 * Writes a number on A; answers A's bookmark.
 * @param {number} value
 * @param {{ waits: boolean }} options
 */
function write(value, { waits }) {
  return a.page.evaluate(async ({ value, waits }) => {
    const receipt = window.doc.transact(() => window.doc.getMap("values").set("n", value));
    if (waits) await receipt.reached("leader");
    return window.db.session().bookmark();
  }, { value, waits });
}

/** Reads the number on B. @param {{ from?: string, consistency: string }} options */
function read({ from, consistency }) {
  return b.page.evaluate(async ({ from, consistency }) => {
    const session = window.db.session({ from });
    const { value, meta } = await session.read("notes", (doc) => doc.getMap("values").get("n") ?? 0, { consistency });
    session.close();
    return { value, meta };
  }, { from, consistency });
}

/** @param {{ from?: string, consistency: string }} options */
function readText({ from, consistency }) {
  return b.page.evaluate(async ({ from, consistency }) => {
    const session = window.db.session({ from });
    return (await session.read("notes", (doc) => doc.getText("text").toString(), { consistency })).value;
  }, { from, consistency });
}

/** Whether one bookmark waits for at least as much as another. @param {string} left @param {string} right */
function covers(left, right) {
  return b.page.evaluate(async ([left, right]) => {
    const compared = await window.headwater.compareBookmarks(left, right);
    if (compared !== undefined) return compared >= 0;
    // The writer's own log gave way to a place in the leader's: then neither covers the other by name.
    const { origins } = await window.headwater.describeBookmark(right);
    return origins.length > 0;
  }, [left, right]);
}
