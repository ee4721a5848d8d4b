/** Two replicas set the same keys while both are offline: each is told exactly what lost, once, and can settle it. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { open, SharedMap } from "headwater";

import { owner } from "../harness/cleanup.mjs";
import { figures } from "../harness/figures.mjs";
import { until } from "../harness/until.mjs";
import { Worker } from "../harness/worker.mjs";

const all = owner();
const ROUNDS = 5;
const KEYS = 8;
/** @type {Worker} */
let worker;
const counted = { "concurrent overwrites": 0, "told on both sides": 0, "told besides": 0, "settled by a listener": 0 };

before(async () => {
  worker = await Worker.start(all);
});

after(() => figures("conflicts", counted));

test("both replicas are told exactly the concurrent overwrites, once", async () => {
  const [a, b] = await replicas("exact");
  for (let round = 0; round < ROUNDS; round += 1) {
    a.db.disconnect();
    b.db.disconnect();
    await until(() => [a, b].every(({ db }) => db.status.phase === "offline"), { what: "both are offline" });
    /** @type {Map<string, [unknown, unknown]>} */
    const expected = new Map();
    for (let key = 0; key < KEYS; key += 1) {
      // A key in four is set on one side only, and one in four twice on one side: its last value counts.
      const name = `key ${key}`;
      const [ofA, ofB] = [`a ${round} ${key}`, `b ${round} ${key}`];
      if (key % 4 === 0) {
        a.map.set(name, ofA);
        continue;
      }
      if (key % 4 === 1) a.map.set(name, "set again at once");
      a.map.set(name, ofA);
      b.map.set(name, ofB);
      expected.set(name, [ofA, ofB]);
    }
    if (round > 0) {
      a.nested().set("inner", { by: "a", round });
      b.nested().set("inner", { by: "b", round });
      expected.set("inner", [{ by: "a", round }, { by: "b", round }]);
    } else {
      a.map.delete("deleted on one side");
      b.map.set("deleted on one side", 2);
    }
    a.db.connect();
    b.db.connect();
    await settled([a, b]);
    assert.deepEqual(a.map.toJSON(), b.map.toJSON());
    counted["concurrent overwrites"] += expected.size;
    for (const side of [a, b]) {
      const told = side.told.splice(0);
      assert.deepEqual(told.map(({ key }) => key).sort(), [...expected.keys()].sort());
      for (const { doc, path, key, winner, loser } of told) {
        assert.equal(doc, "board");
        assert.deepEqual(path, key === "inner" ? ["cards", "nested"] : ["cards"]);
        const shown = key === "inner" ? side.nested().get(key) : side.map.get(key);
        const lost = expected.get(key)?.find((value) => JSON.stringify(value) !== JSON.stringify(shown));
        assert.deepEqual([winner.kind, winner.value], ["plain", shown]);
        assert.deepEqual([loser.kind, loser.value], ["plain", lost]);
        for (const { value, origin } of [winner, loser]) {
          const by = /** @type {any} */ (value).by ?? String(value)[0];
          assert.equal(origin, side.origins[by]);
        }
        assert.notEqual(winner.client, loser.client);
      }
    }
    counted["told on both sides"] += expected.size;
    // One after the other, each knowing the other's: no conflict.
    for (const [at, to] of /** @type {const} */ ([[a, b], [b, a]])) {
      for (let key = 0; key < KEYS; key += 1) at.map.set(`key ${key}`, `${round} ${at.name}`);
      await settled([a, b]);
      assert.deepEqual(to.map.toJSON(), at.map.toJSON());
    }
    for (const side of [a, b]) assert.deepEqual(side.told, []);
  }
  for (const { db } of [a, b]) await db.close();
});

test("a listener that settles a conflict by writing converges, and nobody is told again", async () => {
  const [a, b] = await replicas("settle");
  a.doc.on("conflict", ({ key, winner, loser }) => {
    a.map.set(key, [winner.value, loser.value].sort().join(" and "));
    counted["settled by a listener"] += 1;
  });
  a.db.disconnect();
  b.db.disconnect();
  a.map.set("title", "of a");
  b.map.set("title", "of b");
  a.db.connect();
  b.db.connect();
  await until(() => [a, b].every(({ map }) => map.get("title") === "of a and of b"), { what: "the settled value shows" });
  await settled([a, b]);
  for (const { map, told } of [a, b]) {
    assert.equal(map.get("title"), "of a and of b");
    // The other side may see the settled value together with what lost.
    assert.equal(told.length, 1);
  }
  assert.equal(counted["settled by a listener"], 1);
  for (const { db } of [a, b]) await db.close();
});

test("what was told before is not told again after a reload of the document", async () => {
  const [a, b] = await replicas("reopened");
  a.db.disconnect();
  b.db.disconnect();
  a.map.set("title", "of a");
  b.map.set("title", "of b");
  a.db.connect();
  b.db.connect();
  await settled([a, b]);
  assert.deepEqual([a, b].map(({ told }) => told.splice(0).length), [1, 1]);
  a.doc.close();
  const doc = await a.db.doc("board");
  await a.db.session().read("board", () => undefined, { consistency: "strong" });
  b.map.set("other", 1);
  await until(() => doc.getMap("cards").get("other") === 1, { what: "the reopened document is up to date" });
  assert.deepEqual([a.told, b.told], [[], []]);
  for (const { db } of [a, b]) await db.close();
});

/** Two replicas of one database that listen, with the same board. @param {string} database */
async function replicas(database) {
  const [a, b] = [await replica(database, "a"), await replica(database, "b")];
  a.map.set("deleted on one side", 1);
  a.makeNested();
  await settled([a, b]);
  for (const side of [a, b]) {
    for (const other of [a, b]) side.origins[other.name] = other.origin;
  }
  assert.deepEqual([a.told, b.told], [[], []]);
  return [a, b];
}

/** @param {string} database @param {"a" | "b"} name */
async function replica(database, name) {
  const db = await open(database, { url: worker.url, storage: "memory" });
  const doc = await db.doc("board");
  /** @type {import("headwater").Conflict[]} */
  const told = [];
  db.on("conflict", (conflict) => void told.push(conflict));
  const map = doc.getMap("cards");
  const receipt = doc.transact(() => doc.getMap("openings").set(name, true));
  await receipt.reached("leader");
  const nested = () => /** @type {import("headwater").SharedMap} */ (map.get("nested"));
  const makeNested = () => map.set("nested", new SharedMap());
  /** @type {Record<string, string>} */
  const origins = {};
  return { name, db, doc, map, told, nested, makeNested, origins, origin: String(receipt.id?.split(":")[0]) };
}

/** Everything that either has written is in both. @param {Awaited<ReturnType<typeof replica>>[]} sides */
async function settled(sides) {
  for (const { db } of sides) {
    await until(() => db.status.phase === "live" && db.pending.count === 0, { what: "all writes are at the leader" });
  }
  for (const { db } of sides) await db.session().read("board", () => undefined, { consistency: "strong" });
}
