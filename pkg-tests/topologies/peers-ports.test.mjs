/** What comes through the port of a peer and should not: garbage, strangers, another database, a port that closes midway. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { after, test } from "node:test";
import { HeadwaterError } from "headwater";

import { owner } from "../harness/cleanup.mjs";
import { ROOT } from "../harness/env.mjs";
import { figures } from "../harness/figures.mjs";
import { live, peered, settled } from "../harness/page.mjs";
import { converged, join, Replica } from "../harness/peering.mjs";
import { Random } from "../harness/random.mjs";
import { Worker } from "../harness/worker.mjs";

const { WebSocket, WebSocketServer } = createRequire(new URL("../../pkg/package.json", import.meta.url))("ws");

const [MORE, LAST] = [0, 1];
const random = Random.ofRun("peers-ports");
const all = owner();
const found = { "bad ports": 0, "uncaught errors": 0 };

process.on("uncaughtException", () => {
  found["uncaught errors"] += 1;
});

after(() => {
  assert.equal(found["uncaught errors"], 0);
  figures("peers-ports", found);
});

/** A replica with a peer, so that it is seen to go on whatever another port brings. @param {string} name */
async function pair(name) {
  const [left, right] = [await Replica.open(all, name), await Replica.open(all, name)];
  join(left, right);
  await Promise.all([peered(left.db, 1), peered(right.db, 1)]);
  return [left, right];
}

/** What becomes of a port through which these messages come. @param {Replica} replica @param {unknown[]} messages */
async function bring(replica, messages, options = {}) {
  const { port1, port2 } = new MessageChannel();
  const peer = replica.db.connectPeer(port1, options);
  for (const message of messages) port2.postMessage(message);
  const error = await peer.closed;
  port2.close();
  found["bad ports"] += 1;
  return error;
}

test("what is no frame ends the port, and nothing else", async () => {
  const [left, right] = await pair("garbage");
  const bad = [
    "hello",
    42,
    null,
    undefined,
    { hello: "world" },
    ["a"],
    new Uint8Array(0),
    Uint8Array.of(LAST),
    Uint8Array.of(MORE),
    Uint8Array.of(2, 2),
    Uint8Array.of(7, 1, 2, 3),
    new Uint8Array(random.bytes(64)).fill(255, 0, 1),
    new Float64Array([Math.PI]),
  ];
  for (const message of bad) {
    const error = await bring(left, [message]);
    assert.ok(error instanceof HeadwaterError);
    assert.equal(error.code, "MALFORMED", `${message}`);
  }
  // Pieces in their right form, and noise in them.
  for (let n = 0; n < 200; n += 1) {
    const noise = Uint8Array.of(LAST, ...random.bytes(random.between(1, 80)));
    const error = await bring(left, [noise]);
    assert.ok(error instanceof HeadwaterError, "noise ends the port with an error");
    assert.match(error.code, /^(MALFORMED|TOO_LARGE|OUT_OF_ORDER|VERSION|DATABASE_RESET)$/);
  }
  left.set("goes on", 1);
  assert.equal((await right.read(left.bookmark())).map["goes on"], 1);
});

test("a frame without end is given up at its limit", async () => {
  const [left, right] = await pair("endless");
  const pieces = Array.from({ length: 80 }, () => new Uint8Array(64 << 10).fill(9).fill(MORE, 0, 1));
  assert.equal((await bring(left, pieces))?.code, "TOO_LARGE");
  left.set("goes on", 1);
  assert.equal((await right.read(left.bookmark())).map["goes on"], 1);
});

test("what connects nobody is refused at once", async () => {
  const { db } = await Replica.open(all, "refused");
  const broadcast = new BroadcastChannel("no port");
  broadcast.unref?.();
  for (const port of [undefined, null, 7, "port", {}, { send() {} }, new EventTarget(), broadcast]) {
    assert.throws(() => db.connectPeer(port), { code: "MALFORMED" });
  }
  broadcast.close();
  const { port1 } = new MessageChannel();
  for (const options of [{ token: 7 }, { authorize: "yes" }, { signal: 1 }, { tokens: "" }, null]) {
    assert.throws(() => db.connectPeer(port1, options), { code: "MALFORMED" });
  }
  assert.throws(() => db.connectPeer(port1, { token: "x".repeat(9000) }), { code: "TOO_LARGE" });
  const peer = db.connectPeer(port1);
  assert.throws(() => db.connectPeer(port1), { code: "MALFORMED" });
  peer.close();
  assert.equal(await peer.closed, null);
  assert.throws(() => db.joinPeers(), { code: "MALFORMED" }, "there is nothing that carries signals");
  assert.throws(() => db.joinPeers({ signal: {} }), { code: "MALFORMED" });
  for (const peers of [0, -1, 1.5, 1025, "2"]) {
    assert.throws(() => db.transact(() => {}, { concern: { peers } }), { code: "MALFORMED" });
  }
});

