/** What is decided of files without any storage or network: names, what is missing, what is evicted. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { test } from "node:test";

import { build } from "esbuild";

import { ROOT } from "../harness/env.mjs";
import { Random } from "../harness/random.mjs";

const { evictions, missingOf, numbersIn, inParallel } = await bundled("plan.ts");
const { CHUNK_BYTES, Digests, manifestOf, checkedManifest, isChunk, parseRef, refOf } = await bundled("manifest.ts");

test("a name follows from the digests of the chunks, as docs/files.md says", async () => {
  const bytes = new Uint8Array(CHUNK_BYTES + 5).map((_, at) => at % 251);
  const chunks = [bytes.slice(0, CHUNK_BYTES), bytes.slice(CHUNK_BYTES)];
  const digests = new Digests();
  for (const chunk of chunks) await digests.add(chunk);
  const manifest = await manifestOf(bytes.length, digests.hashes);
  const size = Buffer.alloc(8);
  size.writeBigUInt64BE(BigInt(bytes.length));
  const sha = (/** @type {Uint8Array[]} */ ...parts) => parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();
  const expected = sha(Buffer.from("headwater-file/1\n"), size, ...chunks.map((chunk) => sha(chunk)));
  assert.equal(manifest.id, expected.toString("hex"));
  // Written down: it must never change.
  assert.equal(refOf(await manifestOf(0, new Uint8Array())), `hw-file:${sha(Buffer.from("headwater-file/1\n"), Buffer.alloc(8)).toString("hex")}/0`);
  assert.deepEqual(parseRef(refOf(manifest)), { id: manifest.id, size: bytes.length });
  assert.ok(await isChunk(manifest, 1, chunks[1]));
  assert.ok(!(await isChunk(manifest, 0, chunks[1])));
  await assert.rejects(checkedManifest({ id: manifest.id, size: bytes.length - 1 }, manifest.hashes), { code: "CORRUPT" });
  await assert.rejects(checkedManifest(manifest, manifest.hashes.slice(32)), { code: "CORRUPT" });
});

test("what is missing and what is held make the whole", () => {
  const random = Random.ofRun("files-plan");
  for (let round = 0; round < 500; round += 1) {
    const count = Math.floor(random.below(40));
    const held = Array.from({ length: count }, (_, n) => n).filter(() => random.below(2) < 1);
    const missing = [...numbersIn(missingOf(held, count))];
    assert.deepEqual([...held, ...missing].sort((left, right) => left - right), Array.from({ length: count }, (_, n) => n));
  }
});

test("eviction lets go of as little as it takes, the longest unused first, and of nothing that is not safe", () => {
  const copy = (key, heldBytes, usedAtMs, isSafe = true) => ({ key, heldBytes, usedAtMs, isSafe });
  const copies = [copy("new", 10, 30), copy("old", 10, 10), copy("unsent", 50, 1, false), copy("middle", 10, 20)];
  const none = new Set();
  assert.deepEqual(evictions(copies, 20, 100, none), []);
  assert.deepEqual(evictions(copies, 21, 100, none), ["old"]);
  assert.deepEqual(evictions(copies, 31, 100, none), ["old", "middle"]);
  assert.deepEqual(evictions(copies, 50, 100, none), ["old", "middle", "new"]);
  assert.equal(evictions(copies, 51, 100, none), undefined, "the unsent one stays, whatever is asked for");
  assert.deepEqual(evictions(copies, 21, 100, new Set(["old"])), ["middle"], "what is in use stays");
});

test("a failure ends what runs side by side, after what is under way", async () => {
  const done = [];
  const work = async (n) => {
    await null;
    if (n === 3) throw new Error("three");
    done.push(n);
  };
  await assert.rejects(inParallel([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], 4, work), /three/);
  assert.ok(done.length < 8, `${done} were done`);
});

/** @param {string} name */
async function bundled(name) {
  const entry = join(ROOT, "pkg/src/files", name);
  const { outputFiles } = await build({ entryPoints: [entry], bundle: true, write: false, format: "esm", platform: "neutral" });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);
}
