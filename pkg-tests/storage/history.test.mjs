/** Documents as they were, by position and by time, and brought back to that. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";

import { open, SharedMap } from "headwater";
import * as Y from "yjs";

import { owner, temporaryFolder } from "../harness/cleanup.mjs";
import { rounds } from "../harness/env.mjs";
import { figures } from "../harness/figures.mjs";
import { Random } from "../harness/random.mjs";
import { Worker } from "../harness/worker.mjs";
import { env, headwater } from "./backups.mjs";

const WRITES = rounds(400, 60);
const random = Random.ofRun("history");
const counts = { "reads by position": 0, "reads by time": 0, restorations: 0, violations: 0 };
const all = owner();
/** @type {Worker} */
let worker;
/** @type {{ bookmark: string, unixMs: number, value: Record<string, any> }[]} */
const recorded = [];

before(async () => {
  worker = await Worker.start(all, { env });
  const db = await open("past", { url: worker.url, storage: "memory" });
  const doc = await db.doc("notes/1");
  const session = db.session();
  for (let at = 0; at < WRITES; at += 1) {
    await scribble(doc, at).reached("leader");
    const { value } = await session.read("notes/1", (doc) => doc.toJSON());
    recorded.push({ bookmark: session.bookmark(), unixMs: Date.now(), value });
    // So that times differ, some of them by more than the least that they can tell apart.
    await new Promise((resolve) => setTimeout(resolve, at % 20 === 0 ? 1100 : 15));
  }
  await db.close();
});

after(() => figures("history", counts));

/** @param {import("headwater").Document} doc @param {number} at */
function scribble(doc, at) {
  return doc.transact(() => {
    const [map, text, list] = [doc.getMap("map"), doc.getText("text"), doc.getArray("list")];
    map.set("at", at);
    text.insert(random.below(text.length + 1), `w${at} `);
    if (text.length > 60) text.delete(random.below(text.length - 10), 10);
    list.insert(random.below(list.length + 1), [at, { at }]);
    if (list.length > 12) list.delete(random.below(list.length - 2), 2);
    if (at % 5 === 0) map.set("inner", new SharedMap([["n", at]]));
    else map.get("inner")?.set(`k${at % 3}`, at);
    if (at % 7 === 0) map.delete(`x${random.below(4)}`);
    else map.set(`x${random.below(4)}`, at);
  });
}

test("a position shows exactly what was shown there, also after a restart", async () => {
  for (const isRestarted of [false, true]) {
    if (isRestarted) await worker.restart();
    for (const { bookmark, value } of recorded) {
      const then = await worker.json("past", "notes/1", { query: `?at=${bookmark}` });
      counts["reads by position"] += 1;
      if (JSON.stringify(then) !== JSON.stringify(sorted(value))) counts.violations += 1;
    }
  }
  assert.equal(counts.violations, 0);
});

test("a time shows nothing younger, and everything from a second before", async () => {
  const db = await open("past", { url: worker.url, storage: "memory" });
  const history = db.history("notes/1");
  for (let round = 0; round < WRITES; round += 1) {
    const { unixMs } = random.pick(recorded);
    const asked = unixMs + random.between(-20, 600);
    const { value } = await history.at(new Date(asked));
    counts["reads by time"] += 1;
    const at = /** @type {any} */ (value).map?.at ?? -1;
    // The write was acknowledged before it was recorded, and begun after the one before it was.
    const isYounger = at > 0 && (recorded[at - 1]?.unixMs ?? 0) > asked;
    const isOlder = recorded.findLastIndex((each) => each.unixMs <= asked - 1000) > at;
    if (isYounger || isOlder) counts.violations += 1;
    const known = recorded[at]?.value ?? {};
    if (JSON.stringify(value) !== JSON.stringify(sorted(known))) counts.violations += 1;
  }
  // Nobody knows any more what was shown in a time before all marks; a minute before the first write there was nothing.
  await assert.rejects(history.at(0), { code: "BOOKMARK_LOST" });
  const begin = await history.at(new Date((recorded[0]?.unixMs ?? 0) - 60_000));
  assert.deepEqual(begin.value, {});
  await db.close();
  assert.equal(counts.violations, 0);
});

