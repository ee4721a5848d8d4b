/** What tests of files share: a worker, pages that have the database open, and what the worker says of a file. */

import assert from "node:assert/strict";

import { Browser } from "../harness/browser.mjs";
import { owner } from "../harness/cleanup.mjs";
import { live, openIn } from "../harness/pages.mjs";
import { Site } from "../harness/site.mjs";
import { Worker } from "../harness/worker.mjs";

export const CHUNK_BYTES = 256 * 1024;
export const SIZE = 12 * CHUNK_BYTES + 4321;
export const DATABASE = "files";

/** @param {import("node:test").TestContext} t @param {{ isBrowser?: boolean }} [options] */
export async function setUp(t, { isBrowser = true } = {}) {
  const all = owner(t);
  const [worker, site] = [await Worker.start(all), await Site.start(all)];
  const browser = isBrowser ? await Browser.start(all) : /** @type {never} */ (undefined);
  return { all, worker, site, browser };
}

/**
 * Opens the database in a page, with what tests of files do there as `window.files`.
 * @param {import("playwright-core").Page} page
 * @param {string} url
 * @param {object} [options]
 */
export async function opened(page, url, options = {}) {
  await page.evaluate(async () => void (window.files = await import("/files-page.js")));
  await openIn(page, { database: DATABASE, url, options });
  if (options.connect !== false) await live(page);
  return page;
}

/** Puts a file in a page, until the leader has it. @param {Worker} _ @param {number} seed @param {number} size @param {import("playwright-core").Page} page */
export async function putByHttp(_, seed, size, page) {
  return page.evaluate(async ([seed, size]) => {
    const file = await window.db.files.put(window.files.content(seed, size));
    await file.receipt.reached("all");
    return file.ref;
  }, /** @type {const} */ ([seed, size]));
}

/** @param {{ url: string }} worker @param {string} ref */
export async function statusResponse(worker, ref) {
  const [, id] = /hw-file:([^/]+)/.exec(ref) ?? [];
  return fetch(`${worker.url}/v1/${DATABASE}/files/${id}`);
}

/** @param {{ url: string }} worker @param {string} ref */
export async function statusOf(worker, ref) {
  const response = await statusResponse(worker, ref);
  assert.ok(response.ok, `${response.status}: ${ref}`);
  return response.json();
}
