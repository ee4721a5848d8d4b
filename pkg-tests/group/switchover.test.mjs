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
import { Load } from "../harness/load.mjs";
import { Random } from "../harness/random.mjs";
import { Sessions } from "../harness/sessions.mjs";
import { DATABASE, describe, drillRound, flowing, summary, TIMEOUT_MS, wrongs } from "./drill.mjs";

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
