/** Backups as files: what is changed, cut off or newer shows, wherever it is. */

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { open } from "headwater";
import * as Y from "yjs";

import { FULL } from "../harness/env.mjs";
import { figures } from "../harness/figures.mjs";
import { Random } from "../harness/random.mjs";
import { inPieces, partsOf } from "./backups.mjs";

const random = Random.ofRun("backup-format");
const counts = { truncations: 0, "bit flips": 0, unnoticed: 0 };

after(() => figures("backup-format", counts));

/** A backup of some small documents and one of several chunks. @param {number} length */
async function backup(length) {
  const db = await open("format", { storage: "memory" });
  for (const name of ["a", "b/ü", "c"]) {
    const doc = await db.doc(name);
    doc.getMap("map").set("name", name);
    // A write has a size that it may not exceed.
    for (let left = name === "c" ? length : 3; left > 0; left -= 100_000) {
      doc.getText("text").insert(0, "words ".repeat(Math.min(left, 100_000)));
    }
  }
  const bytes = new Uint8Array(await new Response(db.export()).arrayBuffer());
  await db.close();
  return bytes;
}

/** @param {Uint8Array} bytes */
async function codeOf(bytes) {
  return partsOf(bytes).then(() => undefined, (error) => error.code);
}

test("a backup reads back, however its bytes come", async () => {
  const whole = await backup(400_000);
  for (const size of [1, 7, 1000, whole.length]) {
    if (size === 1 && !FULL) continue;
    const parts = await partsOf(inPieces(whole, size));
    assert.deepEqual(parts.map(({ kind }) => kind), ["header", "document", "document", "document", "end"]);
    const [header, , , last] = /** @type {any[]} */ (parts);
    assert.equal(header.database, "format");
    assert.ok(Date.now() - Date.parse(header.createdAt) < 60_000);
    const doc = new Y.Doc();
    Y.applyUpdate(doc, last.update);
    assert.ok(doc.getText("text").toString() === "words ".repeat(400_000), "the text is whole");
    assert.ok(last.update.length > 2 << 20, "it takes several chunks");
  }
});

test("a backup that ends early is none, wherever it ends", async () => {
  const whole = await backup(3);
  for (let length = 0; length < whole.length; length += 1) {
    const code = await codeOf(whole.subarray(0, length));
    counts.truncations += 1;
    if (code !== "CORRUPT" && !(code === "MALFORMED" && length < 9)) counts.unnoticed += 1;
  }
  assert.equal(await codeOf(new Uint8Array([...whole, 0])), "CORRUPT", "and nothing follows its end");
  assert.equal(await codeOf(whole), undefined);
  assert.equal(counts.unnoticed, 0);
});

test("a changed bit shows, wherever it is", async () => {
  const whole = await backup(3);
  const flips = FULL ? whole.length * 8 : 3000;
  for (let round = 0; round < flips; round += 1) {
    const bit = FULL ? round : random.below(whole.length * 8);
    const changed = Uint8Array.from(whole);
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    counts["bit flips"] += 1;
    if ((await codeOf(changed)) === undefined) counts.unnoticed += 1;
  }
  assert.equal(counts.unnoticed, 0);
});

test("records that change places show, and so does a version that is not known", async () => {
  const whole = await backup(3);
  const newer = Uint8Array.from(whole);
  newer[8] = 2;
  assert.equal(await codeOf(newer), "VERSION");
  assert.equal(await codeOf(new TextEncoder().encode("this is a text, and no backup")), "MALFORMED");
  assert.equal(await codeOf(new Uint8Array()), "MALFORMED");
});

test("a length that nobody wrote reserves nothing", async () => {
  const whole = await backup(3);
  const lying = Uint8Array.from(whole);
  new DataView(lying.buffer).setUint32(10, 0xffff_ffff, true);
  assert.equal(await codeOf(lying), "CORRUPT");
});

test("a document that is larger than asked for is refused before it is read", async () => {
  const whole = await backup(1000);
  const error = await partsOf(whole, { documentBytesMax: 1000 }).catch((error) => error);
  assert.equal(error.code, "TOO_LARGE");
  assert.match(error.message, /"c"/);
});
