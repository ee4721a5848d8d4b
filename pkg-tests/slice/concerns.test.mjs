/** When a write counts as done, what it may be content with, and which address a database goes to. In Node.js. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { open } from "headwater";

import { owner } from "../harness/cleanup.mjs";
import { figures } from "../harness/figures.mjs";
import { Link } from "../harness/link.mjs";
import { live, phase } from "../harness/page.mjs";
import { Worker } from "../harness/worker.mjs";

const all = owner();
/** @type {Worker} */
let worker;
let passed = 0;

before(async () => {
  worker = await Worker.start(all);
});

after(() => figures("concerns", { "behaviours shown": passed }));

/** @param {string} name @param {import("headwater").OpenOptions} options */
async function opened(name, options) {
  const db = await open(name, { storage: "memory", ...options });
  all.after(() => db.close());
  const doc = await db.doc("notes");
  /** @param {import("headwater").TransactOptions} [options] */
  const write = (options) => doc.transact(() => doc.getMap("map").set("a", Math.random()), options);
  return { db, write };
}

test("a wait for a concern says what was met, and on a single node the node is every member", async () => {
  const { db, write } = await opened("met", { url: worker.url, concern: "quorum" });
  await live(db);
  assert.equal(db.status.member, null, "a node without a group has no name");
  assert.equal(db.status.memberRole, null);
  const receipt = write();
  assert.equal(receipt.met, null);
  assert.equal(await receipt.reached(), "quorum");
  assert.equal(receipt.met, "quorum");
  assert.equal(await receipt.reached("all"), "all");
  assert.equal(await write({ concern: 1 }).reached(), 1);
  passed += 1;
});

test("a concern that cannot be met is refused, and one that is not met in time is not weakened", async () => {
  const { db, write } = await opened("unmet", { url: worker.url });
  await live(db);
  const receipt = write();
  await assert.rejects(receipt.reached({ any: ["atlantis"], n: 1 }), { code: "MALFORMED" });
  await assert.rejects(receipt.reached(2), { code: "MALFORMED" });
  db.disconnect();
  await assert.rejects(write({ timeoutMs: 30 }).reached(), { code: "OFFLINE" });
  assert.equal(db.status.degraded, 0);
  passed += 1;
});

test("whoever allows it is content with less after a while, and is told", async () => {
  const degrade = { to: /** @type {const} */ ("applied"), afterMs: 40 };
  const { db, write } = await opened("less", { url: worker.url, connect: false, degrade });
  /** @type {unknown[]} */
  const told = [];
  db.on("degraded", ({ receipt, met }) => told.push([receipt, met]));
  const receipt = write();
  const begin = performance.now();
  assert.equal(await receipt.reached(), "applied");
  assert.ok(performance.now() - begin >= 39, "it waits for nothing less meanwhile");
  assert.deepEqual(told, [[receipt, "applied"]]);
  assert.deepEqual([receipt.met, receipt.concern, db.status.degraded], ["applied", "leader", 1]);
  await assert.rejects(receipt.reached("leader", { timeoutMs: 60 }), { code: "OFFLINE" });
  await assert.rejects(write({ degrade: null }).reached(undefined, { timeoutMs: 60 }), { code: "OFFLINE" });
  const stop = new AbortController();
  const waiting = write().reached(undefined, { signal: stop.signal });
  stop.abort();
  await assert.rejects(waiting, { code: "ABORTED" });
  db.connect();
  await receipt.reached("leader");
  assert.equal(await receipt.reached(), "leader", "what is met is not weakened");
  assert.equal(db.status.degraded, 1);
  passed += 1;
});

test("an address that does not answer is left for the next one, and one that does is kept", async () => {
  const [first, second] = [await Link.start(all, worker), await Link.start(all, worker)];
  first.goOffline();
  const { db, write } = await opened("addresses", { url: [first.url, second.url] });
  await live(db);
  await write().reached();
  assert.equal(second.connections, 1);
  second.cut();
  await phase(db, "offline");
  await live(db);
  assert.deepEqual([second.connections, db.status.phase], [2, "live"], "it worked until it broke");
  passed += 1;
});

test("what cannot be meant is refused at once", async () => {
  const cases = [
    { url: [] },
    { url: [worker.url, 7] },
    { url: `${worker.url}?token=x` },
    { url: `${worker.url}?member=a&member=b` },
    { url: `${worker.url}#a` },
    { concern: 0 },
    { concern: 1.5 },
    { concern: "most" },
    { concern: { any: ["a"] } },
    { concern: { any: ["a"], n: 2 } },
    { concern: { any: ["a"], first: ["a"], n: 1 } },
    { concern: { first: ["a"], n: 1, of: 2 } },
    { degrade: { to: "leader" } },
    { degrade: { to: 1, afterMs: 1 } },
    { degrade: "leader" },
  ];
  for (const options of cases) {
    const opening = open("refused", /** @type {any} */ ({ storage: "memory", ...options }));
    await assert.rejects(opening, { code: "MALFORMED" }, JSON.stringify(options));
  }
  passed += 1;
});
