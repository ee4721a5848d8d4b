/** The lease stores: the same conformance for each, on what really holds the records, and nobody else gets at them. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { owner } from "../harness/cleanup.mjs";
import { Etcd } from "../harness/etcd.mjs";
import { figures } from "../harness/figures.mjs";
import { Worker } from "../harness/worker.mjs";
import { EtcdLeaseStore } from "./edge-package.mjs";
import { conforms } from "./lease-conformance.mjs";
import { RemoteStore } from "./remote-store.mjs";

const CONFIG = "pkg-tests/group/lease.capnp";

test("Durable Objects keep leases, through kills of workerd", async (t) => {
  const worker = await Worker.start(owner(t), { config: CONFIG });
  const store = new RemoteStore(worker);
  figures("lease: durable object", await conforms({ store, restart: () => worker.restart() }));
});

test("etcd keeps leases for Node.js, through kills of etcd", async (t) => {
  const etcd = await Etcd.start(owner(t));
  const store = new EtcdLeaseStore({ endpoints: [etcd.url] });
  figures("lease: etcd from Node.js", await conforms({ store, restart: () => etcd.restart() }));
});

test("etcd keeps leases for workers, through kills of etcd", async (t) => {
  const all = owner(t);
  const [etcd, worker] = [await Etcd.start(all), await Worker.start(all, { config: CONFIG })];
  const store = new RemoteStore(worker, { endpoints: [etcd.url], prefix: "odd/ü/" });
  figures("lease: etcd from workerd", await conforms({ store, restart: () => etcd.restart() }));
});

test("the edge worker has coordinators, and lets nobody ask them", async (t) => {
  const worker = await Worker.start(owner(t));
  const paths = ["/", "/coordinator", "/lease", "/v1/x", "/v1/x/coordinator", "/v1/x/lease", "/v1/x/docs/a", "/v1/x/status"];
  for (const path of paths) {
    const headers = { "if-none-match": "*" };
    const response = await fetch(worker.url + path, { method: "PUT", headers, body: "{}" });
    assert.ok([404, 405].includes(response.status), `PUT ${path} answered ${response.status}`);
    const read = await fetch(worker.url + path);
    assert.equal(read.headers.get("etag"), null, path);
  }
});
