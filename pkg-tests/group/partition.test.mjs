/** The network falls apart, both ways or one way: two leaders never acknowledge at `quorum`, and nothing is lost. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { owner } from "../harness/cleanup.mjs";
import { Cluster } from "../harness/cluster.mjs";
import { rounds } from "../harness/env.mjs";
import { figures } from "../harness/figures.mjs";
import { acknowledged, Load, missing, now } from "../harness/load.mjs";
import { Random } from "../harness/random.mjs";
import { Sessions } from "../harness/sessions.mjs";
import { Tenures } from "../harness/tenures.mjs";
import { pause } from "../harness/until.mjs";
import { audit, DATABASE, describe, drillRound, flowing, heldBy, summary, TIMEOUT_MS, wrongs } from "./drill-round.mjs";

const PARTITIONS = rounds(10, 1);
const KINDS = ["partition", "island", "mute", "deaf"];
/** How long the minority is watched: several time-outs. */
const WATCH_MS = 4 * TIMEOUT_MS;

for (const fault of KINDS) {
  test(`a group loses nothing through ${fault}`, async (t) => {
    const random = Random.ofRun(`partition: ${fault}`);
    const all = owner(t);
    const cluster = await Cluster.start(all, { settings: { timeoutMs: TIMEOUT_MS } });
    const load = await Load.start(all, { database: DATABASE, urls: cluster.urls, isEverywhere: true });
    const sessions = new Sessions(cluster, DATABASE, load.writers, random);
    const tenures = new Tenures(cluster, DATABASE);
    const done = [];
    for (let round = 1; round <= PARTITIONS; round += 1) {
      done.push(await drillRound({ cluster, load, fault, round, concern: "quorum", random, sessions }));
      console.log(`partition: ${round}/${PARTITIONS} ${describe(done.at(-1))}`);
    }
    assert.deepEqual(await tenures.end(), [], "epochs with two leaders");
    assert.deepEqual(done.flatMap((round) => wrongs(round, "quorum")), []);
    assert.deepEqual(await audit(cluster, load, "quorum"), []);
    assert.deepEqual(sessions.older, { "monotonic reads": 0, "read-your-writes": 0 });
    figures(`partition: ${fault}`, { ...summary(done), "epochs seen": tenures.leaders.size });
  });
}

test("a leader that is cut off acknowledges nothing at quorum, and what it took is there afterwards", async (t) => {
  const all = owner(t);
  const cluster = await Cluster.start(all, { settings: { timeoutMs: TIMEOUT_MS } });
  // One client for each member, who reaches nobody else.
  const loads = await Promise.all(
    cluster.nodes.map(({ url, name }) => Load.start(all, { database: DATABASE, urls: [url], count: 1, name })),
  );
  const doc = "sides";
  for (const load of loads) await load.begin(doc);
  for (const load of loads) await flowing(cluster, load, doc);
  const leader = await cluster.leader(DATABASE);
  const mine = loads[cluster.nodes.indexOf(leader)];
  const theirs = loads.filter((load) => load !== mine);

  cluster.isolate(leader);
  const cutMs = now();
  for (const load of theirs) await flowing(cluster, load, doc, cutMs);
  await pause(WATCH_MS);
  const since = mine.own(doc).filter(({ beganMs }) => beganMs > cutMs);
  assert.deepEqual(acknowledged(since, "quorum"), [], "begun after the cut, and acknowledged at quorum by a leader without one");
  const atLeader = acknowledged(since, "leader").length;
  const meanwhile = acknowledged(theirs.flatMap((load) => load.own(doc)), "quorum").length;
  cluster.heal();
  let open = 0;
  for (const load of loads) open += await load.end();
  assert.equal(open, 0, "receipts end on every side");
  await cluster.whole(DATABASE);
  const written = loads.flatMap((load) => load.own(doc));
  for (const node of cluster.nodes) assert.deepEqual(missing(written, await heldBy(node, doc)), [], node.name);
  figures("partition: sides", {
    "writes on the minority side": since.length,
    "of them at leader": atLeader,
    "of them at quorum": 0,
    "at quorum on the other side": meanwhile,
    "missing after it healed": 0,
  });
});
