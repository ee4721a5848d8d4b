/** When a file goes, and from where: a worker with a short retention, with and without a bucket. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Browser } from "../harness/browser.mjs";
import { owner } from "../harness/cleanup.mjs";
import { figures } from "../harness/figures.mjs";
import { Site } from "../harness/site.mjs";
import { until } from "../harness/until.mjs";
import { Worker } from "../harness/worker.mjs";
import { CHUNK_BYTES, DATABASE, opened, SIZE, statusResponse } from "./files-set-up.mjs";

test("a file goes when no document refers to it and retention has passed, and not before", async (t) => {
  const all = owner(t);
  const RETENTION_MS = 1500;
  const worker = await Worker.start(all, { env: { HEADWATER_FILES_RETENTION_MS: String(RETENTION_MS) } });
  const [site, browser] = [await Site.start(all), await Browser.start(all)];
  const page = await opened(await browser.visit(site.url), worker.url);
  const refs = await page.evaluate(async () => {
    const put = async (seed) => {
      const file = await window.db.files.put(window.files.content(seed, 300_000));
      await file.receipt.reached("all");
      return file.ref;
    };
    const refs = { mark: await put(6), map: await put(1), text: await put(2), list: await put(3), none: await put(4), moved: await put(5) };
    const other = await window.db.doc("other/doc");
    window.other = other;
    window.doc.getMap("m").set("file", { src: refs.map, alt: "x" });
    window.doc.getText("t").insert(0, `see ${refs.text} here`);
    window.doc.getArray("l").push([refs.list]);
    window.doc.getText("rich").insert(0, "picture", { link: refs.mark });
    other.getMap("m").set("file", refs.moved);
    await window.doc.transact(() => window.doc.getMap("m").set("file2", refs.moved)).reached("leader");
    // More rows than the leader leaves in its log: what refers to files is folded into what it keeps of documents.
    for (let n = 0; n < 280; n += 1) await window.doc.transact(() => window.doc.getMap("n").set("n", n)).reached("leader");
    return refs;
  });
  const isThere = async (/** @type {string} */ ref) => (await statusResponse(worker, ref)).ok;
  const gone = (/** @type {string} */ ref, /** @type {string} */ what) =>
    until(async () => !(await isThere(ref)), { what, timeoutMs: 8 * RETENTION_MS });
  await gone(refs.none, "the file that nobody refers to has gone");
  // Three passes and more, and a restart: what is referred to stays.
  const begin = Date.now();
  await worker.restart();
  await until(() => Date.now() - begin > 3 * RETENTION_MS, { what: "retention has passed three times" });
  for (const name of /** @type {const} */ (["map", "text", "list", "moved", "mark"])) assert.ok(await isThere(refs[name]), name);
  await page.evaluate(() => window.page.live(window.db));
  const removedAt = Date.now();
  await page.evaluate(async () => {
    window.doc.transact(() => {
      window.doc.getMap("m").delete("file");
      window.doc.getMap("m").delete("file2");
      window.doc.getText("t").delete(0, 30);
    });
    await window.doc.transact(() => window.doc.getArray("l").delete(0, 1)).reached("leader");
  });
  await Promise.all([gone(refs.map, "of a map"), gone(refs.text, "of a text"), gone(refs.list, "of an array")]);
  const tookMs = Date.now() - removedAt;
  assert.ok(tookMs >= RETENTION_MS, `it was kept for ${tookMs} ms`);
  assert.ok(await isThere(refs.moved), "another document refers to it");
  assert.ok(await isThere(refs.mark), "a mark in a text refers to it");
  // Put again it is there again, though the browser had taken it for safe.
  const again = await page.evaluate(async (ref) => {
    const file = await window.db.files.put(await window.db.files.get(ref));
    await file.receipt.reached("all");
    return file.ref;
  }, refs.map);
  assert.ok(again === refs.map && (await isThere(again)));
  figures("files: removal", { "retention ms": RETENTION_MS, "gone after ms": tookMs, removed: 4, kept: 2 });
});

test("with a bucket the chunks are there, and go from there", async (t) => {
  const all = owner(t);
  const env = { HEADWATER_FILES_RETENTION_MS: "1500" };
  const worker = await Worker.start(all, { config: "pkg-tests/storage/files-bucket.capnp", env });
  const [site, browser] = [await Site.start(all), await Browser.start(all)];
  const page = await opened(await browser.visit(site.url), worker.url);
  const ref = await page.evaluate(async (size) => {
    const file = await window.db.files.put(window.files.content(9, size));
    await window.doc.transact(() => window.doc.getMap("m").set("file", file.ref)).reached("leader");
    await file.receipt.reached("all");
    return file.ref;
  }, SIZE);
  const [, id] = /hw-file:([^/]+)/.exec(ref) ?? [];
  const keys = async () => (await fetch(`${worker.url}/bucket`)).json();
  assert.deepEqual((await keys()).sort(), Array.from({ length: 13 }, (_, n) => `/${DATABASE}/${id}/${n}`).sort());
  const { storageBytes } = await worker.status(DATABASE);
  assert.ok(storageBytes < CHUNK_BYTES, `the node itself has ${storageBytes} bytes`);
  await worker.restart();
  const other = await opened(await browser.visit(site.url), worker.url);
  const isSame = await other.evaluate(async ([ref, size]) => {
    return window.files.isStream(await window.db.files.get(ref), 9, size, size);
  }, /** @type {const} */ ([ref, SIZE]));
  assert.ok(isSame);
  await page.evaluate(() => window.page.live(window.db));
  await page.evaluate(() => window.doc.transact(() => window.doc.getMap("m").delete("file")).reached("leader"));
  await until(async () => (await keys()).length === 0, { what: "the bucket is empty", timeoutMs: 20_000 });
});
