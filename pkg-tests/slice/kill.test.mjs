/** workerd dies while two browsers write: nothing that was acknowledged at `leader` is missing afterwards. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Browser } from "../harness/browser.mjs";
import { owner } from "../harness/cleanup.mjs";
import { FULL, rounds } from "../harness/env.mjs";
import { figures, progress } from "../harness/figures.mjs";
import { Link } from "../harness/link.mjs";
import { jsonIn, live, openIn, settled } from "../harness/pages.mjs";
import { Random } from "../harness/random.mjs";
import { Site } from "../harness/site.mjs";
import { editingTrace } from "../harness/trace.mjs";
import { Worker } from "../harness/worker.mjs";

const ROUNDS = rounds(20, 4);
const EDITS_MAX = FULL ? Infinity : 40_000;
const END_MS_MAX = 240_000;

test("a killed leader loses nothing that it acknowledged", async (t) => {
  const random = Random.ofRun("kill");
  const trace = editingTrace();
  const edits = trace.edits.slice(0, Math.min(trace.edits.length, EDITS_MAX));
  const all = owner(t);
  const worker = await Worker.start(all);
  const link = await Link.start(all, worker);
  const site = await Site.start(all);
  const browser = await Browser.start(all);
  const [a, b] = [await browser.visit(site.url), await browser.visit(site.url)];
  for (const page of [a, b]) {
    await openIn(page, { database: "kill", url: link.url });
    await live(page);
    await page.evaluate(followReceipts);
  }
  await a.evaluate(async () => {
    window.edits = (await (await fetch("/trace.json")).json()).edits;
  });

  const prefix = new Prefix(edits);
  const say = progress("kill");
  let checked = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const from = Math.floor((edits.length * round) / ROUNDS);
    const to = Math.floor((edits.length * (round + 1)) / ROUNDS);
    // The next leader dies in the middle of its work, not while everybody still waits to come back to it.
    for (const page of [a, b]) {
      await page.evaluate(() => void window.dispatchEvent(new Event("online")));
      await live(page);
      await settled(page);
    }
    const before = (await a.evaluate(acknowledged)).count + (await b.evaluate(acknowledged)).count;
    const typing = a.evaluate(typeStretch, { from, to });
    const marking = b.evaluate(mark, { round, count: 300 });
    await a.evaluate(untilTyped, random.between(from, to - 1));
    await worker.kill();
    // Nobody may send again what the leader might have forgotten, before it was asked what it has.
    link.goOffline();
    const [typed, marked] = [await a.evaluate(acknowledged), await b.evaluate(acknowledged)];
    await worker.start();
    const held = await worker.json("kill", "notes");
    const lostMarks = marked.names.filter((name) => held.marks?.[name] === undefined);
    assert.deepEqual(lostMarks, [], "markers that were acknowledged and are missing");
    assert.ok(prefix.holds(held.text ?? "", typed.count), `${typed.count} edits were acknowledged, and not all are held`);
    checked += marked.names.length + typed.count - before;
    link.goOnline();
    await Promise.all([typing, marking]);
    say(`${round + 1} of ${ROUNDS} kills, ${typed.count} edits and ${marked.names.length} markers were acknowledged`);
  }

  assert.ok(checked > 0, "nothing was acknowledged in the rounds of the kills: they came too early to lose anything");
  const ends = [await a.evaluate(endReceipts, END_MS_MAX), await b.evaluate(endReceipts, END_MS_MAX)];
  for (const end of ends) assert.deepEqual(end.open, [], "receipts that did not end at the leader");
  // Each side has what the other one wrote once it holds the other's bookmark.
  for (const [page, end] of /** @type {const} */ ([[a, ends[1]], [b, ends[0]]])) {
    await page.evaluate(async ({ bookmark, timeoutMs }) => {
      await window.db.session({ from: bookmark }).read("notes", () => null, { timeoutMs });
    }, { bookmark: end.bookmark, timeoutMs: END_MS_MAX });
  }
  const [inA, inB, held] = [await jsonIn(a), await jsonIn(b), await worker.json("kill", "notes")];
  assert.ok(inA.text === prefix.finalText, "the text is what was typed");
  assert.equal(Object.keys(held.marks).length, ROUNDS * 300, "every marker is held");
  assert.deepEqual(inB, inA, "both browsers hold the same");
  assert.deepEqual(held, inA, "and so does the leader");
  const { lsn } = await worker.status("kill");
  assert.equal(Number(lsn), edits.length + ROUNDS * 300, "each write is in the log once");

  figures("kill", {
    kills: ROUNDS,
    writes: Number(lsn),
    "acknowledged right before a kill": checked,
    "acknowledged and lost": 0,
    "receipts that did not end": 0,
  });
});

/** The texts that the edits lead to, one after the other. */
class Prefix {
  #edits;
  #at = 0;
  #text = "";

  /** @param {import("../harness/trace.mjs").Edit[]} edits */
  constructor(edits) {
    this.#edits = edits;
  }

  /**
   * Whether some number of edits, no smaller than `count`, leads to this text. Different numbers may lead to the same
   * one: what is typed and deleted again leaves no trace.
   * @param {string} text
   * @param {number} count
   */
  holds(text, count) {
    while (this.#at < count) this.#step();
    while (this.#text !== text && this.#at < this.#edits.length) this.#step();
    return this.#text === text;
  }

  get finalText() {
    while (this.#at < this.#edits.length) this.#step();
    return this.#text;
  }

  #step() {
    const [position, deleted, inserted] = /** @type {import("../harness/trace.mjs").Edit} */ (this.#edits[this.#at]);
    this.#text = this.#text.slice(0, position) + inserted + this.#text.slice(position + deleted);
    this.#at += 1;
  }
}

// The functions below run in pages.

/** Keeps all receipts, and what the leader has acknowledged: how many from the first on, and the names. */
function followReceipts() {
  window.receipts = [];
  window.acknowledged = { count: 0, names: [] };
  window.follow = (receipt, name) => {
    window.receipts.push(receipt);
    const count = window.receipts.length;
    receipt.reached("leader", { timeoutMs: 3_600_000 }).then(
      () => {
        window.acknowledged.count = Math.max(window.acknowledged.count, count);
        if (name !== undefined) window.acknowledged.names.push(name);
      },
      (error) => console.error("a receipt ended with", error),
    );
  };
}

async function typeStretch({ from, to }) {
  await window.page.type(window.doc, window.edits, {
    from,
    to,
    perTurn: 20,
    // One wait for many: an acknowledgement is for everything before it, too.
    onEdit: (at, receipt) => {
      if (at % 20 === 19) window.follow(receipt);
      else window.receipts.push(receipt);
      if (at === window.awaited?.at) window.awaited.resolve();
    },
  });
}

/** Resolves when that edit is typed. */
function untilTyped(at) {
  if (window.receipts.length > at) return undefined;
  return new Promise((resolve) => void (window.awaited = { at, resolve }));
}

async function mark({ round, count }) {
  const marks = window.doc.getMap("marks");
  for (let at = 0; at < count; at += 1) {
    const name = `${round}-${at}`;
    window.follow(window.doc.transact(() => marks.set(name, at)), name);
    await window.page.turns(5);
  }
}

function acknowledged() {
  return window.acknowledged;
}

async function endReceipts(timeoutMs) {
  await window.receipts.at(-1).reached("leader", { timeoutMs });
  await window.page.settled(window.db);
  const ended = new Set(["leader", "quorum", "all"]);
  const open = window.receipts.filter((receipt) => !ended.has(receipt.stage)).map((receipt) => receipt.stage);
  return { open, bookmark: window.db.session().bookmark() };
}
