/** What the lease stores do when what is behind them is gone, frozen, or not what it should be. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { test } from "node:test";

import { owner } from "../harness/cleanup.mjs";
import { Etcd } from "../harness/etcd.mjs";
import { figures } from "../harness/figures.mjs";
import { Worker } from "../harness/worker.mjs";
import { DurableObjectLeaseStore, EtcdLeaseStore } from "./edge-package.mjs";
import { RemoteStore } from "./remote-store.mjs";

/** Larger than any record with what is around it. */
const FLOOD_BYTES = 1_000_000;

test("without etcd calls fail with a code and in time, and work again when it is back", async (t) => {
  const all = owner(t);
  const [etcd, worker] = [await Etcd.start(all), await Worker.start(all, { config: "pkg-tests/group/lease.capnp" })];
  const options = { endpoints: [etcd.url] };
  const stores = { node: new EtcdLeaseStore(options), workerd: new RemoteStore(worker, options) };
  const took = {};
  for (const [host, store] of Object.entries(stores)) {
    const { revision } = await store.swap(host, undefined, "first");
    await etcd.kill();
    const stopped = await unavailable(() => store.read(host), () => store.swap(host, revision, "while stopped"));
    await etcd.start();
    assert.deepEqual(await store.read(host), { record: "first", revision }, "what found nobody was not made");

    await etcd.freeze();
    const frozen = await unavailable(() => store.read(host), () => store.swap(host, revision, "while frozen"));
    etcd.thaw();
    // It lay in a buffer, and etcd may make it now: a swap from the same revision settles which of the two was made.
    const settled = await store.swap(host, revision, "after");
    const held = await store.read(host);
    if (settled.swapped) assert.deepEqual(held, { record: "after", revision: settled.revision });
    else assert.deepEqual([settled.current.record, held], ["while frozen", settled.current]);
    assert.equal((await store.swap(host, held.revision, "next")).swapped, true);
    Object.assign(took, { [`${host} stopped ms`]: Math.round(stopped), [`${host} frozen ms`]: Math.round(frozen) });
  }
  figures("lease: etcd gone", took);
});

test("an endpoint that fails is passed over, the next call does not begin with it", async (t) => {
  const all = owner(t);
  const etcd = await Etcd.start(all);
  let asked = 0;
  const silent = await listening(all, createTcpServer(() => (asked += 1)));
  const nobody = "http://127.0.0.1:1";
  const store = new EtcdLeaseStore({ endpoints: [silent, nobody, etcd.url] });
  const { swapped, revision } = await store.swap("passed", undefined, "first");
  assert.equal(swapped, true);
  const before = asked;
  assert.ok(before > 0, "it began with the silent one");
  assert.deepEqual(await store.read("passed"), { record: "first", revision });
  assert.equal(asked, before, "it remembered which one answers");
});

test("a swap whose answer is lost is made once, and never denied", async (t) => {
  const all = owner(t);
  const etcd = await Etcd.start(all);
  const direct = new EtcdLeaseStore({ endpoints: [etcd.url] });
  let meddle = async () => {};
  // It passes the request on, and is gone before it passes the answer back.
  const cutting = await listening(all, createServer(async (request, response) => {
    const body = await bodyOf(request);
    await fetch(etcd.url + request.url, { method: "POST", body }).then((answer) => answer.text());
    await meddle();
    response.destroy();
  }));
  const store = () => new EtcdLeaseStore({ endpoints: [cutting, etcd.url] });

  const own = await store().swap("lost", undefined, "mine");
  assert.deepEqual(own, { swapped: false, current: await direct.read("lost") }, "one's own record tells");
  assert.equal(own.current.record, "mine");

  const { revision } = own.current;
  meddle = async () => {
    const { revision } = await direct.read("lost");
    assert.equal((await direct.swap("lost", revision, "theirs")).swapped, true);
  };
  // It was made, and replaced: a plain refusal would say that it never was.
  await assert.rejects(store().swap("lost", revision, "mine again"), coded("STORAGE_UNAVAILABLE"));
  assert.equal((await direct.read("lost")).record, "theirs");

  meddle = async () => {};
  await assert.rejects(new EtcdLeaseStore({ endpoints: [cutting] }).swap("lost", undefined, "x"), coded("STORAGE_UNAVAILABLE"));
});

test("an abort ends a call, and is told apart from the call's own limit", async (t) => {
  const silent = await listening(owner(t), createTcpServer(() => {}));
  const hangs = { idFromName: () => "id", get: () => ({ fetch: () => new Promise(() => {}) }) };
  for (const store of [new EtcdLeaseStore({ endpoints: [silent] }), new DurableObjectLeaseStore(hangs)]) {
    await assert.rejects(store.swap("x", undefined, "x", { signal: AbortSignal.timeout(50) }), coded("ABORTED"));
    await assert.rejects(store.read("x", { signal: AbortSignal.abort() }), coded("ABORTED"));
    await unavailable(() => store.read("x"));
  }
});

