/** What more members are for: reads on all of them, none older than its bookmark, and figures that say how far behind each is. */

import assert from "node:assert/strict";
import { availableParallelism } from "node:os";
import { test } from "node:test";

import { open } from "headwater";

import { owner } from "../harness/cleanup.mjs";
import { Cluster } from "../harness/cluster.mjs";
import { rounds } from "../harness/env.mjs";
import { figures, progress } from "../harness/figures.mjs";
import { acknowledged, Load, now, percentile } from "../harness/load.mjs";
import { Random } from "../harness/random.mjs";
import { pause, until } from "../harness/until.mjs";
import { DATABASE, flowing, TIMEOUT_MS } from "./drill-round.mjs";

const READ_MS = rounds(10_000, 2_000);
const READERS_PER_NODE = 4;
const BOOKMARKS = rounds(500, 60);
const DELAY_MS_MAX = 40;
const DELAYS_MS = [0, 100, 300];
const LAG_SAMPLES = 20;

test("each member that is added serves reads of its own", async (t) => {
  const all = owner(t);
  const cluster = await Cluster.start(all, { settings: { timeoutMs: TIMEOUT_MS } });
  const load = await Load.start(all, { database: DATABASE, urls: cluster.urls });
  await load.begin("read");
  await flowing(cluster, load, "read");
  await until(() => acknowledged(load.own("read"), "quorum").length >= 100, { what: "100 writes" });
  await load.end();
  await cluster.whole(DATABASE);
  const perSecond = {};
  for (let count = 1; count <= cluster.nodes.length; count += 1) {
    const nodes = cluster.nodes.slice(0, count);
    const untilMs = now() + READ_MS;
    let reads = 0;
    const reader = async (/** @type {import("../harness/cluster.mjs").ClusterNode} */ node) => {
      while (now() < untilMs) {
        assert.equal(Object.keys((await node.worker.json(DATABASE, "read")).writes).length >= 100, true);
        reads += 1;
      }
    };
    await Promise.all(nodes.flatMap((node) => Array.from({ length: READERS_PER_NODE }, () => reader(node))));
    perSecond[`reads/s with ${count}`] = Math.round((reads * 1_000) / READ_MS);
  }
  // With fewer processors than members they share what there is: the figures say how much that was.
  figures("scaling", { ...perSecond, processors: availableParallelism() });
});

test("a client of a follower never reads older than another device's bookmark", async (t) => {
  const random = Random.ofRun("scaling");
  const say = progress("scaling");
  const all = owner(t);
  const cluster = await Cluster.start(all, { settings: { timeoutMs: TIMEOUT_MS } });
  const first = await Load.start(all, { database: DATABASE, urls: cluster.urls, count: 1 });
  await first.begin("warm");
  await flowing(cluster, first, "warm");
  await first.end();
  await cluster.whole(DATABASE);
  const leader = await cluster.leader(DATABASE);
  const options = { storage: /** @type {const} */ ("memory") };
  const writer = await open(DATABASE, { ...options, url: leader.url, concern: "leader" });
  all.after(() => writer.close());
  const readers = await Promise.all(
    cluster.others(leader).map(async (node) => {
      const db = await open(DATABASE, { ...options, url: node.url });
      all.after(() => db.close());
      return { db, node };
    }),
  );
  const doc = await writer.doc("device");
  const older = { replica: 0, http: 0, eventual: 0 };
  for (let round = 1; round <= BOOKMARKS; round += 1) {
    for (const other of cluster.others(leader)) {
      for (const link of [leader.to.get(other.name), other.to.get(leader.name)]) {
        link.delayMs = { up: random.below(DELAY_MS_MAX), down: random.below(DELAY_MS_MAX) };
      }
    }
    const receipt = doc.transact(() => void doc.getMap("values").set("n", round));
    // Every second bookmark is taken before the leader has answered, and names the writer's own log.
    if (round % 2 === 0) await receipt.reached("leader");
    const bookmark = writer.session().bookmark();
    const { db, node } = random.pick(readers);
    const eventual = await db.session().read("device", (doc) => doc.getMap("values").get("n") ?? 0, { consistency: "eventual" });
    if (eventual.value < round) older.eventual += 1;
    const session = db.session({ from: bookmark });
    const { value } = await session.read("device", (doc) => doc.getMap("values").get("n") ?? 0);
    session.close();
    if (value < round) older.replica += 1;
    const { values } = await node.worker.json(DATABASE, "device", { bookmark });
    if (values.n < round) older.http += 1;
    say(`${round} of ${BOOKMARKS} bookmarks`);
  }
  cluster.heal();
  assert.deepEqual([older.replica, older.http], [0, 0]);
  figures("scaling: bookmarks", {
    bookmarks: BOOKMARKS,
    "older in a replica": older.replica,
    "older over HTTP": older.http,
    "older at eventual": older.eventual,
  });
});

test("lag figures tell of a delay on the way to a follower", async (t) => {
  const all = owner(t);
  const cluster = await Cluster.start(all, { settings: { timeoutMs: TIMEOUT_MS } });
  const load = await Load.start(all, { database: DATABASE, urls: cluster.urls });
  await load.begin("lag");
  await flowing(cluster, load, "lag");
  const leader = await cluster.leader(DATABASE);
  const [delayed, other] = cluster.others(leader);
  const told = {};
  for (const delayMs of DELAYS_MS) {
    leader.to.get(delayed.name).delayMs = { up: delayMs, down: 0 };
    await pause(2 * delayMs + 500);
    /** @type {Record<string, number[]>} */
    const lags = { [delayed.name]: [], [other.name]: [] };
    for (let sample = 0; sample < LAG_SAMPLES; sample += 1) {
      const { group } = await leader.status(DATABASE);
      for (const member of group.members) lags[member.name]?.push(Number(member.lagMs ?? 0));
      await pause(50);
    }
    told[`lag ms median with ${delayMs} ms on the way`] = Math.round(percentile(lags[delayed.name], 50));
    told[`of the other one, ${delayMs}`] = Math.round(percentile(lags[other.name], 50));
  }
  cluster.heal();
  await load.end();
  await cluster.whole(DATABASE);
  const { group } = await leader.status(DATABASE);
  for (const member of group.members) assert.equal(Number(member.lagEntries), 0, `${member.name} has caught up`);
  figures("scaling: lag", told);
});
