/** Members of a group on real workerd: as objects of one worker, and as processes that share nothing but etcd. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { open } from "headwater";

import { owner } from "../harness/cleanup.mjs";
import { Cluster } from "../harness/cluster.mjs";
import { figures } from "../harness/figures.mjs";
import { changed, live } from "../harness/page.mjs";
import { until } from "../harness/until.mjs";
import { Worker } from "../harness/worker.mjs";

const SECRET = "a-secret-of-a-test";
const AUTHORIZATION = { authorization: `Bearer ${SECRET}` };
const MEMBERS = [
  { name: "paris", priority: 2 },
  { name: "tokyo", priority: 1 },
  { name: "ohio", priority: 1 },
];
const NAMES = MEMBERS.map(({ name }) => name);

test("three members in one worker: writes through a follower, what each says of itself, a switchover", async (t) => {
  const all = owner(t);
  const group = { quorum: 2, members: [...MEMBERS, { name: "archive", observer: true }] };
  const worker = await Worker.start(all, { env: { HEADWATER_GROUP: JSON.stringify(group), HEADWATER_NODE_SECRET: SECRET } });
  const at = (/** @type {string} */ name) => `${worker.url}/members/${name}`;
  assert.equal((await fetch(`${at("tokyo")}/v1/team/status`)).status, 404, "asking makes no group");

  const { doc, write } = await writer(all, "team", at("tokyo"));
  await write("first");
  const formed = await statuses("team", NAMES.map(at));
  assert.deepEqual(formed.map(({ role }) => role), ["leader", "follower", "follower"]);
  assert.deepEqual(formed.map(({ group }) => [group.me, group.leader, group.quorum]), NAMES.map((name) => [name, "paris", 2]));
  assert.deepEqual(formed[0].group.members.map(({ name }) => name).sort(), ["archive", "ohio", "tokyo"]);

  // A reader elsewhere, and reads over HTTP of a follower that say whose they are.
  const reader = await writer(all, "team", at("ohio"));
  await changed(reader.doc, () => reader.doc.getMap("writes").has("first"));
  const read = await fetch(`${at("ohio")}/v1/team/docs/notes?consistency=strong`);
  assert.equal((await read.json()).writes.first, 1);
  assert.deepEqual([read.headers.get("headwater-member"), read.headers.get("headwater-role")], ["ohio", "follower"]);
  assert.match(read.headers.get("headwater-staleness-ms") ?? "", /^\d+$/);
  assert.match(read.headers.get("access-control-expose-headers") ?? "", /headwater-staleness-ms/);

  // Asked of whoever answers first, and of a follower, which passes it on.
  const first = await administer(`${worker.url}/v1/team/admin/switchover`, { to: "ohio" });
  assert.deepEqual([first.status, first.body.leader], [200, "ohio"]);
  await write("second");
  const second = await administer(`${at("tokyo")}/v1/team/admin/switchover`, { to: "tokyo" });
  assert.deepEqual([second.status, second.body.leader], [200, "tokyo"]);
  assert.ok(second.body.epoch > first.body.epoch);
  await write("third");
  await until(async () => (await statuses("team", NAMES.map(at))).every(({ group }) => group.leader === "tokyo"), { what: "all follow tokyo" });
  await changed(reader.doc, () => reader.doc.getMap("writes").has("third"));
  assert.deepEqual(Object.keys(doc.getMap("writes").toJSON()).sort(), ["first", "second", "third"]);

  const refused = await administer(`${worker.url}/v1/team/admin/switchover`, { to: "archive" });
  assert.notEqual(refused.status, 200, "an observer never leads");
  await showsMetrics(worker, "team");
  figures("nodes: one worker", { members: 4, switchovers: 2, "writes acknowledged": 3, "writes lost": 0 });
});

test("members in processes of their own meet over HTTP and in etcd, and let no stranger in", async (t) => {
  const all = owner(t);
  const cluster = await Cluster.start(all);
  const urls = cluster.nodes.map(({ worker }) => worker.url);
  const authorization = { authorization: `Bearer ${cluster.secret}` };
  const { write } = await writer(all, "spread", urls[1]);
  await write("first");
  assert.deepEqual((await statuses("spread", urls)).map(({ role }) => role), ["leader", "follower", "follower"]);
  const done = await administer(`${urls[2]}/v1/spread/admin/switchover`, { to: "tokyo" }, authorization);
  assert.deepEqual([done.status, done.body.leader], [200, "tokyo"], "passed on over HTTP");
  await write("second");
  for (const url of urls) {
    await until(async () => (await (await fetch(`${url}/v1/spread/docs/notes`)).json()).writes?.second === 1, { what: "it is everywhere" });
  }
  // What another deployment would send.
  const stranger = await fetch(`${urls[0]}/v1/spread/group?member=paris`, { method: "POST", body: "call", headers: { authorization: "Bearer other" } });
  assert.deepEqual([stranger.status, (await stranger.json()).code], [401, "UNAUTHORIZED"]);
  const nonsense = await fetch(`${urls[0]}/v1/spread/group?member=paris`, { method: "POST", body: "call", headers: authorization });
  assert.equal(nonsense.status, 200, "what is no call is answered as the members answer each other");
  const wrong = await fetch(`${urls[0]}/v1/spread/group?member=tokyo`, { method: "POST", body: "call", headers: authorization });
  assert.deepEqual([wrong.status, (await wrong.json()).code], [404, "NOT_FOUND"]);
  figures("nodes: three processes", { members: 3, switchovers: 1, "writes acknowledged": 2, "writes lost": 0 });
});

