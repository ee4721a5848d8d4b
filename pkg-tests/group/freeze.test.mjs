/** The leader is suspended and goes on later: it acknowledges nothing as the leader that it was, and hands in its tail. */

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
import { audit, DATABASE, describe, drillRound, flowing, heldBy, summary, TIMEOUT_MS, wrongs } from "./drill-round.mjs";

const FREEZES = rounds(20, 2);
const STRONG_READS = 20;
const WRITES = 50;

test("a group loses nothing while its leader is frozen, nor when it wakes", async (t) => {
  const random = Random.ofRun("freeze");
  const all = owner(t);
  const cluster = await Cluster.start(all, { settings: { timeoutMs: TIMEOUT_MS } });
  const load = await Load.start(all, { database: DATABASE, urls: cluster.urls, isEverywhere: true });
  const sessions = new Sessions(cluster, DATABASE, load.writers, random);
  const tenures = new Tenures(cluster, DATABASE);
  const done = [];
  for (let round = 1; round <= FREEZES; round += 1) {
    done.push(await drillRound({ cluster, load, fault: "freeze", round, concern: "quorum", random, sessions }));
    console.log(`freeze: ${round}/${FREEZES} ${describe(done.at(-1))}`);
  }
  assert.deepEqual(await tenures.end(), [], "epochs with two leaders");
  assert.deepEqual(done.flatMap((round) => wrongs(round, "quorum")), []);
  assert.deepEqual(await audit(cluster, load, "quorum"), []);
  assert.deepEqual(sessions.older, { "monotonic reads": 0, "read-your-writes": 0 });
  figures("freeze", summary(done));
  figures("freeze sessions", sessions.figures);
});

test("a leader that wakes acknowledges nothing in its old epoch, and answers no strong read with what it held", async (t) => {
  const all = owner(t);
  const cluster = await Cluster.start(all, { settings: { timeoutMs: TIMEOUT_MS } });
  const load = await Load.start(all, { database: DATABASE, urls: cluster.urls });
  await load.begin("before");
  await flowing(cluster, load, "before");
  const leader = await cluster.leader(DATABASE);
  const epoch = Number((await leader.status(DATABASE)).epoch);
  const pinned = await Load.start(all, { database: DATABASE, urls: [leader.url], count: 1, concern: "leader", name: "pinned" });
  const [writer] = pinned.writers;
  const doc = await writer.db.doc("pinned");
  await writer.begin("before", 20);
  await flowing(cluster, pinned, "before");
  await pinned.end();

  await leader.worker.freeze();
  // They lie in its buffers when it wakes.
  const frozen = Array.from({ length: WRITES }, () => writer.write(doc, "pinned"));
  const frozenMs = now();
  await flowing(cluster, load, "before", frozenMs);
  await load.end();
  const told = acknowledged(load.own("before"), "quorum");
  // Asked in its sleep, too: whatever it answers first, it answers as whom it takes itself for.
  const reads = Array.from({ length: STRONG_READS }, () =>
    leader.worker.read(DATABASE, "before", { query: "?consistency=strong&timeout=10000" }).then(async (response) => ({
      status: response.status,
      body: await response.json(),
    })),
  );
  leader.worker.thaw();
  let [answered, older] = [0, 0];
  for (const { status, body } of await Promise.all(reads)) {
    if (status !== 200) continue;
    answered += 1;
    if (missing(told, body.writes ?? {}).length > 0) older += 1;
  }
  assert.equal(older, 0, "strong reads that do not show what the next leader had acknowledged");
  assert.equal(await pinned.end(), 0, "its client's receipts end");
  const stale = frozen.filter(({ quorumEpoch }) => quorumEpoch !== null && quorumEpoch <= epoch);
  assert.deepEqual(stale, [], "acknowledged at quorum in the old epoch");
  await cluster.whole(DATABASE);
  for (const node of cluster.nodes) assert.deepEqual(missing(frozen, await heldBy(node, "pinned")), [], node.name);
  const status = await (await cluster.leader(DATABASE)).status(DATABASE);
  figures("freeze: awake", {
    "writes into its sleep": frozen.length,
    "acknowledged in the old epoch": stale.length,
    "strong reads answered": answered,
    "of them older": older,
    "entries merged": Number(status.group?.mergedEntries ?? 0),
    "missing at the end": 0,
  });
});
