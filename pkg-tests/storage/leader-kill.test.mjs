/**
 * workerd dies while it compacts under load and while it sends a large snapshot: nothing that was acknowledged is missing
 * afterwards, and no row is left that nobody names.
 */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Writer } from "../../pkg/dist/load.js";
import { owner } from "../harness/cleanup.mjs";
import { rounds } from "../harness/env.mjs";
import { figures, progress } from "../harness/figures.mjs";
import { Random } from "../harness/random.mjs";
import { pause, until } from "../harness/until.mjs";
import { Worker } from "../harness/worker.mjs";
import { client, compacted, EAGER } from "./eager.mjs";
import { orphans } from "./rows.mjs";

const DATABASE = "kill";
const ROUNDS = rounds(30, 6);
const DOCS = ["one", "two", "three"];
const LOAD_MS = { min: 300, max: 1_500 };
const LARGE_PARTS = 40;
const PART_BYTES = 64 * 1024;
const END_MS_MAX = 120_000;
const MIB = 2 ** 20;

test("a leader that is killed while it compacts and sends snapshots loses nothing and leaves nothing behind", async (t) => {
  const random = Random.ofRun("leader-kill");
  const all = owner(t);
  const worker = await Worker.start(all, { env: { ...EAGER, HEADWATER_MERGE_BYTES: String(16 * MIB) } });
  const say = progress("leader-kill");
  const writers = await Promise.all(
    DOCS.map(async (name) => new Writer(await client(all, DATABASE, worker.url), name)),
  );
  const large = await client(all, DATABASE, worker.url);
  const largeDoc = await large.doc("large");
  for (let at = 0; at < LARGE_PARTS; at += 1) {
    const text = Buffer.from(random.bytes(PART_BYTES / 2)).toString("hex");
    await largeDoc.transact(() => void largeDoc.getMap("parts").set(String(at), text)).reached("leader");
  }
  const bookmark = large.session().bookmark();

  let [checked, stepsBefore, killedSending, lost] = [0, 0, 0, 0];
  for (let round = 0; round < ROUNDS; round += 1) {
    const isSending = round % 2 === 1;
    for (const [at, name] of DOCS.entries()) await writers[at]?.begin(name, 2);
    await until(() => writers.every(({ db }) => db.status.phase === "live"), { what: "the writers are back" });
    await pause(random.between(LOAD_MS.min, LOAD_MS.max));
    /** @type {Promise<unknown>} */
    let arrived = Promise.resolve();
    const before = await worker.status(DATABASE);
    let isOnItsWay = false;
    if (isSending) {
      const fresh = await client(all, DATABASE, worker.url);
      const begun = new Promise((resolve) => {
        const off = fresh.on("progress", (event) => {
          isOnItsWay = event.received < event.total;
          if (isOnItsWay) resolve(undefined);
          else off();
        });
      });
      const copy = await fresh.doc("large");
      arrived = fresh
        .session({ from: bookmark })
        .read("large", () => null, { timeoutMs: END_MS_MAX })
        .then(() => {
          assert.deepEqual(copy.toJSON(), largeDoc.toJSON(), "the snapshot that was cut arrives whole");
          return fresh.close();
        });
      await Promise.race([begun, arrived]);
      await pause(random.below(4));
    } else {
      await pause(random.below(200));
    }
    killedSending += isOnItsWay ? 1 : 0;
    const acknowledged = writers.flatMap(({ writes }) => writes.filter((write) => write.leaderMs !== null));
    await worker.kill();
    await worker.start();
    const held = Object.fromEntries(await Promise.all(DOCS.map(async (name) => [name, await worker.json(DATABASE, name)])));
    const missing = acknowledged.filter(({ doc, key }) => held[doc].writes?.[key] === undefined);
    lost += missing.length;
    assert.deepEqual(missing.map(({ key }) => key), [], "acknowledged and missing");
    const after = await worker.status(DATABASE);
    assert.equal(after.failure, null);
    checked += acknowledged.length;
    stepsBefore += before.compacted.folds + before.compacted.squashes;
    await arrived;
    say(`${round + 1} of ${ROUNDS} kills, ${acknowledged.length} writes acknowledged`);
  }

  for (const writer of writers) writer.pause();
  const open = await Promise.all(writers.map((writer) => writer.settled(END_MS_MAX)));
  assert.deepEqual(open, DOCS.map(() => 0), "receipts that did not end");
  const status = await compacted(worker, DATABASE);
  assert.equal(status.compacted.givenUp, 0);
  for (const [at, name] of DOCS.entries()) {
    const held = await worker.json(DATABASE, name);
    const written = writers[at]?.writes ?? [];
    assert.deepEqual(Object.keys(held.writes).sort(), written.map(({ key }) => key).sort(), "all is held, and once");
  }
  assert.deepEqual(await worker.json(DATABASE, "large"), largeDoc.toJSON());
  assert.ok(stepsBefore >= 5 * ROUNDS, "compaction was under way when it was killed");
  assert.ok(killedSending > 0, "no snapshot was under way when it was killed");
  await worker.kill();
  const rows = await orphans(worker.storage, DATABASE);
  assert.deepEqual([rows.orphans, rows.missing], [[], []], "rows that no plan names, and rows that are missing");
  assert.ok(rows.contents > 0);

  figures("leader-kill", {
    kills: ROUNDS,
    "with a part of a snapshot sent": killedSending,
    "steps of compaction before a kill": Math.round(stepsBefore / ROUNDS),
    "times that an acknowledged write was looked for": checked,
    lost,
    "rows of contents": rows.contents,
    "orphan rows": rows.orphans.length,
    "missing rows": rows.missing.length,
  });
});
