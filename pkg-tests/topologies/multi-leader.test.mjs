/**
 * Several leaders: three real processes, each takes writes, through partitions, deaths, an empty disk, and changes between
 * one leader and several. Whatever was acknowledged anywhere is everywhere in the end.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { owner } from "../harness/cleanup.mjs";
import { Cluster } from "../harness/cluster.mjs";
import { FULL, ROOT, rounds } from "../harness/env.mjs";
import { figures } from "../harness/figures.mjs";
import { acknowledged, Load, now } from "../harness/load.mjs";
import { Random } from "../harness/random.mjs";
import { Sessions } from "../harness/sessions.mjs";
import { pause, until } from "../harness/until.mjs";
import { allLead, allReached, converged, DATABASE, lags, measuredLags, missingAnywhere } from "./leaders.mjs";

const CUT_MS = FULL ? 60_000 : 8_000;
const CHANGES = rounds(10, 4);
const SETTINGS = { timeoutMs: 1_500 };
const WRITE_EVERY_MS = 40;

/** A client at each member, who knows no other. @param {import("../harness/cleanup.mjs").Owner} all @param {Cluster} cluster */
function oneEach(all, cluster) {
  const start = (/** @type {Cluster["nodes"][number]} */ { url, name }) =>
    Load.start(all, { database: DATABASE, urls: [url], count: 1, name, concern: "leader" });
  return Promise.all(cluster.nodes.map(start));
}

/** Waits until each of them has a write at a stage that began after a moment. @param {Load[]} loads @param {string} doc */
async function each(loads, doc, /** @type {"leader" | "quorum"} */ stage, sinceMs = now()) {
  const has = (/** @type {Load} */ load) => acknowledged(load.own(doc), stage).some(({ beganMs }) => beganMs > sinceMs);
  await until(() => loads.every(has), { what: `a new write of each client at ${stage}` });
}

test("partitions: all sides take writes, and nothing is lost", async (t) => {
  const random = Random.ofRun("multi-leader");
  const all = owner(t);
  const cluster = await Cluster.start(all, { topology: "multi-leader", settings: SETTINGS });
  const loads = await oneEach(all, cluster);
  console.log("multi-leader: epochs", await allLead(cluster));
  const sessions = new Sessions(cluster, DATABASE, loads.flatMap(({ writers }) => writers), random);
  const told = { writes: 0, leader: 0, lost: 0, lagMax: 0, quorumOnMinority: 0, healedMs: 0 };

  for (const kind of ["one is cut off", "all three apart"]) {
    const doc = kind.replaceAll(" ", "-");
    await Promise.all(loads.map((load) => load.begin(doc, WRITE_EVERY_MS)));
    sessions.begin(doc);
    await each(loads, doc, "quorum");

    const cut = random.pick(cluster.nodes);
    const isolated = kind === "one is cut off" ? [cut] : cluster.nodes;
    for (const node of isolated) cluster.isolate(node);
    const cutMs = now();
    const minority = loads.filter((_, place) => isolated.includes(/** @type {any} */ (cluster.nodes[place])));
    const majority = loads.filter((load) => !minority.includes(load));
    await each(loads, doc, "leader", cutMs);
    await each(majority, doc, "quorum", cutMs);
    await pause(CUT_MS);
    // A write that began in the moment of the cut may still have got through.
    const since = minority.flatMap((load) => load.own(doc)).filter(({ beganMs }) => beganMs > cutMs + 1_000);
    assert.ok(since.length > 0, "the minority goes on");
    assert.ok(acknowledged(since, "leader").length > 0, "and takes writes");
    told.quorumOnMinority += acknowledged(since, "quorum").length;
    const lag = await lags(cluster);
    const measured = await measuredLags(cut, cluster.secret);
    console.log(`multi-leader: ${kind} (${cut.name}), lag in entries`, lag, "metrics of it", measured);
    for (const other of cluster.others(cut)) {
      assert.ok((lag[`${cut.name}→${other.name}`] ?? 0) > 0 && (lag[`${other.name}→${cut.name}`] ?? 0) > 0, "lag is seen");
      assert.ok((measured[other.name] ?? 0) > 0, "and measured");
    }
    told.lagMax = Math.max(told.lagMax, ...Object.values(lag));

    cluster.heal();
    const healMs = now();
    await each(loads, doc, "quorum", healMs);
    await sessions.end();
    for (const load of loads) assert.equal(await load.end(), 0, "receipts end on every side");
    await converged(cluster);
    told.healedMs = Math.max(told.healedMs, now() - healMs);
    const written = loads.flatMap((load) => load.own(doc));
    assert.deepEqual(written.filter(({ error }) => error !== null), []);
    assert.equal(acknowledged(since, "quorum").length, since.length, "what waited for a quorum has it now");
    const lost = await missingAnywhere(cluster, loads, doc);
    assert.deepEqual(lost, []);
    told.lost += lost.length;
    told.writes += written.length;
    told.leader += acknowledged(written, "leader").length;
  }
  assert.equal(told.quorumOnMinority, 0, "acknowledged at quorum where there was none");
  assert.deepEqual(sessions.older, { "monotonic reads": 0, "read-your-writes": 0 });
  assert.ok(sessions.checked["monotonic reads"] > 0 && sessions.checked["read-your-writes"] > 0);
  figures("multi-leader: sessions", sessions.figures);
  figures("multi-leader: partitions", {
    rounds: 2,
    "cut ms": CUT_MS,
    writes: told.writes,
    "at leader": told.leader,
    lost: told.lost,
    violations: Object.values(sessions.older).reduce((sum, count) => sum + count, 0),
    "at quorum on a minority": told.quorumOnMinority,
    "lag max entries": told.lagMax,
    "healed and converged ms": Math.round(told.healedMs),
  });
});

