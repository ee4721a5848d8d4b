/** A large document on its way to a client: cut in the middle it goes on there, and compaction goes on after a restart. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { owner } from "../harness/cleanup.mjs";
import { figures } from "../harness/figures.mjs";
import { Link } from "../harness/link.mjs";
import { Random } from "../harness/random.mjs";
import { editingTrace } from "../harness/trace.mjs";
import { until } from "../harness/until.mjs";
import { Worker } from "../harness/worker.mjs";
import { client, compacted, EAGER, type } from "./eager.mjs";

const DATABASE = "large";
const MIB = 2 ** 20;
const VALUE_BYTES = 64 * 1024;

/** @typedef {{ doc: string, received: number, total: number }} Told */

test("a client that is cut off in the middle of a snapshot goes on in the middle", async (t) => {
  const all = owner(t);
  const random = Random.ofRun("leader-resume");
  const worker = await Worker.start(all, { env: { ...EAGER, HEADWATER_MERGE_BYTES: String(16 * MIB) } });
  const db = await client(all, DATABASE, worker.url);
  const doc = await db.doc("large");
  // Who lacks no more entries than stay in the log is sent those.
  for (let at = 0; at < 100; at += 1) doc.getMap("small").set(String(at), at);
  for (let at = 0; at < 64; at += 1) {
    const text = Buffer.from(random.bytes(VALUE_BYTES / 2)).toString("hex");
    await doc.transact(() => void doc.getMap("parts").set(String(at), text)).reached("leader");
  }
  const { tables } = await compacted(worker, DATABASE);
  assert.ok(tables.contents.bytes >= 3 * MIB, `the document takes ${tables.contents.bytes} bytes`);
  const bookmark = db.session().bookmark();

  // In one go, to compare. What travels is compressed.
  const whole = await Link.start(all, worker);
  const patient = await client(all, DATABASE, whole.url);
  /** @type {Told[]} */
  const toldPatient = [];
  patient.on("progress", (event) => toldPatient.push(event));
  await patient.doc("large");
  await patient.session({ from: bookmark }).read("large", () => null, { timeoutMs: 60_000 });
  const total = toldPatient[0]?.total ?? 0;
  assert.ok(total >= 2 * MIB, `a snapshot of ${total} bytes`);
  assert.deepEqual(toldPatient.at(-1), { doc: "large", received: total, total });

  const link = await Link.start(all, worker);
  // Slow enough to be cut before all of it is on its way.
  link.delayMs.up = 20;
  const fresh = await client(all, DATABASE, link.url);
  /** @type {Told[]} */
  const told = [];
  let firstBytes = 0;
  fresh.on("progress", (event) => {
    told.push(event);
    if (firstBytes > 0 || event.received < total / 2) return;
    firstBytes = link.bytes.down;
    link.cut();
  });
  const copy = await fresh.doc("large");
  await fresh.session({ from: bookmark }).read("large", () => null, { timeoutMs: 60_000 });
  assert.deepEqual(copy.toJSON(), doc.toJSON());
  assert.ok(link.connections >= 2, "it was cut");
  const received = told.map(({ received }) => received);
  assert.deepEqual(received, toldPatient.map(({ received }) => received), "each piece came once");
  const secondBytes = link.bytes.down - firstBytes;
  assert.ok(secondBytes < whole.bytes.down * 0.8, `${secondBytes} bytes after the cut, ${whole.bytes.down} without one`);

  figures("leader-resume", {
    "snapshot in bytes": total,
    pieces: received.length,
    "pieces that came twice": 0,
    "bytes without a cut": whole.bytes.down,
    "bytes before the cut": firstBytes,
    "bytes after the cut": secondBytes,
  });
});

test("compaction that a restart interrupts goes on by itself, without a client", async (t) => {
  const all = owner(t);
  // What is to be done is gathered by a node that compacts seldom, and done by one that compacts soon.
  const seldom = { HEADWATER_FOLD_ROWS: "4096", HEADWATER_FOLD_BYTES: String(MIB / 2) };
  const worker = await Worker.start(all, { env: seldom });
  const db = await client(all, DATABASE, worker.url);
  const doc = await db.doc("notes");
  await type(doc, editingTrace().edits.slice(0, 6_000));
  const content = doc.toJSON();
  await db.close();
  const before = await worker.status(DATABASE);
  assert.equal(before.compacted.unfoldedEntries, 6_000);
  await worker.kill();

  const eager = worker.withEnvironment({ ...EAGER, HEADWATER_FOLD_BYTES: "4096" });
  all.after(() => eager.kill());
  let restarts = 0;
  /** @type {any} */
  let status;
  do {
    await eager.start();
    status = await until(
      async () => {
        const now = await eager.status(DATABASE);
        return now.compacted.folds >= 6 || now.compacted.unfoldedEntries < 500 ? now : undefined;
      },
      { what: "the node that nobody uses compacts", everyMs: 1 },
    );
    assert.equal(status.connections, 0);
    restarts += 1;
    await eager.kill();
  } while (status.compacted.unfoldedEntries >= 500);
  assert.ok(restarts >= 2, "it was interrupted");
  await eager.start();
  const { compacted: figuresOf } = await compacted(eager, DATABASE);
  assert.equal(figuresOf.givenUp, 0);
  assert.deepEqual(await eager.json(DATABASE, "notes"), content);
  figures("leader-restart", { restarts, "entries that are not folded": figuresOf.unfoldedEntries, lost: 0 });
});