test("answers that no store gives are errors with a code", async (t) => {
  const all = owner(t);
  const header = { revision: "7" };
  /** @type {[number, string][]} */
  const answers = [
    [200, ""],
    [200, "<html>Sign in</html>"],
    [200, "{}"],
    [200, "[]"],
    [200, "null"],
    [200, "7"],
    [200, '{"header":{"revision":"7"'],
    [200, JSON.stringify({ header: { revision: "seven" } })],
    [200, JSON.stringify({ header, kvs: "none", succeeded: true })],
    [200, JSON.stringify({ header, kvs: [null], succeeded: true, responses: [] })],
    [200, JSON.stringify({ header, kvs: [{}], succeeded: true, responses: [null] })],
    [200, JSON.stringify({ header, kvs: [{ value: "***", mod_revision: "7" }], responses: [{ response_put: {} }] })],
    [200, JSON.stringify({ header, kvs: [{ value: "/w==", mod_revision: "7" }], responses: {} })],
    [200, "x".repeat(FLOOD_BYTES)],
    [204, ""],
    [302, ""],
    [401, '{"error":"etcdserver: invalid auth token","code":16}'],
    [404, "404 page not found"],
    [503, '{"error":"etcdserver: no leader","code":14}'],
  ];
  let [status, body] = answers[0];
  const odd = await listening(all, createServer((_, response) => response.writeHead(status, { location: "/" }).end(body)));
  const oddObject = {
    idFromName: () => "id",
    get: () => ({ fetch: async () => new Response([204].includes(status) ? null : body, { status }) }),
  };
  for ([status, body] of answers) {
    const stores = [
      new EtcdLeaseStore({ endpoints: [odd] }),
      new EtcdLeaseStore({ endpoints: [odd], username: "u", password: "p" }),
    ];
    for (const store of stores) {
      await assert.rejects(store.read("x"), coded("STORAGE_UNAVAILABLE"), `read: ${status} ${body.slice(0, 80)}`);
      await assert.rejects(store.swap("x", "7", "x"), coded("STORAGE_UNAVAILABLE"), `swap: ${status} ${body.slice(0, 80)}`);
    }
    const objects = new DurableObjectLeaseStore(oddObject);
    // That there is none is an answer that the object does give.
    if (status !== 404) await assert.rejects(objects.read("x"), coded("STORAGE_UNAVAILABLE"));
    await assert.rejects(objects.swap("x", "7", "x"), coded("STORAGE_UNAVAILABLE"));
  }
  const broken = { idFromName: () => "id", get: () => ({ fetch: () => Promise.reject(new Error("object reset")) }) };
  await assert.rejects(new DurableObjectLeaseStore(broken).read("x"), coded("STORAGE_UNAVAILABLE"));
  figures("lease: strange answers", { told: answers.length, "without a code": 0 });
});

test("options that cannot be meant are refused", () => {
  const endpoints = ["http://127.0.0.1:2379"];
  const refused = [
    {}, { endpoints: [] }, { endpoints: "http://x" }, { endpoints: ["x"] }, { endpoints: ["ftp://x"] }, { endpoints: [7] },
    { endpoints: ["http://u:p@x"] }, { endpoints: Array(17).fill("http://x") }, { endpoints, user: "x" }, undefined,
    { endpoints, prefix: 7 }, { endpoints, username: 7 }, { endpoints, headers: "x" },
  ];
  for (const options of refused) {
    assert.throws(() => new EtcdLeaseStore(options), coded("MALFORMED"), JSON.stringify(options));
  }
  assert.throws(() => new DurableObjectLeaseStore(undefined), coded("MALFORMED"));
});

test("where etcd wants a user, the store signs in, and again when its token is no longer taken", async (t) => {
  const etcd = await Etcd.start(owner(t));
  const ask = async (path, body) => {
    const response = await fetch(`${etcd.url}/v3/auth/${path}`, { method: "POST", body: JSON.stringify(body) });
    assert.equal(response.status, 200, `${path}: ${await response.text()}`);
  };
  await ask("user/add", { name: "root", password: "secret" });
  await ask("role/add", { name: "root" });
  await ask("user/grant", { user: "root", role: "root" });
  await ask("enable", {});
  const endpoints = [etcd.url];
  const store = new EtcdLeaseStore({ endpoints, username: "root", password: "secret" });
  const { revision } = await store.swap("guarded", undefined, "first");
  // Tokens do not outlive the process.
  await etcd.restart();
  assert.deepEqual(await store.read("guarded"), { record: "first", revision });
  assert.equal((await store.swap("guarded", revision, "second")).swapped, true);
  for (const user of [{}, { username: "root", password: "wrong" }]) {
    await assert.rejects(new EtcdLeaseStore({ endpoints, ...user }).read("guarded"), coded("STORAGE_UNAVAILABLE"));
  }
});

/** Each call fails as unavailable, and in time; answers the longest time. @param {(() => Promise<unknown>)[]} calls */
async function unavailable(...calls) {
  const took = calls.map(async (call) => {
    const begin = performance.now();
    await assert.rejects(call(), coded("STORAGE_UNAVAILABLE"));
    return performance.now() - begin;
  });
  return Math.max(...(await Promise.all(took)));
}

/** @param {string} code */
function coded(code) {
  return (error) => error.name === "HeadwaterError" && error.code === code;
}

/** The address of a server that ends with its owner. @param {import("../harness/cleanup.mjs").Owner} all @param {import("node:net").Server} server */
async function listening(all, server) {
  const sockets = new Set();
  server.on("connection", (socket) => sockets.add(socket.on("error", () => {})));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  all.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}

/** @param {import("node:http").IncomingMessage} request */
async function bodyOf(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}
