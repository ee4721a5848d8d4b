/** A database of many documents: to open it and to subscribe to one of them costs what that one holds. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { owner } from "../harness/cleanup.mjs";
import { figures, progress } from "../harness/figures.mjs";
import { Link } from "../harness/link.mjs";
import { Worker } from "../harness/worker.mjs";
import { client, compacted, EAGER } from "./eager.mjs";

const DATABASE = "many";
const DOCS = 10_000;
/** Documents that one client has open at once. */
const OPEN = 500;
const FRAMES_MAX = 8;
/** The handshake of the WebSocket is among them. */
const BYTES_MAX = 8_192;

test("10,000 documents do not make one of them dear", async (t) => {
  const all = owner(t);
  const worker = await Worker.start(all, { env: EAGER });
  const say = progress("leader-many");
  for (let from = 0; from < DOCS; from += OPEN) {
    const db = await client(all, DATABASE, worker.url);
    const docs = await Promise.all(Array.from({ length: OPEN }, (_, at) => db.doc(nameOf(from + at))));
    const receipts = docs.map((doc, at) => doc.transact(() => void doc.getMap("it").set("number", from + at)));
    await receipts.at(-1)?.reached("leader", { timeoutMs: 60_000 });
    await db.close();
    say(`${from + OPEN} documents`);
  }
  const before = await compacted(worker, DATABASE);
  assert.equal(before.lsn, DOCS);
  assert.ok(before.tables.docs.rows >= DOCS - 2 * OPEN, `${before.tables.docs.rows} documents are folded`);

  await worker.restart();
  const woken = await timed(() => worker.status(DATABASE));
  const { memoryBytes } = woken.value;
  const link = await Link.start(all, worker);
  const opened = await timed(async () => {
    const db = await client(all, DATABASE, link.url);
    const name = nameOf(4_321);
    const doc = await db.doc(name);
    await db.session().read(name, () => null, { consistency: "strong", timeoutMs: 30_000 });
    return doc.toJSON();
  });
  assert.deepEqual(opened.value, { it: { number: 4_321 } });
  const [frames, bytes] = [link.frames.down, link.bytes.down];
  assert.ok(frames <= FRAMES_MAX, `${frames} frames came for one document`);
  assert.ok(bytes <= BYTES_MAX, `${bytes} bytes came for one document`);
  const after = await worker.status(DATABASE);
  assert.ok(after.memoryBytes <= 16 * 2 ** 20, `the node takes ${after.memoryBytes} bytes of memory`);

  figures("leader-many", {
    documents: DOCS,
    "bytes on disk": before.storageBytes,
    "ms until the node answers after a start": woken.ms,
    "ms to open one": opened.ms,
    "frames for one": frames,
    "bytes for one": bytes,
    "wasm memory in bytes after the start": memoryBytes,
  });
});

/** @param {number} at */
function nameOf(at) {
  return `boards/${at}`;
}

/** @template T @param {() => Promise<T>} run */
async function timed(run) {
  const begin = performance.now();
  const value = await run();
  return { value, ms: performance.now() - begin };
}
