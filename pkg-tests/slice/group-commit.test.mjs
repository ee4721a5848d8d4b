/** What writes cost the leader: rows and commits. */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { open } from "headwater";

import { owner } from "../harness/cleanup.mjs";
import { figures } from "../harness/figures.mjs";
import { live, settled } from "../harness/page.mjs";
import { Worker } from "../harness/worker.mjs";

const WRITES = 1_000;
const WRITERS = 20;
/** Far fewer than one for each write. */
const ROWS_MAX = 20;

/** @type {Record<string, string | number>} */
const found = { writes: WRITES };

after(() => figures("group-commit", found));

test("writes of one turn share rows", async (t) => {
  const all = owner(t);
  const worker = await Worker.start(all);
  const { db, doc } = await client(all, worker, "turn");
  const before = await worker.status("turn");
  for (let at = 0; at < WRITES; at += 1) doc.transact(() => doc.getMap("values").set(`${at}`, at));
  await settled(db);
  const now = await worker.status("turn");
  const [rows, entries] = [now.rowsCommitted - before.rowsCommitted, now.entriesCommitted - before.entriesCommitted];
  assert.equal(entries, WRITES);
  assert.ok(rows <= ROWS_MAX, `${WRITES} writes of one turn took ${rows} rows`);

  const alone = await worker.status("turn");
  for (let at = 0; at < 10; at += 1) {
    await doc.transact(() => doc.getMap("values").set("alone", at)).reached("leader");
  }
  const { rowsCommitted } = await worker.status("turn");
  assert.equal(rowsCommitted - alone.rowsCommitted, 10, "a write that waits for nobody has a row of its own");
  found["rows for one turn's"] = rows;
});

test("writes of several clients that arrive together share rows", async (t) => {
  const all = owner(t);
  const worker = await Worker.start(all);
  const clients = await Promise.all(Array.from({ length: WRITERS }, () => client(all, worker, "many")));
  const before = await worker.status("many");
  const perWriter = WRITES / WRITERS;
  for (let at = 0; at < perWriter; at += 1) {
    for (const { db, doc } of clients) doc.transact(() => doc.getMap("values").set(`${clients.length}-${at}`, db.name));
  }
  await Promise.all(clients.map(({ db }) => settled(db)));
  const now = await worker.status("many");
  const [rows, entries] = [now.rowsCommitted - before.rowsCommitted, now.entriesCommitted - before.entriesCommitted];
  assert.equal(entries, WRITES);
  assert.ok(rows <= WRITERS * 2, `${WRITES} writes of ${WRITERS} clients took ${rows} rows`);
  found[`rows for those of ${WRITERS} clients`] = rows;
});

/**
 * @param {import("../harness/cleanup.mjs").Owner} all
 * @param {Worker} worker
 * @param {string} database
 */
async function client(all, worker, database) {
  const db = await open(database, { url: worker.url, storage: "memory" });
  all.after(() => db.close());
  await live(db);
  return { db, doc: await db.doc("notes") };
}
