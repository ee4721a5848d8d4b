/** Databases out of nodes and replicas and into others: the same content, at one moment, whatever happens meanwhile. */

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { compareBookmarks, open, SharedMap } from "headwater";

import { owner, temporaryFolder } from "../harness/cleanup.mjs";
import { rounds } from "../harness/env.mjs";
import { figures } from "../harness/figures.mjs";
import { Random } from "../harness/random.mjs";
import { Worker } from "../harness/worker.mjs";
import { docsOf, env, exported, headwater, imports, partsOf, SECRET } from "./backups.mjs";

const KILLS = rounds(30, 4);
const random = Random.ofRun("backup");
const counts = { documents: 0, "kills during an import": 0, "cut off in the middle": 0, "half written": 0, lost: 0, cuts: 0, violations: 0 };
const all = owner();
/** @type {Worker} */
let worker;

before(async () => {
  worker = await Worker.start(all, { env });
});

after(() => figures("backup", counts));

/**
 * A database with documents of all kinds, written through replicas.
 * @param {string} name
 * @param {number} count
 * @param {number} [large] the characters of one document
 * @param {number} [words] how long the others are
 */
async function filled(name, count, large = 0, words = 1) {
  const db = await open(name, { url: worker.url, storage: "memory" });
  const content = /** @type {Record<string, unknown>} */ ({});
  let receipt;
  for (let at = 0; at < count; at += 1) {
    const doc = await db.doc(`docs/${at}`);
    receipt = doc.transact(() => {
      doc.getMap("map").set("at", at);
      doc.getMap("map").set("inner", new SharedMap([["deep", [1, { two: 2 }]]]));
      doc.getText("text").insert(0, `text ${at} 😀 `.repeat(words));
    });
    if (at % 3 === 0) doc.transact(() => doc.getText("text").delete(0, 5));
    content[`docs/${at}`] = doc.toJSON();
    if (at % 200 === 199) await receipt.reached("leader");
  }
  if (large > 0) {
    const doc = await db.doc("large");
    for (let at = 0; at < large; at += 300_000) {
      receipt = doc.transact(() => doc.getText("text").insert(at, "0123456789".repeat(Math.min(30_000, (large - at) / 10))));
      await receipt.reached("leader");
    }
    content.large = doc.toJSON();
  }
  await receipt?.reached("leader");
  await db.session().read("docs/0", () => null, { consistency: "strong" });
  await db.close();
  return content;
}

/** @param {string} database @param {Record<string, unknown>} content */
async function holds(database, content) {
  for (const [name, value] of Object.entries(content)) assert.deepEqual(await worker.json(database, name), value, name);
}

test("what is exported and imported elsewhere is the same, and Yjs reads it", async () => {
  const content = await filled("whole", 60, 2_000_000);
  const { bytes, bookmark } = await exported(worker, "whole");
  const parts = /** @type {any[]} */ (await partsOf(bytes));
  assert.equal(parts[0].database, "whole");
  assert.equal(parts[0].bookmark, bookmark);
  assert.deepEqual(parts.flatMap(({ name }) => name ?? []).sort(), Object.keys(content).sort());
  const docs = await docsOf(bytes);
  for (const [name, value] of Object.entries(content)) {
    const { text, map } = /** @type {any} */ (value);
    assert.equal(docs.get(name).getText("text").toString(), text ?? "");
    if (map !== undefined) assert.deepEqual(docs.get(name).getMap("map").toJSON(), map);
  }
  const response = await imports(worker, "copy", bytes);
  assert.equal(response.status, 200);
  const done = await response.json();
  assert.equal(done.documents, 61);
  await holds("copy", content);
  counts.documents += done.documents;
  // Replicas get it, and find the import with its bookmark.
  const db = await open("copy", { url: worker.url, storage: "memory" });
  const { value } = await db.session({ from: done.bookmark }).read("large", (doc) => doc.getText("text").length);
  assert.equal(value, 2_000_000, "a document of several writes is there as a whole");
  await db.close();
  // Once more changes nothing.
  assert.equal((await imports(worker, "copy", bytes)).status, 200);
  await holds("copy", content);
});