test("a bookmark is honoured by every leader, and nobody gives a strong read", async (t) => {
  const all = owner(t);
  const cluster = await Cluster.start(all, { topology: "multi-leader", settings: SETTINGS });
  const loads = await oneEach(all, cluster);
  await allLead(cluster);
  const [paris, tokyo] = cluster.nodes;
  const [writer] = loads[0].writers;
  const session = writer.db.session();
  const doc = await writer.db.doc("d");
  // Before it has a place in any log, and once it has one.
  for (const stage of /** @type {const} */ (["local", "quorum"])) {
    const receipt = doc.transact(() => doc.getMap("m").set(stage, "here"));
    if (stage === "quorum") await receipt.reached("quorum", { timeoutMs: 10_000 });
    const bookmark = session.bookmark();
    const shown = await tokyo.worker.json(DATABASE, "d", { bookmark, query: "?timeout=10000" });
    assert.equal(shown.m[stage], "here", stage);
  }
  // Cut off, it waits instead of showing something older.
  cluster.isolate(tokyo);
  doc.transact(() => doc.getMap("m").set("cut", "here"));
  const refused = await tokyo.worker.read(DATABASE, "d", { bookmark: session.bookmark(), query: "?timeout=1000" });
  assert.equal((await refused.json()).code, "TIMEOUT");
  cluster.heal();
  const shown = await tokyo.worker.json(DATABASE, "d", { bookmark: session.bookmark(), query: "?timeout=20000" });
  assert.equal(shown.m.cut, "here");
  for (const node of cluster.nodes) {
    const strong = await node.worker.read(DATABASE, "d", { query: "?consistency=strong&timeout=20000" });
    const { code, message } = await strong.json();
    assert.equal(code, "STRONG_UNAVAILABLE");
    assert.match(message, /single-leader/, "it says what to do");
  }
  for (const consistency of /** @type {const} */ (["strong", { maxStalenessMs: 500 }])) {
    const read = session.read("d", (d) => d.getMap("m").toJSON(), { consistency, timeoutMs: 20_000 });
    await assert.rejects(read, { code: "STRONG_UNAVAILABLE" });
  }
  assert.equal(paris.name, "paris");
  for (const load of loads) await load.end();
});