test("a group begins when the member is there that leads it first, whoever was asked before", async (t) => {
  const all = owner(t);
  const cluster = await Cluster.start(all);
  const [paris, tokyo] = cluster.nodes;
  await paris.worker.kill();
  const early = await fetch(`${tokyo.worker.url}/v1/early/docs/notes`);
  assert.deepEqual([early.status, (await early.json()).code], [503, "BUSY"]);
  await paris.start();
  // Nobody asks the one that was away.
  const { write } = await writer(all, "early", tokyo.worker.url);
  await write("first");
  assert.equal((await cluster.leader("early")).name, "paris");
});

test("a group that the core refuses is told to whoever asks, and to nobody a database is made of it", async (t) => {
  const group = { quorum: 1, members: [{ name: "paris", priority: 0 }] };
  const worker = await Worker.start(owner(t), { env: { HEADWATER_GROUP: JSON.stringify(group) } });
  for (const path of ["/v1/x/docs/a", "/v1/x/docs/a"]) {
    const response = await fetch(worker.url + path);
    const { code, message } = await response.json();
    assert.deepEqual([response.status, code], [500, "INTERNAL"]);
    assert.match(message, /HEADWATER_GROUP: no member may lead/);
  }
});

test("a node that leads alone has no group, and shows its figures to whoever shows the secret", async (t) => {
  const worker = await Worker.start(owner(t), { env: { HEADWATER_NODE_SECRET: SECRET } });
  assert.deepEqual(await worker.json("alone", "notes"), {});
  const { role, group } = await worker.status("alone");
  assert.deepEqual([role, group], ["leader", null]);
  const { status, body } = await administer(`${worker.url}/v1/alone/admin/switchover`, {});
  assert.deepEqual([status, body.code], [404, "NOT_FOUND"]);
  const text = await (await fetch(`${worker.url}/metrics`, { headers: AUTHORIZATION })).text();
  assert.match(text, /^headwater_role\{database="alone",member="",role="leader"\} 1$/m);
  assert.match(text, /^headwater_held_entries\{database="alone",member=""\} 0$/m);
});

/** A replica of a database at one address. @param {import("../harness/cleanup.mjs").Owner} all @param {string} database @param {string} url */
async function writer(all, database, url) {
  const db = await open(database, { url, storage: "memory" });
  all.after(() => db.close());
  const doc = await db.doc("notes");
  await live(db);
  /** Writes, and waits until a quorum holds it. @param {string} key */
  const write = (key) => doc.transact(() => doc.getMap("writes").set(key, 1)).reached("quorum");
  return { db, doc, write };
}

/** What each node says. @param {string} database @param {string[]} urls */
function statuses(database, urls) {
  return Promise.all(urls.map(async (url) => (await fetch(`${url}/v1/${database}/status`)).json()));
}

/** @param {string} url @param {object} command @param {Record<string, string>} [headers] */
async function administer(url, command, headers = AUTHORIZATION) {
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(command) });
  return { status: response.status, body: await response.json() };
}

/** Every line of the metrics is one of the format's, every family is told once, every node is there. @param {Worker} worker @param {string} database */
async function showsMetrics(worker, database) {
  const response = await fetch(`${worker.url}/metrics`, { headers: AUTHORIZATION });
  assert.match(response.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
  const lines = (await response.text()).trimEnd().split("\n");
  const sample = /^(headwater_\w+)\{(\w+="(?:[^"\\]|\\.)*",?)+\} \d+(\.\d+)?$/;
  const told = new Set();
  for (const line of lines.filter((line) => !line.startsWith("# HELP "))) {
    if (!line.startsWith("# TYPE ")) {
      assert.match(line, sample);
      assert.ok(told.has(sample.exec(line)?.[1]), `${line} follows the type of its family`);
      continue;
    }
    const [, , name, type] = line.split(" ");
    assert.ok(!told.has(name) && ["gauge", "counter"].includes(type), line);
    told.add(name);
  }
  const of = (/** @type {string} */ member) => lines.filter((line) => line.includes(`database="${database}",member="${member}"`));
  assert.deepEqual([...NAMES, "archive"].filter((member) => of(member).length === 0), []);
  const leading = lines.filter((line) => line.startsWith("headwater_role") && line.includes('role="leader"') && line.endsWith(" 1"));
  assert.deepEqual(leading, [`headwater_role{database="${database}",member="tokyo",role="leader"} 1`]);
  for (const family of ["events_total", "follower_lag_entries", "storage_bytes", "visible_entries", "elections_total"]) {
    assert.ok(told.has(`headwater_${family}`), family);
  }
  figures("nodes: metrics", { families: told.size, samples: lines.length - 2 * told.size });
}
