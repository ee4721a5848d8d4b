/** What ends a document, and what its users are told: closing, a rejected write, an update that nobody can show. */

import assert from "node:assert/strict";
import { on, once } from "node:events";
import { after, before, test } from "node:test";

import { open } from "headwater";
import WebSocket from "ws";

import { owner } from "../harness/cleanup.mjs";
import { figures } from "../harness/figures.mjs";
import * as frames from "../harness/frames.mjs";
import { Worker } from "../harness/worker.mjs";

const all = owner();
/** @type {Worker} */
let worker;
let passed = 0;

before(async () => {
  worker = await Worker.start(all);
});

after(() => figures("documents", { "behaviours shown": passed }));

test("a closed document refuses, and nothing of it is lost", async () => {
  const db = await open("closing", { storage: "memory" });
  const doc = await db.doc("notes");
  const map = doc.getMap("map");
  const receipt = db.transact(() => {
    map.set("kept", 1);
    doc.close();
  });
  assert.notEqual(receipt.id, null, "closing inside a transaction comes after its commit");
  const closed = { code: "CLOSED" };
  assert.throws(() => map.set("lost", 1), closed);
  assert.throws(() => doc.transact(() => {}), closed);
  assert.throws(() => map.toJSON(), closed);
  assert.deepEqual((await db.doc("notes")).getMap("map").toJSON(), { kept: 1 });
  await db.close();
  passed += 1;
});

test("observers hear that a rejected write was taken back", async () => {
  const db = await open("reset", { storage: "memory" });
  const doc = await db.doc("notes");
  const map = doc.getMap("map");
  map.set("stands", 1);
  const told = [];
  map.observe((event) => told.push([event.isReset, Object.keys(map.toJSON())]));
  const receipt = doc.transact(() => map.set("large", "x".repeat(1 << 20)));
  await assert.rejects(receipt.reached("leader"), { code: "TOO_LARGE" });
  assert.deepEqual(told, [[false, ["large", "stands"]], [true, ["stands"]]]);
  await db.close();
  passed += 1;
});

test("an update that nobody can show costs its document, not the database", async () => {
  const db = await open("unshowable", { storage: "memory", url: worker.url });
  const [hit, spared] = [await db.doc("hit"), await db.doc("spared")];
  await spared.transact(() => spared.getMap("map").set("before", 1)).reached("leader");
  const told = new Promise((resolve) => db.on("unloadable", resolve));
  await pushRaw("unshowable", "hit", CHILD_OF_A_STRING);
  assert.equal((await told).doc, "hit");
  assert.throws(() => hit.getMap("map").toJSON(), { code: "CORRUPT" });
  await spared.transact(() => spared.getMap("map").set("after", 2)).reached("leader");
  assert.deepEqual(spared.getMap("map").toJSON(), { after: 2, before: 1 });
  await db.close();
  passed += 1;
});

/** A text "a", and a second text whose parent is the first one: it decodes, and fits into no document. */
const CHILD_OF_A_STRING = Uint8Array.of(1, 2, 1, 0, 4, 1, 1, 0x74, 1, 0x61, 4, 0, 1, 0, 1, 0x62, 0);

/** One write past the package. @param {string} database @param {string} doc @param {Uint8Array} update */
async function pushRaw(database, doc, update) {
  const socket = new WebSocket(`${worker.url.replace("http", "ws")}/v1/${database}/sync`);
  await once(socket, "open");
  socket.send(frames.hello(99n));
  socket.send(frames.push({ origin: 99n, doc, update }));
  for await (const [bytes] of on(socket, "message")) {
    if (bytes[0] !== frames.NODE_TYPE.welcome) break;
  }
  socket.close();
}