test("a single document, and the past, can be exported", async () => {
  const { bookmark } = await exported(worker, "whole");
  const db = await open("whole", { url: worker.url, storage: "memory" });
  const doc = await db.doc("docs/3");
  // Whoever has not heard of a value does not write over it, but beside it.
  await db.session().read("docs/3", () => null, { consistency: "strong" });
  const before = doc.toJSON();
  await doc.transact(() => doc.getMap("map").set("at", "changed")).reached("leader");
  await db.close();
  const at = `&at=${bookmark}`;
  const one = await docsOf((await exported(worker, "whole", "?doc=docs/3&doc=docs/4")).bytes);
  assert.deepEqual([...one.keys()], ["docs/3", "docs/4"]);
  assert.equal(one.get("docs/3").getMap("map").get("at"), "changed");
  const past = await docsOf((await exported(worker, "whole", `?doc=docs/3${at}`)).bytes);
  assert.deepEqual(past.get("docs/3").getMap("map").toJSON(), /** @type {any} */ (before).map);
});

test("only who shows the secret may export and import, and what there is none of is not made", async () => {
  const ask = (/** @type {string} */ what, /** @type {RequestInit} */ init) => fetch(`${worker.url}/v1/${what}`, init);
  assert.equal((await ask("whole/export", {})).status, 401);
  assert.equal((await ask("whole/import", { method: "POST", body: "x" })).status, 401);
  const headers = { authorization: `Bearer ${SECRET}` };
  assert.equal((await ask("nothing-there/export", { headers })).status, 404);
  assert.equal((await ask("whole/export", { headers, method: "POST" })).status, 405);
  const head = await ask("whole/export", { headers, method: "HEAD" });
  assert.deepEqual([head.status, (await head.arrayBuffer()).byteLength], [200, 0]);
});

test("what is no backup, or is not whole, is refused, and of a document that is not whole nothing is written", async () => {
  const { bytes } = await exported(worker, "whole", "?doc=docs/1&doc=large");
  const answers = async (/** @type {BodyInit} */ body, /** @type {string} */ code) => {
    const response = await imports(worker, "broken", body);
    assert.equal((await response.json()).code, code);
  };
  await answers("this is a text", "MALFORMED");
  await answers(new Uint8Array(), "MALFORMED");
  await answers(bytes.slice(0, bytes.length - 500_000), "CORRUPT");
  assert.deepEqual(await worker.json("broken", "large"), {});
  const changed = Uint8Array.from(bytes);
  changed[bytes.length - 400_000] = 255;
  await answers(changed, "CORRUPT");
  assert.deepEqual(await worker.json("broken", "large"), {});
});

test("an export while others write shows one moment", async () => {
  const writers = await Promise.all([0, 1].map(() => open("moving", { url: worker.url, storage: "memory" })));
  const [a, b] = await Promise.all(writers.map((db) => Promise.all(["x", "y", "z"].map((name) => db.doc(name)))));
  let isOver = false;
  // Each writes a number to x, then to y, then to z: no moment shows a later one before an earlier one.
  const write = async (/** @type {import("headwater").Document[]} */ docs, /** @type {string} */ key) => {
    for (let n = 1; !isOver; n += 1) {
      for (const doc of docs) await doc.transact(() => doc.getMap("map").set(key, n)).reached("leader");
    }
  };
  await a?.[0]?.transact((doc) => doc.getMap("map").set("begun", true)).reached("leader");
  const writing = [write(a ?? [], "a"), write(b ?? [], "b")];
  let last;
  for (let round = 0; round < 15; round += 1) {
    const { bytes, bookmark } = await exported(worker, "moving");
    const docs = await docsOf(bytes);
    for (const key of ["a", "b"]) {
      const [x, y, z] = ["x", "y", "z"].map((name) => docs.get(name)?.getMap("map").get(key) ?? 0);
      if (!(x >= y && y >= z && x - z <= 1)) counts.violations += 1;
    }
    for (const [name, doc] of docs) {
      const then = await worker.json("moving", name, { query: `?at=${bookmark}` });
      if (JSON.stringify(then.map) !== JSON.stringify(sorted(doc.getMap("map").toJSON()))) counts.violations += 1;
    }
    if (last !== undefined) assert.ok(((await compareBookmarks(last, bookmark)) ?? 1) <= 0, "moments go on");
    last = bookmark;
    counts.cuts += 1;
  }
  isOver = true;
  await Promise.all(writing);
  await Promise.all(writers.map((db) => db.close()));
  assert.equal(counts.violations, 0);
});

