/**
 * Peer to peer in Node.js: a chain of replicas without a leader, a late one, a broken link, then a leader that gets
 * everything once, and none again.
 */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { owner } from "../harness/cleanup.mjs";
import { rounds } from "../harness/env.mjs";
import { figures } from "../harness/figures.mjs";
import { live, macrotask, peered, settled } from "../harness/page.mjs";
import { converged, join, Replica } from "../harness/peering.mjs";
import { Worker } from "../harness/worker.mjs";

const DATABASE = "peers";
const EACH = rounds(500, 60);
const LATE = 2_000;
const READS = rounds(200, 40);

const all = owner();
/** @type {Worker} */
let worker;
/** @type {Replica} */
let a;
/** @type {Replica} */
let b;
/** @type {Replica} */
let c;
/** @type {Replica | undefined} */
let late;
const found = { lost: 0, duplicates: 0, violations: 0 };
/** @type {ReturnType<typeof join>[]} */
const links = [];
/** @type {number[]} */
const reachedMs = [];

const replicas = () => [a, b, c, ...(late === undefined ? [] : [late])];
const writes = () => replicas().reduce((sum, { writes }) => sum + writes, 0);

before(async () => {
  worker = await Worker.start(all);
  [a, b, c] = await Promise.all([0, 1, 2].map(() => Replica.open(all, DATABASE, worker.url)));
  links.push(join(a, b), join(b, c));
  await Promise.all([peered(a.db, 1), peered(b.db, 2), peered(c.db, 1)]);
});

after(() => {
  const ms = reachedMs.reduce((sum, each) => sum + each, 0) / reachedMs.length;
  figures("peers", { replicas: replicas().length, writes: writes(), ...found, "ms to { peers: 2 }": ms });
});

test("a chain without a leader converges, whoever writes", async () => {
  for (let n = 0; n < EACH; n += 1) {
    for (const [name, replica] of Object.entries({ a, b, c })) {
      replica.set(`${name}${n}`, n);
      replica.set("contended", `${name}${n}`);
      replica.type(name);
    }
    if (n % 5 === 0) await macrotask();
  }
  const documents = await converged(replicas());
  for (const document of documents) assert.deepEqual(document, documents[0]);
  const { map, text } = documents[0];
  assert.equal(Object.keys(map).length, 3 * EACH + 1);
  assert.equal(text.length, 3 * EACH);
  for (const name of "abc") assert.equal(text.split(name).length - 1, EACH, `all of ${name} is there`);
});

test("what is in between passes on documents that it has not opened", async () => {
  const [at, to] = await Promise.all([a.db.doc("boards/2"), c.db.doc("boards/2")]);
  a.writes += 1;
  await at.transact(() => at.getMap("map").set("x", 1)).reached({ peers: 2 });
  const { value } = await c.db.session({ from: a.bookmark() }).read("boards/2", () => to.getMap("map").get("x"));
  assert.equal(value, 1);
});

test("a receipt counts peers, those at the other end of a chain as well", async () => {
  for (let n = 0; n < 20; n += 1) {
    const begin = performance.now();
    const receipt = a.set("counted", n, { concern: { peers: 2 } });
    assert.deepEqual(await receipt.reached(), { peers: 2 });
    reachedMs.push(performance.now() - begin);
    assert.equal(b.map.counted, n);
    assert.equal(c.map.counted, n);
  }
  const receipt = a.set("counted", "more");
  await assert.rejects(receipt.reached({ peers: 3 }, { timeoutMs: 100 }), { name: "HeadwaterError" });
  await receipt.reached({ peers: 2 });
});

test("a replica knows its peers, how far they are, and which are connected to it", async () => {
  for (const replica of replicas()) await replica.set("told", replica === b ? 1 : 2).reached({ peers: 2 });
  const told = ({ db }) => db.peers.map(({ isDirect, behind }) => [isDirect, behind]);
  assert.deepEqual(told(b), [[true, 0], [true, 0]]);
  assert.deepEqual(told(c), [[true, 0], [false, 0]]);
  const [known] = c.db.peers;
  assert.equal(links[1]?.[1].id, known?.id);
  assert.match(known?.id ?? "", /^[0-9a-f]{16}$/);
});

