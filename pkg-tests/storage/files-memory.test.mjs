/** A big file goes through a page, a worker and another page, and none of them ever has much of it in memory. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { Browser } from "../harness/browser.mjs";
import { owner } from "../harness/cleanup.mjs";
import { FULL } from "../harness/env.mjs";
import { figures } from "../harness/figures.mjs";
import { live, openIn } from "../harness/pages.mjs";
import { rendererOf } from "../harness/renderers.mjs";
import { Site } from "../harness/site.mjs";
import { Worker } from "../harness/worker.mjs";

const MIB = 1 << 20;
const SIZE = (FULL ? 100 : 8) * MIB;
/**
 * What a process may grow by while the file passes through. Each holds four chunks of it at once, 1 MiB; the rest is garbage
 * that is not collected yet. An isolate of Cloudflare has 128 MiB in all; Chromium lets some 200 MiB gather, whatever the size.
 */
const GROWTH_MAX = { workerd: 96 * MIB, page: 384 * MIB };
const SAMPLE_MS = 20;

test(`a file of ${SIZE / MIB} MiB is put and read within the memory bound, with progress`, async (t) => {
  const all = owner(t);
  const [worker, site, browser] = [await Worker.start(all), await Site.start(all), await Browser.start(all)];
  const writer = await opened(await browser.visit(site.url), worker.url);
  const writerPid = await rendererOf(writer, new Set());
  const put = await watched({ page: writerPid, workerd: worker.pid }, () =>
    writer.evaluate(async (size) => {
      const stored = [];
      const begin = performance.now();
      const file = await window.db.files.put(window.files.stream(7, size), { onProgress: ({ bytes }) => stored.push(bytes) });
      const storedMs = performance.now() - begin;
      const sent = [];
      file.receipt.on("progress", ({ bytes }) => sent.push(bytes));
      await file.receipt.reached("all", { timeoutMs: 300_000 });
      const sentMs = performance.now() - begin;
      return { ref: file.ref, storedMs, sentMs, stored: stored.length, sent: sent.length, last: [stored.at(-1), sent.at(-1)] };
    }, SIZE),
  );
  assert.deepEqual(put.answer.last, [SIZE, SIZE]);
  assert.ok(put.answer.stored >= SIZE / MIB && put.answer.sent >= SIZE / MIB, "progress is told at least once for each MiB");

  const reader = await opened(await browser.visit(site.url), worker.url);
  const readerPid = await rendererOf(reader, new Set([writerPid]));
  const got = await watched({ page: readerPid, workerd: worker.pid }, () =>
    reader.evaluate(async ([ref, size]) => {
      const begin = performance.now();
      let told = 0;
      const blob = await window.db.files.get(ref, { onProgress: () => void (told += 1) });
      const gotMs = performance.now() - begin;
      return { gotMs, told, isSame: await window.files.isStream(blob, 7, size) };
    }, /** @type {const} */ ([put.answer.ref, SIZE])),
  );
  assert.ok(got.answer.isSame);
  assert.ok(got.answer.told >= SIZE / MIB);
  figures("files: big", {
    MiB: SIZE / MIB,
    "stored in s": put.answer.storedMs / 1000,
    "at the leader in s": put.answer.sentMs / 1000,
    "read in s": got.answer.gotMs / 1000,
    "workerd grew by MiB": Math.max(put.growth.workerd, got.growth.workerd) / MIB,
    "workerd at most MiB": Math.max(put.peak.workerd, got.peak.workerd) / MIB,
    "writing page grew by MiB": put.growth.page / MIB,
    "reading page grew by MiB": got.growth.page / MIB,
  });
  for (const { growth } of [put, got]) {
    for (const name of /** @type {const} */ (["workerd", "page"])) {
      assert.ok(growth[name] < GROWTH_MAX[name], `${name} grew by ${growth[name]} bytes`);
    }
  }
});

/** @param {import("playwright-core").Page} page @param {string} url */
async function opened(page, url) {
  await page.evaluate(async () => void (window.files = await import("/files-page.js")));
  await openIn(page, { database: "files", url });
  await live(page);
  return page;
}

/**
 * How much the resident memory of processes grew at most while something ran.
 * @template T
 * @param {Record<"page" | "workerd", number | undefined>} pids
 * @param {() => Promise<T>} run
 */
async function watched(pids, run) {
  const before = { page: await residentBytes(pids.page), workerd: await residentBytes(pids.workerd) };
  const peak = { ...before };
  let isOver = false;
  const look = async () => {
    while (!isOver) {
      for (const name of /** @type {const} */ (["page", "workerd"])) peak[name] = Math.max(peak[name], await residentBytes(pids[name]));
      await new Promise((resolve) => void setTimeout(resolve, SAMPLE_MS));
    }
  };
  const looking = look();
  const answer = await run();
  isOver = true;
  await looking;
  return { answer, peak, growth: { page: peak.page - before.page, workerd: peak.workerd - before.workerd } };
}

/** @param {number | undefined} pid */
async function residentBytes(pid) {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024;
}