test("an import whose node dies leaves whole documents, and done again it is all there", async () => {
  const content = await filled("source", 300, 1_500_000, 1500);
  const { bytes } = await exported(worker, "source");
  const begun = performance.now();
  await imports(worker, "timed", bytes);
  const span = performance.now() - begun;
  for (let round = 0; round < KILLS; round += 1) {
    const database = `killed-${round}`;
    const importing = imports(worker, database, bytes).then(async (response) => response.ok, () => false);
    await new Promise((resolve) => setTimeout(resolve, random.below(span)));
    await worker.kill();
    const isDone = await importing;
    await worker.start();
    counts["kills during an import"] += 1;
    let held = 0;
    for (const [name, value] of Object.entries(content)) {
      const found = await worker.json(database, name);
      if (Object.keys(found).length === 0) continue;
      held += 1;
      if (JSON.stringify(found) !== JSON.stringify(value)) counts["half written"] += 1;
    }
    if (held > 0 && held < Object.keys(content).length) counts["cut off in the middle"] += 1;
    if (isDone && held < Object.keys(content).length) counts.lost += 1;
    assert.equal((await imports(worker, database, bytes)).status, 200);
    await holds(database, content);
  }
  assert.equal(counts["half written"], 0);
  assert.equal(counts.lost, 0);
});

test("a replica exports what it holds, and imports with receipts", async () => {
  const content = await filled("local", 20, 1_200_000);
  const db = await open("local", { url: worker.url, storage: "memory" });
  for (const name of Object.keys(content)) await db.session().read(name, () => null, { consistency: "strong" }).catch(() => undefined);
  for (const name of Object.keys(content)) await (await db.doc(name), db.session().read(name, () => null, { consistency: "strong" }));
  const told = /** @type {string[]} */ ([]);
  const blob = await new Response(db.export({ onProgress: ({ doc }) => told.push(doc) })).blob();
  await db.close();
  assert.deepEqual(told, Object.keys(content).sort());

  const other = await open("local-copy", { url: worker.url, storage: "memory" });
  const progress = /** @type {number[]} */ ([]);
  const { documents, receipts } = await other.import(blob, { onProgress: ({ documents }) => progress.push(documents) });
  assert.equal(documents, 21);
  assert.deepEqual(progress, Array.from({ length: 21 }, (_, at) => at + 1));
  await Promise.all(receipts.map((receipt) => receipt.reached("leader")));
  await holds("local-copy", content);
  const again = await other.import(blob);
  assert.deepEqual(again.receipts, [], "all of it is here");
  await assert.rejects(other.import(blob.slice(0, blob.size - 10)), { code: "CORRUPT" });
  await assert.rejects(other.import(/** @type {any} */ ("text")), { code: "MALFORMED" });
  await other.close();
});

test("a document that is too large for one commit is refused before anything of it is written", async () => {
  const db = await open("huge", { storage: "memory" });
  const doc = await db.doc("huge");
  for (let at = 0; at < 20; at += 1) doc.getText("text").insert(0, "x".repeat(800_000));
  const bytes = await new Response(db.export()).blob();
  await db.close();
  assert.ok(bytes.size > 15 << 20);
  const response = await imports(worker, "too-much", bytes);
  assert.deepEqual([response.status, (await response.json()).code], [413, "TOO_LARGE"]);
  assert.deepEqual(await worker.json("too-much", "huge"), {});
});

test("the command line exports and imports, and says what went wrong", async () => {
  const folder = await temporaryFolder(all, "backup");
  const file = join(folder, "whole.hwbackup");
  const url = ["--url", worker.url];
  const out = await headwater(["export", "whole", ...url, "--out", file, "--json"]);
  assert.equal(out.code, 0, out.stderr);
  const told = JSON.parse(out.stdout);
  assert.equal(told.documents, 61);
  const into = await headwater(["import", "by-command", file, ...url, "--json"]);
  assert.equal(into.code, 0, into.stderr);
  assert.deepEqual({ ...JSON.parse(into.stdout), bookmark: "" }, { documents: 61, bytes: told.bytes, bookmark: "" });
  assert.deepEqual(await worker.json("by-command", "large"), await worker.json("whole", "large"));

  const part = join(folder, "part.hwbackup");
  await writeFile(part, (await readFile(file)).subarray(0, 100_000));
  const cut = await headwater(["import", "never", part, ...url]);
  assert.deepEqual([cut.code, /CORRUPT/.test(cut.stderr)], [1, true]);
  assert.equal((await fetch(`${worker.url}/v1/never/status`)).status, 404, "nothing was sent");
  const none = await headwater(["import", "never", join(folder, "none"), ...url]);
  assert.deepEqual([none.code, /NOT_FOUND/.test(none.stderr)], [1, true]);
  const unknown = await headwater(["export", "no-such", ...url, "--out", join(folder, "x")]);
  assert.deepEqual([unknown.code, /NOT_FOUND/.test(unknown.stderr)], [1, true]);
  assert.equal((await headwater(["export"])).code, 2);
  assert.match((await headwater(["export", "--help"])).stdout, /--out FILE/);
});

/** @param {Record<string, unknown>} value */
function sorted(value) {
  return Object.fromEntries(Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1)));
}