test("a bookmark from one end is honoured at the other", async () => {
  let older = 0;
  for (let n = 0; n < READS; n += 1) {
    const [writer, reader] = n % 2 === 0 ? [a, c] : [c, a];
    writer.set("read", n);
    const from = writer.bookmark();
    if (reader.map.read !== n) older += 1;
    const { map } = await reader.read(from);
    if (map.read !== n) found.violations += 1;
  }
  assert.equal(found.violations, 0);
  assert.ok(older > 0, "every read was fresh without a bookmark: this shows nothing");
});

test("a link that breaks is healed by the next one, which brings what is missing", async () => {
  await converged(replicas());
  const [ofB, ofC] = links.at(-1) ?? [];
  ofB?.close();
  assert.equal(await ofC?.closed, null);
  await Promise.all([peered(c.db, 0), peered(b.db, 1)]);
  const receipt = a.set("while apart", 1);
  await receipt.reached({ peers: 1 });
  await assert.rejects(receipt.reached({ peers: 2 }, { timeoutMs: 200 }), { name: "HeadwaterError" });
  await assert.rejects(c.read(a.bookmark(), 200), { name: "HeadwaterError" });
  c.set("meanwhile", 2);
  links.push(join(b, c));
  await receipt.reached({ peers: 2 });
  assert.equal(c.map["while apart"], 1);
  const { map } = await a.read(c.bookmark());
  assert.equal(map.meanwhile, 2);
});

test("one that comes late gets everything", async () => {
  for (let n = 0; n < LATE; n += 1) {
    a.set(`late${n}`, n);
    if (n % 100 === 99) await macrotask();
  }
  late = await Replica.open(all, DATABASE, worker.url);
  join(c, late);
  const documents = await converged(replicas());
  for (const document of documents) assert.deepEqual(document, documents[0]);
  assert.equal(Object.keys(documents[3].map).filter((key) => key.startsWith("late")).length, LATE);
  late.set("from the late one", 1);
  assert.equal((await a.read(late.bookmark())).map["from the late one"], 1);
});

test("strong reads need a leader, and say so at once", async () => {
  const [left, right] = [await Replica.open(all, "leaderless"), await Replica.open(all, "leaderless")];
  join(left, right);
  await left.set("a", 1).reached({ peers: 1 });
  for (const consistency of /** @type {const} */ (["strong", { maxStalenessMs: 1_000_000 }])) {
    const read = right.db.session().read("notes", () => null, { consistency });
    await assert.rejects(read, { code: "STRONG_UNAVAILABLE" });
  }
});

test("when one joins a leader, everything arrives there once, and receipts of the others hear of it", async () => {
  const receipt = a.set("for the leader", 1);
  c.db.connect();
  await Promise.all([live(c.db), receipt.reached("leader"), settled(c.db)]);
  await Promise.all(replicas().map(({ db }) => settled(db)));
  await check();
});

test("when the others join it too, nothing comes twice", async () => {
  for (const { db } of [a, b]) db.connect();
  await Promise.all([a, b].map(({ db }) => live(db)));
  for (const replica of [a, b]) await replica.set("joined", replica === a ? "a" : "b").reached("leader");
  const strong = await a.db.session().read("notes", (doc) => doc.toJSON(), { consistency: "strong" });
  assert.deepEqual(strong.value, await worker.json(DATABASE, "notes", { bookmark: b.bookmark() }));
  await check();
});

test("and back: without the leader they go on, and with it again everything arrives once", async () => {
  for (const { db } of [a, b, c]) db.disconnect();
  for (const [index, replica] of replicas().entries()) replica.set(`apart${index}`, index);
  const documents = await converged(replicas());
  for (const document of documents) assert.deepEqual(document, documents[0]);
  for (const { db } of replicas()) db.connect();
  await Promise.all(replicas().map(({ db }) => live(db)));
  await Promise.all(replicas().map(({ db }) => settled(db)));
  await check();
});

/** The leader holds what all hold, and each write once. */
async function check() {
  const documents = await converged(replicas());
  const bookmarks = replicas().map((replica) => replica.bookmark());
  for (const bookmark of bookmarks) {
    const held = await worker.json(DATABASE, "notes", { bookmark });
    const missing = Object.keys(documents[0].map).filter((key) => held.map[key] === undefined);
    found.lost += missing.length;
    assert.deepEqual(missing, []);
    assert.deepEqual(held, documents[0]);
  }
  // Each write is one entry of the log, and nothing else is.
  const { lsn } = await worker.status(DATABASE);
  found.duplicates += lsn - writes();
  assert.equal(lsn, writes());
}