test("a restoration shows what was shown then, and others write on", async () => {
  const db = await open("past", { url: worker.url, storage: "memory" });
  const doc = await db.doc("notes/1");
  await db.session().read("notes/1", () => null, { consistency: "strong" });
  const history = db.history("notes/1");
  for (let round = 0; round < rounds(40, 12); round += 1) {
    const { bookmark, value } = random.pick(recorded);
    const done = await history.restore(bookmark);
    counts.restorations += 1;
    const shown = await worker.json("past", "notes/1", { bookmark: done.bookmark });
    if (JSON.stringify(shown) !== JSON.stringify(sorted(value))) counts.violations += 1;
    const session = db.session({ from: done.bookmark });
    const here = await session.read("notes/1", (doc) => doc.toJSON());
    if (JSON.stringify(sorted(here.value)) !== JSON.stringify(sorted(value))) counts.violations += 1;
    assert.equal((await history.restore(bookmark)).isChanged, false, "there is nothing left to do");
    await doc.transact(() => doc.getMap("map").set("later", round)).reached("leader");
    assert.equal((await worker.json("past", "notes/1")).map.later, round);
  }
  await db.close();
  assert.equal(counts.violations, 0);
});

test("who writes while it is restored loses nothing", async () => {
  const db = await open("busy", { url: worker.url, storage: "memory" });
  const doc = await db.doc("d");
  const map = doc.getMap("map");
  await doc.transact(() => {
    map.set("kept", "then");
    doc.getText("text").insert(0, "as it was");
  }).reached("leader");
  const session = db.session();
  await session.read("d", () => null);
  const then = session.bookmark();
  await doc.transact(() => {
    map.set("kept", "now");
    doc.getText("text").insert(2, " really");
  }).reached("leader");
  // Written before the replica hears of the restoration, told to the node after it.
  db.disconnect();
  map.set("other", "written meanwhile");
  doc.getText("text").insert(0, ">> ");
  const done = await db.history("d").restore(then);
  assert.equal(done.isChanged, true);
  db.connect();
  await doc.lastReceipt?.reached("leader");
  await db.session({ from: done.bookmark }).read("d", () => null);
  const value = await worker.json("busy", "d");
  assert.deepEqual(value, { map: { kept: "then", other: "written meanwhile" }, text: ">> as it was" });
  assert.deepEqual(doc.toJSON(), value);
  await db.close();
});

test("what cannot be is said with its code", async () => {
  const ask = async (/** @type {string} */ path, /** @type {RequestInit} */ init = {}) => {
    const response = await fetch(`${worker.url}/v1/past/${path}`, init);
    return [response.status, (await response.json()).code];
  };
  assert.deepEqual(await ask("docs/notes/1?at=2026-99-99"), [400, "MALFORMED"]);
  assert.deepEqual(await ask("docs/notes/1?at=nonsense"), [400, "MALFORMED"]);
  assert.deepEqual(await ask("restore/notes/1", { method: "POST" }), [400, "MALFORMED"]);
  assert.deepEqual(await ask("restore/notes/1", {}), [405, "MALFORMED"]);
  const db = await open("other", { url: worker.url, storage: "memory" });
  const doc = await db.doc("d");
  doc.getMap("m").set("a", 1);
  await doc.lastReceipt?.reached("leader");
  const foreign = db.session();
  await foreign.read("d", () => null);
  assert.deepEqual(await ask(`docs/notes/1?at=${foreign.bookmark()}`), [410, "BOOKMARK_LOST"]);
  await db.close();
  const alone = await open("alone", { storage: "memory" });
  assert.throws(() => alone.history("d"), { code: "MALFORMED" });
  await alone.close();
});

test("the command line shows the past and restores it", async () => {
  const folder = await temporaryFolder(all, "history");
  const { bookmark, value } = random.pick(recorded);
  const url = ["--url", worker.url];
  const shown = await headwater(["history", "past", "notes/1", "--at", bookmark, ...url]);
  assert.equal(shown.code, 0, shown.stderr);
  assert.deepEqual(JSON.parse(shown.stdout), value);
  const file = join(folder, "update");
  assert.equal((await headwater(["history", "past", "notes/1", "--at", bookmark, "--update", "--out", file, ...url])).code, 0);
  const doc = new Y.Doc();
  Y.applyUpdate(doc, await readFile(file));
  assert.equal(doc.getText("text").toString(), value.text);
  const restored = await headwater(["restore", "past", "notes/1", "--at", bookmark, "--json", ...url]);
  assert.equal(restored.code, 0, restored.stderr);
  assert.deepEqual(await worker.json("past", "notes/1"), value);
  assert.equal((await headwater(["restore", "past", "notes/1", ...url])).code, 2);
  const bad = await headwater(["restore", "past", "notes/1", "--at", "nonsense", ...url]);
  assert.deepEqual([bad.code, /MALFORMED/.test(bad.stderr)], [2, true]);
});

/** As the node writes it: with sorted keys. @param {any} value @returns {any} */
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
}
