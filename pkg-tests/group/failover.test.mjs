/** The leader is killed under load from browsers and Node.js clients, again and again: no acknowledged write is lost. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Browser } from "../harness/browser.mjs";
import { owner } from "../harness/cleanup.mjs";
import { Cluster } from "../harness/cluster.mjs";
import { rounds } from "../harness/env.mjs";
import { figures } from "../harness/figures.mjs";
import { acknowledged, Load, missing, now } from "../harness/load.mjs";
import { Random } from "../harness/random.mjs";
import { Sessions } from "../harness/sessions.mjs";
import { Site } from "../harness/site.mjs";
import { Tenures } from "../harness/tenures.mjs";
import { until } from "../harness/until.mjs";
import { audit, DATABASE, describe, drillRound, flowing, heldBy, summary, TIMEOUT_MS, wrongs } from "./drill-round.mjs";

const KILLS = rounds(50, 3);
const KILLS_AT_LEADER = rounds(20, 2);
const PAGES = 2;

test("a group loses no write that a quorum held, however often its leader is killed", async (t) => {
  const random = Random.ofRun("failover");
  const all = owner(t);
  const cluster = await Cluster.start(all, { settings: { timeoutMs: TIMEOUT_MS } });
  const load = await Load.start(all, { database: DATABASE, urls: cluster.urls, isEverywhere: true });
  const [site, browser] = [await Site.start(all), await Browser.start(all)];
  for (let at = 0; at < PAGES; at += 1) {
    await load.join(await browser.visit(site.url), { database: DATABASE, urls: cluster.urls, concern: "quorum" });
  }
  const sessions = new Sessions(cluster, DATABASE, load.writers, random);
  const tenures = new Tenures(cluster, DATABASE);
  const done = [];
  for (let round = 1; round <= KILLS; round += 1) {
    done.push(await drillRound({ cluster, load, fault: "kill", round, concern: "quorum", random, sessions }));
    console.log(`failover: ${round}/${KILLS} ${describe(done.at(-1))}`);
  }
  assert.deepEqual(await tenures.end(), [], "epochs with two leaders");
  assert.deepEqual(done.flatMap((round) => wrongs(round, "quorum")), []);
  assert.deepEqual(await audit(cluster, load, "quorum"), []);
  assert.deepEqual(sessions.older, { "monotonic reads": 0, "read-your-writes": 0 });
  figures("failover at quorum", summary(done));
  figures("failover sessions", { ...sessions.figures, "epochs with one leader": tenures.leaders.size });
});

test("at leader nothing is lost once the old disk and the writing clients are back", async (t) => {
  const random = Random.ofRun("failover at leader");
  const all = owner(t);
  const cluster = await Cluster.start(all, { settings: { timeoutMs: TIMEOUT_MS } });
  const load = await Load.start(all, { database: DATABASE, urls: cluster.urls, concern: "leader", isEverywhere: true });
  const done = [];
  for (let round = 1; round <= KILLS_AT_LEADER; round += 1) {
    done.push(await drillRound({ cluster, load, fault: "kill", round, concern: "leader", random }));
    console.log(`failover at leader: ${round}/${KILLS_AT_LEADER} ${describe(done.at(-1))}`);
  }
  assert.deepEqual(done.flatMap((round) => wrongs(round, "leader")), []);
  assert.deepEqual(await audit(cluster, load, "leader"), []);
  figures("failover at leader", summary(done));
});

for (const survivor of /** @type {const} */ (["disk", "client"])) {
  test(`a tail that no quorum held is taken in when the ${survivor} is back, the other one gone for good`, async (t) => {
    const all = owner(t);
    const cluster = await Cluster.start(all, { settings: { timeoutMs: TIMEOUT_MS } });
    const load = await Load.start(all, { database: DATABASE, urls: cluster.urls });
    await load.begin("before");
    await flowing(cluster, load, "before");
    const leader = await cluster.leader(DATABASE);
    // Its clients reach the leader alone, until they are told of the others.
    const elsewhere = survivor === "client" ? cluster.urls.filter((url) => url !== leader.url) : [];
    const urls = [leader.url, ...elsewhere];
    const pinned = await Load.start(all, { database: DATABASE, urls, count: 1, concern: "leader", name: "tail" });
    const [writer] = pinned.writers;
    await writer.begin("before", 20);
    await flowing(cluster, pinned, "before");
    await load.end();
    await pinned.end();
    const doc = await writer.db.doc("tail");

    cluster.isolate(leader);
    for (let at = 0; at < 50; at += 1) writer.write(doc, "tail");
    const tail = pinned.own("tail");
    await until(() => acknowledged(tail, "leader").length === tail.length, { what: "the leader has them" });
    const atQuorum = acknowledged(tail, "quorum").length;
    if (survivor === "disk") await writer.db.close();
    await leader.worker.kill();
    cluster.heal();
    await load.begin("between");
    await flowing(cluster, load, "between");
    await load.end();
    const without = missing(tail, await heldBy(await cluster.leader(DATABASE, { except: leader }), "tail"));
    if (survivor === "disk") {
      await leader.start();
      await cluster.whole(DATABASE);
    } else {
      assert.equal(await pinned.end(), 0, "receipts end");
    }
    const here = cluster.nodes.filter((node) => node.worker.isRunning);
    const merged = await Promise.all(here.map((node) => node.status(DATABASE)));
    for (const node of here) assert.deepEqual(missing(tail, await heldBy(node, "tail")), [], node.name);
    figures(`failover: a tail from the ${survivor}`, {
      "acknowledged at leader": tail.length,
      "of them at quorum": atQuorum,
      "missing meanwhile": without.length,
      "missing at the end": 0,
      "entries merged": Math.max(...merged.map((status) => Number(status?.group?.mergedEntries ?? 0))),
    });
  });
}

test("without etcd a group goes on under its leader, and elects again when it is back", async (t) => {
  const random = Random.ofRun("failover without etcd");
  const all = owner(t);
  const cluster = await Cluster.start(all, { settings: { timeoutMs: TIMEOUT_MS } });
  const load = await Load.start(all, { database: DATABASE, urls: cluster.urls, isEverywhere: true });
  await load.begin("with");
  await flowing(cluster, load, "with");
  const leader = await cluster.leader(DATABASE);
  await cluster.etcd.kill();
  const beganMs = now();
  await load.begin("without");
  await flowing(cluster, load, "without", beganMs);
  await until(() => acknowledged(load.own("without"), "quorum").length >= 200, { what: "200 writes without etcd" });
  assert.equal((await leader.status(DATABASE)).role, "leader");
  await assert.rejects(cluster.admin(leader, DATABASE, "switchover", { timeoutMs: 2_000 }), "nobody can be handed over to");
  const sinceMs = now();
  await flowing(cluster, load, "without", sinceMs);
  const without = acknowledged(load.own("without"), "quorum").length;
  await load.end();

  await cluster.etcd.start();
  const round = await drillRound({ cluster, load, fault: "kill", round: 1, concern: "quorum", random });
  console.log(`failover without etcd: ${describe(round)}`);
  assert.deepEqual(wrongs(round, "quorum"), []);
  figures("failover: etcd gone", { "writes at quorum without etcd": without, ...summary([round]) });
});
