/** Files in a real group: what a receipt says of members is true when one of them is gone. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Browser } from "../harness/browser.mjs";
import { owner } from "../harness/cleanup.mjs";
import { Cluster } from "../harness/cluster.mjs";
import { figures } from "../harness/figures.mjs";
import { live, openIn } from "../harness/pages.mjs";
import { Site } from "../harness/site.mjs";
import { until } from "../harness/until.mjs";

const CHUNK_BYTES = 256 * 1024;
const SIZE = 8 * CHUNK_BYTES + 99;
const DATABASE = "files";
/** Longer than a member is cut off here: it must not stand for election meanwhile. */
const TIMEOUT_MS = 8000;

test("a file at all is there after the leader is gone for good, and a follower serves what it lacks", async (t) => {
  const { all, cluster, site, browser } = await setUp(t);
  const page = await opened(await browser.visit(site.url), cluster.urls);
  const leader = await cluster.leader(DATABASE);
  const put = await page.evaluate(async (size) => {
    const file = await window.db.files.put(window.files.content(1, size));
    const stages = [];
    file.receipt.on("stage", (stage) => stages.push(stage));
    await file.receipt.reached("quorum");
    await file.receipt.reached("all");
    return { ref: file.ref, stages };
  }, SIZE);
  assert.equal(put.stages.at(-1), "all");
  for (const node of cluster.nodes) assert.deepEqual(await heldBy(node, put.ref), [], `${node.name} has all of it`);

  // One follower is not reached by those who bring files: no receipt says that it holds one.
  const [near, far] = cluster.others(leader);
  for (const node of [leader, near]) node.to.get(far.name)?.stall("up");
  const second = await page.evaluate(async (size) => {
    const file = await window.db.files.put(window.files.content(2, size));
    const quorum = await file.receipt.reached("quorum");
    const beyond = await file.receipt.reached("all", { timeoutMs: 1000 }).catch((error) => error.code);
    window.second = file.receipt;
    return { ref: file.ref, quorum, beyond };
  }, SIZE);
  assert.deepEqual([second.quorum, second.beyond], ["quorum", "TIMEOUT"]);
  assert.equal(await heldBy(far, second.ref), undefined, "it has nothing of it");
  const [, id] = /hw-file:([^/]+)/.exec(second.ref) ?? [];
  const through = await fetch(`${far.worker.url}/v1/${DATABASE}/files/${id}/3`);
  assert.equal((await through.arrayBuffer()).byteLength, CHUNK_BYTES, "it asks the leader for what it lacks");
  cluster.heal();
  const reached = await page.evaluate(() => window.second.reached("all", { timeoutMs: 30_000 }));
  assert.equal(reached, "all");

  await leader.worker.kill();
  const left = cluster.others(leader).map(({ url }) => url);
  const other = await opened(await browser.visit(site.url), left);
  for (const [ref, seed] of /** @type {const} */ ([[put.ref, 1], [second.ref, 2]])) assert.ok(await isGot(other, ref, seed));
  // Another one has been put meanwhile, with two members: at a quorum, not at all of them.
  const third = await other.evaluate(async (size) => {
    const file = await window.db.files.put(window.files.content(3, size));
    const quorum = await file.receipt.reached("quorum", { timeoutMs: 30_000 });
    const beyond = await file.receipt.reached("all", { timeoutMs: 500 }).catch((error) => error.code);
    return { ref: file.ref, quorum, beyond };
  }, SIZE);
  assert.deepEqual([third.quorum, third.beyond], ["quorum", "TIMEOUT"]);

  // The old leader comes back with an empty disk.
  await emptied(leader);
  const begin = Date.now();
  for (const ref of [put.ref, second.ref, third.ref]) {
    await until(async () => (await heldBy(leader, ref))?.length === 0, { what: `${leader.name} holds ${ref} again`, timeoutMs: 60_000 });
  }
  figures("files in a group", { members: 3, files: 3, lost: 0, "ms until an emptied member has them": Date.now() - begin });
  void all;
});

test("a group lets go of a file only when every member agrees", async (t) => {
  const RETENTION_MS = 1500;
  const { cluster, site, browser } = await setUp(t, { HEADWATER_FILES_RETENTION_MS: String(RETENTION_MS) });
  const page = await opened(await browser.visit(site.url), cluster.urls);
  const refs = await page.evaluate(async (size) => {
    const put = async (seed) => {
      const file = await window.db.files.put(window.files.content(seed, size));
      await file.receipt.reached("all");
      return file.ref;
    };
    const refs = { kept: await put(1), dropped: await put(2) };
    window.doc.getMap("m").set("kept", refs.kept);
    await window.doc.transact(() => window.doc.getMap("m").set("dropped", refs.dropped)).reached("all");
    await window.doc.transact(() => window.doc.getMap("m").delete("dropped")).reached("quorum");
    return refs;
  }, SIZE);
  const leader = await cluster.leader(DATABASE);
  const [silent] = cluster.others(leader);
  await silent.worker.kill();
  const begin = Date.now();
  await until(() => Date.now() - begin > 4 * RETENTION_MS, { what: "retention has passed four times" });
  assert.deepEqual(await heldBy(leader, refs.dropped), [], "a member could not be asked");
  await silent.start();
  for (const node of cluster.nodes) {
    const gone = async () => (await heldBy(node, refs.dropped)) === undefined;
    await until(gone, { what: `${node.name} has let go of it`, timeoutMs: 90_000 });
    assert.deepEqual(await heldBy(node, refs.kept), [], `${node.name} keeps the other one`);
  }
  figures("files in a group: removal", { "retention ms": RETENTION_MS, "ms until gone everywhere": Date.now() - begin });
});

/** @param {import("node:test").TestContext} t @param {Record<string, string>} [env] */
async function setUp(t, env = {}) {
  const all = owner(t);
  const cluster = await Cluster.start(all, { settings: { timeoutMs: TIMEOUT_MS }, env });
  const [site, browser] = [await Site.start(all), await Browser.start(all)];
  return { all, cluster, site, browser };
}

/** @param {import("playwright-core").Page} page @param {string[]} url */
async function opened(page, url) {
  await page.evaluate(async () => void (window.files = await import("/files-page.js")));
  await openIn(page, { database: DATABASE, url: /** @type {any} */ (url) });
  await live(page);
  return page;
}

/** Which chunks a member itself lacks; `undefined` if it has not heard of the file. @param {import("../harness/cluster.mjs").ClusterNode} node @param {string} ref */
async function heldBy(node, ref) {
  const [, id] = /hw-file:([^/]+)/.exec(ref) ?? [];
  const response = await fetch(`${node.worker.url}/v1/${DATABASE}/files/${id}`);
  return response.ok ? (await response.json()).missing : undefined;
}

/** @param {import("playwright-core").Page} page @param {string} ref @param {number} seed */
async function isGot(page, ref, seed) {
  return page.evaluate(async ([ref, seed, size]) => {
    return window.files.isStream(await window.db.files.get(ref), seed, size, size);
  }, /** @type {const} */ ([ref, seed, SIZE]));
}

/** @param {import("../harness/cluster.mjs").ClusterNode} node */
async function emptied(node) {
  const { rm } = await import("node:fs/promises");
  await rm(node.worker.storage, { recursive: true, force: true });
  await node.startEmpty();
}