test("a peer that authorize refuses gets nothing, and both sides are told why", async () => {
  const [left, right] = [await Replica.open(all, "door"), await Replica.open(all, "door")];
  left.set("secret", 1);
  right.set("also", 1);
  /** @type {(string | undefined)[]} */
  const asked = [];
  const doors = [
    [{}, { authorize: (token) => asked.push(token) < 0 }],
    [{ token: "wrong" }, { authorize: async (token) => asked.push(token) < 0 }],
    [{ token: "odd" }, { authorize: (token) => /** @type {any} */ (asked.push(token) && "yes") }],
  ];
  for (const [mine, theirs] of doors) {
    const { port1, port2 } = new MessageChannel();
    const [guest, host] = [right.db.connectPeer(port1, mine), left.db.connectPeer(port2, theirs)];
    const errors = await Promise.all([guest.closed, host.closed]);
    assert.deepEqual(errors.map((error) => error?.code), ["UNAUTHORIZED", "UNAUTHORIZED"]);
    found["bad ports"] += 1;
  }
  assert.deepEqual(asked, [undefined, "wrong", "odd"]);
  assert.deepEqual([right.map, left.map], [{ also: 1 }, { secret: 1 }]);

  const { port1, port2 } = new MessageChannel();
  right.db.connectPeer(port1, { token: "right" });
  left.db.connectPeer(port2, { authorize: async (token) => token === "right" });
  const [document] = await converged([right, left]);
  assert.deepEqual(document.map, { secret: 1, also: 1 });
});

test("an authorize that throws has not said yes, and its error goes where uncaught ones go", async () => {
  const [left, right] = [await Replica.open(all, "throws"), await Replica.open(all, "throws")];
  left.set("secret", 1);
  /** @type {unknown[]} */
  const reported = [];
  const { reportError } = globalThis;
  globalThis.reportError = (error) => void reported.push(error.message);
  const { port1, port2 } = new MessageChannel();
  const guest = right.db.connectPeer(port1);
  left.db.connectPeer(port2, {
    authorize: () => {
      throw new Error("no idea");
    },
  });
  assert.equal((await guest.closed)?.code, "UNAUTHORIZED");
  await Promise.resolve();
  assert.deepEqual(reported, ["no idea"]);
  globalThis.reportError = reportError;
  assert.deepEqual(right.map, {});
});

test("a copy of another leader's database is refused, and both sides are told why", async () => {
  const workers = [await Worker.start(all), await Worker.start(all)];
  const [left, right] = await Promise.all(workers.map(({ url }) => Replica.open(all, "strangers", url)));
  for (const replica of [left, right]) {
    replica.db.connect();
    await live(replica.db);
    replica.set(replica === left ? "left" : "right", 1);
    await settled(replica.db);
  }
  const errors = await Promise.all(join(left, right).map(({ closed }) => closed));
  assert.deepEqual(errors.map((error) => error?.code), ["DATABASE_RESET", "DATABASE_RESET"]);
  assert.deepEqual([left.map, right.map], [{ left: 1 }, { right: 1 }]);
  found["bad ports"] += 1;
});

test("a port that closes midway is told, and the next one brings the rest", async () => {
  const [left, right] = [await Replica.open(all, "midway"), await Replica.open(all, "midway")];
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  all.after(() => server.close());
  const connect = async () => {
    const accepted = once(server, "connection");
    const client = new WebSocket(`ws://127.0.0.1:${server.address().port}`);
    // Still connecting on one side.
    const mine = left.db.connectPeer(client);
    const [socket] = await accepted;
    return { mine, theirs: right.db.connectPeer(socket), socket };
  };
  const { mine, theirs, socket } = await connect();
  await Promise.all([peered(left.db, 1), peered(right.db, 1)]);
  for (let n = 0; n < 40; n += 1) left.set(`large${n}`, "x".repeat(200_000));
  await Promise.resolve();
  socket.terminate();
  const errors = await Promise.all([mine.closed, theirs.closed]);
  assert.deepEqual(errors.map((error) => error?.code), ["OFFLINE", "OFFLINE"]);
  await peered(left.db, 0);
  assert.ok(Object.keys(right.map).length < 40, "the port closed before everything had come");
  const again = await connect();
  const { map } = await right.read(left.bookmark());
  assert.equal(Object.keys(map).length, 40);
  again.theirs.close();
  assert.equal(await again.mine.closed, null);
});

test("an aborted signal closes the connection, and closing the database says goodbye", async () => {
  const [left, right] = [await Replica.open(all, "goodbye"), await Replica.open(all, "goodbye")];
  const abort = new AbortController();
  const { port1, port2 } = new MessageChannel();
  const mine = left.db.connectPeer(port1, { signal: abort.signal });
  const theirs = right.db.connectPeer(port2);
  await Promise.all([peered(left.db, 1), peered(right.db, 1)]);
  assert.match(mine.id ?? "", /^[0-9a-f]{16}$/);
  abort.abort();
  assert.equal((await mine.closed)?.code, "ABORTED");
  assert.equal(await theirs.closed, null);
  const [, other] = join(left, right);
  await peered(right.db, 1);
  await left.db.close();
  assert.equal(await other.closed, null);
  await peered(right.db, 0);
  assert.throws(() => left.db.connectPeer(new MessageChannel().port1), { code: "CLOSED" });
});

test("closing two databases that are joined lets the process end", () => {
  const script = `
    import { open } from "headwater";
    const [left, right] = [await open("ending", { storage: "memory" }), await open("ending", { storage: "memory" })];
    const { port1, port2 } = new MessageChannel();
    left.connectPeer(port1);
    right.connectPeer(port2);
    const doc = await left.doc("notes");
    await doc.transact(() => doc.getMap("map").set("a", 1)).reached({ peers: 1 });
    await Promise.all([left.close(), right.close()]);
  `;
  const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    cwd: new URL("pkg-tests", `file://${ROOT}`),
    encoding: "utf8",
    timeout: 30_000,
  });
  assert.equal(status, 0, stderr);
});
