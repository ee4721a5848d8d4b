/** Three leaders, cut apart, take different values for the same keys: every client is told each value that lost, once. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { open } from "headwater";

import { owner } from "../harness/cleanup.mjs";
import { Cluster } from "../harness/cluster.mjs";
import { rounds } from "../harness/env.mjs";
import { figures } from "../harness/figures.mjs";
import { Random } from "../harness/random.mjs";
import { until } from "../harness/until.mjs";
import { allLead, DATABASE } from "./leaders.mjs";

const ROUNDS = rounds(10, 3);
const KEYS = 12;

test("overwrites on sides that are cut apart are told exactly", async (t) => {
  const random = Random.ofRun("multi-leader-conflicts");
  const all = owner(t);
  const cluster = await Cluster.start(all, { topology: "multi-leader", settings: { timeoutMs: 1_500 } });
  const clients = await Promise.all(
    cluster.nodes.map(async ({ url, name }) => {
      const db = await open(DATABASE, { url, name, storage: "memory" });
      all.after(() => db.close());
      const doc = await db.doc("conflicts");
      /** @type {import("headwater").Conflict[]} */
      const told = [];
      db.on("conflict", (conflict) => told.push(conflict));
      return { name, db, doc, map: doc.getMap("m"), told };
    }),
  );
  // Nobody begins to lead without clients.
  await allLead(cluster);
  const counted = { rounds: ROUNDS, "values that lost": 0, "told by all": 0, "overwritten one after the other": 0 };

  for (let round = 0; round < ROUNDS; round += 1) {
    for (const node of cluster.nodes) cluster.isolate(node);
    /** @type {Map<string, Map<string, string>>} Who sets what, by key. */
    const set = new Map();
    for (let place = 0; place < KEYS; place += 1) {
      const key = `key ${place}`;
      const writers = clients.filter(() => random.below(10) < 6);
      set.set(key, new Map(writers.map(({ name }) => [name, `${name} ${round} ${place}`])));
      for (const { name, map } of writers) map.set(key, `${name} ${round} ${place}`);
    }
    const receipts = clients.map(({ name, doc, map }) => doc.transact(() => map.set(`${name} ${round}`, 1)));
    const origins = new Map(clients.map(({ name }, place) => [name, receipts[place]?.id?.split(":")[0]]));
    // Each side takes them by itself.
    for (const receipt of receipts) await receipt.reached("leader", { timeoutMs: 20_000 });
    cluster.heal();
    const shown = () => clients.map(({ map }) => JSON.stringify(Object.entries(map.toJSON()).sort()));
    await until(() => new Set(shown()).size === 1 && clients.every(({ db }) => db.pending.count === 0), {
      what: "all show the same",
      timeoutMs: 60_000,
    });
    /** @type {string[]} */
    const lost = [];
    for (const [key, values] of set) {
      lost.push(...[...values.values()].filter((value) => value !== clients[0]?.map.get(key)));
    }
    for (const client of clients) {
      const told = client.told.splice(0);
      assert.deepEqual(told.map(({ loser }) => loser.value).sort(), [...lost].sort(), `what lost, as ${client.name} is told`);
      for (const { loser } of told) {
        assert.equal(loser.origin, origins.get(String(loser.value).split(" ")[0] ?? ""));
      }
    }
    counted["values that lost"] += lost.length;
    counted["told by all"] += lost.length;
    // One after the other, each knowing what was there: nobody is told of it.
    for (const writer of clients) {
      const value = `${writer.name} after ${round}`;
      writer.map.set("key 0", value);
      await until(() => clients.every(({ map }) => map.get("key 0") === value), { what: "it is everywhere" });
      counted["overwritten one after the other"] += 1;
    }
    for (const { told } of clients) assert.deepEqual(told, []);
  }
  assert.ok(counted["values that lost"] > ROUNDS);
  figures("multi-leader: conflicts", counted);
});
