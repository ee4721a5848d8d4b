/** An operator has another member lead, under load: nothing is lost, and writes wait for a moment. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";

import { owner } from "../harness/cleanup.mjs";
import { Cluster } from "../harness/cluster.mjs";
import { ROOT, rounds } from "../harness/env.mjs";
import { figures } from "../harness/figures.mjs";
import { acknowledged, Load, missing } from "../harness/load.mjs";
import { Random } from "../harness/random.mjs";
import { Sessions } from "../harness/sessions.mjs";
import { until } from "../harness/until.mjs";
import { audit, DATABASE, describe, drillRound, flowing, heldBy, summary, TIMEOUT_MS, wrongs } from "./drill-round.mjs";

const SWITCHOVERS = rounds(30, 4);

test("a switchover under load loses nothing", async (t) => {
  const random = Random.ofRun("switchover");
  const all = owner(t);
  const cluster = await Cluster.start(all, { settings: { timeoutMs: TIMEOUT_MS } });
  const load = await Load.start(all, { database: DATABASE, urls: cluster.urls, isEverywhere: true });
  const sessions = new Sessions(cluster, DATABASE, load.writers, random);
  const done = [];
  for (let round = 1; round <= SWITCHOVERS; round += 1) {
    done.push(await drillRound({ cluster, load, fault: "switchover", round, concern: "quorum", random, sessions }));
    console.log(`switchover: ${round}/${SWITCHOVERS} ${describe(done.at(-1))}`);
  }
  assert.deepEqual(done.flatMap((round) => wrongs(round, "quorum")), []);
  assert.deepEqual(await audit(cluster, load, "quorum"), []);
  assert.ok(done.every(({ before, after }) => before !== after), "another member leads after each");
  assert.deepEqual(sessions.older, { "monotonic reads": 0, "read-your-writes": 0 });
  figures("switchover", summary(done));
  figures("switchover sessions", sessions.figures);
});

test("operators see who leads, have another one lead, and drill a running database", async (t) => {
  const all = owner(t);
  const cluster = await Cluster.start(all, { settings: { timeoutMs: TIMEOUT_MS } });
  const load = await Load.start(all, { database: DATABASE, urls: cluster.urls, count: 1 });
  await load.begin("cli");
  await flowing(cluster, load, "cli");
  await cluster.whole(DATABASE);
  const [leader, url] = [await cluster.leader(DATABASE), cluster.urls.join(",")];

  const status = await headwater(cluster, "status", DATABASE, "--url", url);
  assert.match(status.stdout, new RegExp(`^${leader.name} +leader +${leader.name} `, "m"));
  assert.equal(status.stdout.match(/ follower /g)?.length, 2, status.stdout);
  const lag = await headwater(cluster, "lag", DATABASE, "--url", url);
  for (const other of cluster.others(leader)) assert.match(lag.stdout, new RegExp(`^${other.name} +voter +yes `, "m"));

  const [to] = cluster.others(leader);
  const switched = await headwater(cluster, "switchover", DATABASE, "--url", url, "--to", to.name);
  assert.match(switched.stdout, new RegExp(`^${to.name} leads since epoch \\d+`));
  assert.equal((await cluster.leader(DATABASE)).name, to.name);

  const nobody = await headwater(cluster, "switchover", DATABASE, "--url", url, "--to", "nobody");
  assert.match(nobody.stderr, /^headwater: [A-Z_]+: .*nobody/);
  const stranger = await headwater({ secret: "wrong" }, "switchover", DATABASE, "--url", url);
  assert.match(stranger.stderr, /^headwater: [A-Z_]+: ./);
  assert.equal((await cluster.leader(DATABASE)).name, to.name, "and it leads on");

  const drilled = await headwater(cluster, "drill", DATABASE, "--url", url, "--rounds", "2", "--writers", "2");
  assert.equal(drilled.code, 0, drilled.stderr);
  console.log(drilled.stdout);
  assert.equal(await load.end(), 0);
});

test("what is left of a group without a quorum is promoted on an operator's word, and the others hand in what they held", async (t) => {
  const all = owner(t);
  const cluster = await Cluster.start(all, { settings: { timeoutMs: TIMEOUT_MS } });
  const load = await Load.start(all, { database: DATABASE, urls: cluster.urls, concern: "leader" });
  await load.begin("before");
  await flowing(cluster, load, "before");
  assert.equal(await load.end(), 0);
  await cluster.whole(DATABASE);
  const leader = await cluster.leader(DATABASE);
  const [gone, left] = cluster.others(leader);
  await leader.worker.kill();
  await gone.worker.kill();

  const unsaid = await headwater(cluster, "promote", DATABASE, "--url", left.url);
  assert.deepEqual([unsaid.code, unsaid.stderr.split(":")[1]], [2, " MALFORMED"]);
  const promoted = await headwater(cluster, "promote", DATABASE, "--url", left.url, "--accept-data-loss");
  assert.match(promoted.stdout, new RegExp(`^${left.name} leads since epoch \\d+`), promoted.stderr);
  await load.begin("alone");
  await until(() => acknowledged(load.own("alone"), "leader").length >= 100, { what: "the one that is left takes writes" });
  assert.deepEqual(acknowledged(load.own("alone"), "quorum"), [], "at quorum without one");
  const { losses } = (await left.status(DATABASE)).group;

  await Promise.all([leader.start(), gone.start()]);
  await flowing(cluster, load, "alone");
  assert.equal(await load.end(), 0, "receipts that did not end");
  await cluster.whole(DATABASE);
  const written = { before: load.own("before"), alone: load.own("alone") };
  for (const node of cluster.nodes) {
    for (const [doc, writes] of Object.entries(written)) assert.deepEqual(missing(writes, await heldBy(node, doc)), [], node.name);
  }
  figures("promote", {
    "writes before": written.before.length,
    "writes since": written.alone.length,
    "loss windows named": losses.length,
    "missing once all were back": 0,
  });
});

/** @param {{ secret: string }} cluster @param {string[]} args */
async function headwater({ secret }, ...args) {
  const child = spawn(process.execPath, [join(ROOT, "pkg/dist/cli.js"), ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, HEADWATER_NODE_SECRET: secret },
  });
  const said = { stdout: "", stderr: "" };
  for (const name of /** @type {const} */ (["stdout", "stderr"])) child[name].on("data", (bytes) => void (said[name] += bytes));
  const [code] = await once(child, "close");
  return { code, ...said };
}