test("one leads, several do, and one again, while clients write", async (t) => {
  const all = owner(t);
  const cluster = await Cluster.start(all, { settings: SETTINGS });
  const roaming = await Load.start(all, { database: DATABASE, urls: cluster.urls, count: 2, name: "roaming" });
  const loads = [roaming, ...(await oneEach(all, cluster))];
  const doc = "changes";
  await Promise.all(loads.map((load) => load.begin(doc, WRITE_EVERY_MS)));
  await each(loads, doc, "quorum");
  await allReached(cluster);
  const pauses = [];
  for (let change = 0; change < CHANGES; change += 1) {
    const to = change % 2 === 0 ? "multi-leader" : "single-leader";
    const said = await headwater(cluster, "topology", DATABASE, to, "--url", cluster.urls.join(","), "--timeout-ms", "30000");
    assert.equal(said.code, 0, said.stderr);
    console.log(`multi-leader: ${said.stdout.trim()}`);
    pauses.push(Number(/took (\d+) ms/.exec(said.stdout)?.[1]));
    const changedMs = now();
    if (to === "multi-leader") {
      await allLead(cluster);
      const lag = await headwater(cluster, "lag", DATABASE, "--url", cluster.urls.join(","));
      for (const { name } of cluster.nodes) assert.match(lag.stdout, new RegExp(`^${name} +(paris|tokyo|ohio) +voter`, "m"));
    } else {
      await cluster.leader(DATABASE);
    }
    await each(loads, doc, "quorum", changedMs);
    await pause(500);
  }
  for (const load of loads) assert.equal(await load.end(), 0, "receipts that did not end");
  await converged(cluster);
  const written = loads.flatMap((load) => load.own(doc));
  const lost = await missingAnywhere(cluster, loads, doc);
  assert.deepEqual(lost, []);
  assert.deepEqual(written.filter(({ error }) => error !== null), []);
  const [unknown, stranger] = [
    await headwater(cluster, "topology", DATABASE, "ring", "--url", cluster.urls.join(",")),
    await headwater({ secret: "wrong" }, "topology", DATABASE, "multi-leader", "--url", cluster.urls.join(",")),
  ];
  assert.match(unknown.stderr, /^headwater: MALFORMED: /);
  assert.match(stranger.stderr, /^headwater: (UNAUTHORIZED|FORBIDDEN): /);
  assert.match((await headwater(cluster, "topology", "--help")).stdout, /single-leader\|multi-leader/);
  figures("multi-leader: changes", {
    changes: CHANGES,
    writes: written.length,
    lost: lost.length,
    "pause ms max": Math.max(...pauses),
  });
});

test("one dies, and comes back with its disk and without it", async (t) => {
  const all = owner(t);
  const cluster = await Cluster.start(all, { topology: "multi-leader", settings: SETTINGS });
  const loads = await oneEach(all, cluster);
  const before = await allLead(cluster);
  const doc = "deaths";
  await Promise.all(loads.map((load) => load.begin(doc, WRITE_EVERY_MS)));
  const [, , ohio] = cluster.nodes;
  for (const isWiped of [false, true]) {
    await each(loads, doc, "quorum");
    await ohio.worker.kill();
    const killedMs = now();
    await each(loads.slice(0, 2), doc, "quorum", killedMs);
    if (isWiped) await rm(ohio.worker.storage, { recursive: true });
    await (isWiped ? ohio.startEmpty() : ohio.start());
    await each(loads, doc, "quorum", killedMs);
    const epochs = await allLead(cluster);
    const { paris, tokyo } = epochs;
    assert.deepEqual({ paris, tokyo }, { paris: before.paris, tokyo: before.tokyo });
    assert.equal(epochs.ohio === before.ohio, !isWiped, "a disk that is new leads an epoch that is new");
  }
  for (const load of loads) assert.equal(await load.end(), 0, "receipts that did not end");
  await converged(cluster);
  assert.deepEqual(await missingAnywhere(cluster, loads, doc), []);
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
