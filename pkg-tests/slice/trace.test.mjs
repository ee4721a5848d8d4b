/** The editing trace, typed in one browser, arrives in another one and at the leader, byte for byte. */

import assert from "node:assert/strict";
import { test } from "node:test";
import * as Y from "yjs";

import { Browser } from "../harness/browser.mjs";
import { owner } from "../harness/cleanup.mjs";
import { figures, progress } from "../harness/figures.mjs";
import { live, openIn } from "../harness/pages.mjs";
import { Site } from "../harness/site.mjs";
import { editingTrace } from "../harness/trace.mjs";
import { Worker } from "../harness/worker.mjs";

/** Edits between two lines of progress. */
const STRETCH = 5_000;
const ARRIVE_MS_MAX = 300_000;

test("the editing trace is the same text on both sides and at the leader", async (t) => {
  const { edits, finalText } = editingTrace();
  const all = owner(t);
  const worker = await Worker.start(all);
  const site = await Site.start(all);
  const browser = await Browser.start(all);
  const [a, b] = [await browser.visit(site.url), await browser.visit(site.url)];
  for (const page of [a, b]) {
    await openIn(page, { database: "trace", url: worker.url });
    await live(page);
  }
  await a.evaluate(async () => {
    window.edits = (await (await fetch("/trace.json")).json()).edits;
  });

  const say = progress("trace");
  const begin = performance.now();
  for (let from = 0; from < edits.length; from += STRETCH) {
    const to = Math.min(from + STRETCH, edits.length);
    const pending = await a.evaluate(async ({ from, to }) => {
      window.last = await window.page.type(window.doc, window.edits, { from, to });
      return window.db.pending.count;
    }, { from, to });
    const arrived = await b.evaluate(() => window.doc.getText("text").length);
    say(`${to} of ${edits.length} typed, ${pending} pending, ${arrived} characters on the other side`);
  }
  const typedMs = performance.now() - begin;

  const bookmark = await a.evaluate(async (timeoutMs) => {
    await window.last.reached("leader", { timeoutMs });
    return window.db.session().bookmark();
  }, ARRIVE_MS_MAX);
  const ackedMs = performance.now() - begin;
  const inB = await b.evaluate(async ({ bookmark, timeoutMs }) => {
    const session = window.db.session({ from: bookmark });
    return (await session.read("notes", (doc) => doc.getText("text").toString(), { timeoutMs })).value;
  }, { bookmark, timeoutMs: ARRIVE_MS_MAX });
  const arrivedMs = performance.now() - begin;

  const inA = await a.evaluate(() => window.doc.getText("text").toString());
  const leader = await worker.json("trace", "notes");
  const fromUpdate = new Y.Doc();
  Y.applyUpdate(fromUpdate, await worker.update("trace", "notes"));
  same(inA, finalText, "the text where it was typed");
  same(inB, finalText, "the text on the other side");
  same(leader.text, finalText, "the leader's text as JSON");
  same(fromUpdate.getText("text").toString(), finalText, "the leader's update as Yjs reads it");

  const { lsn, rowsCommitted } = await worker.status("trace");
  assert.equal(Number(lsn), edits.length, "one entry for each edit");
  figures("trace", {
    edits: edits.length,
    "typed in s": typedMs / 1000,
    "all at the leader after s": ackedMs / 1000,
    "all in the other browser after s": arrivedMs / 1000,
    "log rows": Number(rowsCommitted),
    "texts that differ": 0,
  });
});

/**
 * Texts of a hundred thousand characters make no message that anybody can read.
 * @param {string} actual
 * @param {string} expected
 * @param {string} what
 */
function same(actual, expected, what) {
  if (Buffer.from(actual).equals(Buffer.from(expected))) return;
  let at = 0;
  while (actual[at] === expected[at]) at += 1;
  assert.fail(`${what} differs from character ${at} on: ${actual.slice(at, at + 40)} (${actual.length} characters)`);
}
