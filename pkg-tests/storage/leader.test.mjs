/** Many small updates to one document: what the leader keeps of them does not grow with their number. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { owner } from "../harness/cleanup.mjs";
import { rounds } from "../harness/env.mjs";
import { figures, progress } from "../harness/figures.mjs";
import { editingTrace } from "../harness/trace.mjs";
import { until } from "../harness/until.mjs";
import { Worker } from "../harness/worker.mjs";
import { client, compacted, EAGER, type } from "./eager.mjs";
import { orphans } from "./rows.mjs";

const DATABASE = "small-updates";
const PARTS = 6;

test("the log and what is kept of a document stay small under tens of thousands of updates", async (t) => {
  const all = owner(t);
  const worker = await Worker.start(all, { env: EAGER });
  const { edits } = editingTrace();
  const part = Math.floor(rounds(edits.length, 30_000) / PARTS);
  const db = await client(all, DATABASE, worker.url);
  const doc = await db.doc("notes");
  const say = progress("leader");

  let [rowsMax, logBytesMax, memoryMax] = [0, 0, 0];
  /** @type {number[]} */
  const kept = [];
  /** @type {number[]} */
  const least = [];
  for (let at = 0; at < PARTS; at += 1) {
    await type(doc, edits.slice(at * part, (at + 1) * part));
    const during = await worker.status(DATABASE);
    const status = await compacted(worker, DATABASE);
    rowsMax = Math.max(rowsMax, during.tables.log.rows, status.tables.log.rows);
    logBytesMax = Math.max(logBytesMax, during.tables.log.bytes, status.tables.log.bytes);
    memoryMax = Math.max(memoryMax, status.memoryBytes);
    kept.push(status.tables.contents.bytes + status.tables.docs.bytes);
    least.push((await worker.update(DATABASE, "notes")).length);
    say(`${status.lsn} updates: ${status.tables.log.rows} log rows, ${kept.at(-1)} bytes, ${JSON.stringify(status.compacted)}`);
  }

  const status = await compacted(worker, DATABASE);
  const updates = part * PARTS;
  assert.equal(status.lsn, updates, "each update is in the log once");
  assert.equal(status.failure, null);
  const [[epoch, folded]] = /** @type {[string, number][]} */ (Object.entries(status.compacted.folded));
  const trimmed = status.compacted.trimmed[epoch] ?? 0;
  assert.equal(status.compacted.unfoldedEntries, updates - folded, "what is not folded is what is after `folded`");
  assert.ok(trimmed > 0 && trimmed <= folded, `the log is trimmed up to ${trimmed}, and folded up to ${folded}`);
  assert.ok(status.compacted.folds > 0 && status.compacted.squashes > 0, JSON.stringify(status.compacted));
  assert.equal(status.compacted.givenUp, 0);
  // A checkpoint of the origins is due every 256 rows, and what is after it stays for the next start.
  assert.ok(rowsMax <= 512, `${rowsMax} rows in the log`);
  for (const [at, bytes] of kept.entries()) {
    const content = least[at] ?? 0;
    assert.ok(bytes <= 2 * content + 65_536, `${bytes} bytes are kept of a document that takes ${content}`);
  }

  const before = await worker.json(DATABASE, "notes");
  assert.deepEqual(before, doc.toJSON(), "the leader holds what was written");
  const fresh = await client(all, DATABASE, worker.url);
  const copy = await fresh.doc("notes");
  await fresh.session({ from: db.session().bookmark() }).read("notes", () => null, { timeoutMs: 60_000 });
  assert.deepEqual(copy.toJSON(), before, "a fresh client holds what the leader holds");

  const perUpdate = kept.map((bytes, at) => (bytes - (kept[at - 1] ?? 0)) / part);
  await worker.stop();
  const rows = await orphans(worker.storage, DATABASE);
  assert.deepEqual([rows.orphans, rows.missing], [[], []], "rows that no plan names, and rows that are missing");
  await worker.start();
  assert.deepEqual(await worker.json(DATABASE, "notes"), before, "and so it does after a restart");

  figures("leader", {
    updates,
    "log rows at most, of 12 looks": rowsMax,
    "log bytes at most, of those": logBytesMax,
    "bytes of the document": least.at(-1) ?? 0,
    "kept of it": kept.at(-1) ?? 0,
    "kept per update, part by part": perUpdate.map((bytes) => bytes.toFixed(1)).join(" "),
    "bytes on disk": status.storageBytes,
    folds: status.compacted.folds,
    squashes: status.compacted.squashes,
    "wasm memory in bytes": memoryMax,
    "orphan rows": rows.orphans.length,
  });
});

test("a variable that cannot be meant is refused, and the log names it", async (t) => {
  const all = owner(t);
  /** @type {string[]} */
  const said = [];
  t.mock.method(console, "log", (/** @type {string} */ line) => void said.push(line));
  const odd = { HEADWATER_FOLD_ROWS: "0", HEADWATER_HISTORY_MS: "a day", HEADWATER_LOG_ENTRIES_MAX: "10" };
  for (const [variable, value] of Object.entries(odd)) {
    const worker = await Worker.start(all, { env: { [variable]: value } });
    assert.equal((await fetch(`${worker.url}/v1/some/docs/notes`)).status, 500);
    await until(() => said.some((line) => line.includes(variable)), { what: `the log names ${variable}` });
    await worker.kill();
  }
});
