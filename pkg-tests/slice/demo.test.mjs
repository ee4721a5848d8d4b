/** The demo page, served by the worker itself: two replicas, a cut cable, a reload. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";

import { Browser } from "../harness/browser.mjs";
import { owner } from "../harness/cleanup.mjs";
import { ROOT } from "../harness/env.mjs";
import { figures } from "../harness/figures.mjs";
import { Worker } from "../harness/worker.mjs";

test("the demo page shows two replicas that converge, wait offline, and survive a reload", async (t) => {
  const all = owner(t);
  const worker = await Worker.start(all, { www: join(ROOT, "www/dist") });
  const browser = await Browser.start(all);
  const begin = performance.now();
  const page = await browser.visit(`${worker.url}/`, { isTestPage: false });
  /** @type {string[]} */
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  const [laptop, phone] = [pane(page, "laptop"), pane(page, "phone")];
  for (const side of [laptop, phone]) await side.is('[data-testid="status"][data-phase="live"]');
  const liveMs = performance.now() - begin;
  // What a new board begins with.
  for (const side of [laptop, phone]) await side.is('[data-testid="card"]');

  await laptop.add("todo", "Seen by both");
  await phone.has("Seen by both");
  await laptop.is('[data-pending="0"]', { isPane: true });

  await laptop.switchCable();
  await laptop.is('[data-testid="status"][data-phase="offline"]');
  await laptop.add("todo", "Written offline");
  await phone.add("doing", "Written meanwhile");
  await laptop.has("Written offline");
  assert.equal(await laptop.pending(), 1);
  assert.equal(await phone.count("Written offline"), 0, "a cut cable carries nothing");
  assert.equal(await laptop.count("Written meanwhile"), 0);

  await laptop.locator.getByTestId("reload-replica").click();
  // What was unsent is still there, and still pending.
  await laptop.is('[data-pending="1"]', { isPane: true });
  await laptop.has("Written offline");
  await page.reload();
  await laptop.is('[data-pending="1"]', { isPane: true });
  await laptop.is('[data-testid="status"]:not([data-phase="opening"])');
  await laptop.has("Written offline");

  if (!(await laptop.isOnline())) await laptop.switchCable();
  await laptop.is('[data-testid="status"][data-phase="live"]');
  await phone.has("Written offline");
  await laptop.has("Written meanwhile");
  await laptop.is('[data-pending="0"]', { isPane: true });

  await laptop.locator.getByTestId("card").filter({ hasText: "Seen by both" }).locator(".card-title").click();
  await laptop.locator.getByTestId("card-text").pressSequentially("Hello");
  await laptop.locator.getByTestId("card-close").click();
  await phone.locator.getByTestId("card").filter({ hasText: "Seen by both" }).locator(".card-title").click();
  await page.waitForFunction(
    () => document.querySelector('#phone [data-testid="card-text"]')?.value === "Hello",
  );

  await page.getByTestId("read-run").click();
  await page.waitForFunction(() =>
    ["eventual", "session", "strong"].every((level) => {
      const answer = document.querySelector(`[data-testid="read-${level}"] .answer`)?.textContent ?? "";
      return answer !== "" && answer !== "–";
    }),
  );
  assert.deepEqual(errors, []);
  figures("demo", { "both replicas live after ms": Math.round(liveMs), "errors on the page": errors.length });
});

/**
 * One side of the page.
 * @param {import("playwright-core").Page} page
 * @param {string} id
 */
function pane(page, id) {
  const locator = page.getByTestId(`replica-${id}`);
  const cards = (/** @type {string} */ title) => locator.getByTestId("card").filter({ hasText: title });
  return {
    locator,
    /** Waits until something matches. @param {string} selector @param {{ isPane?: boolean }} [options] */
    async is(selector, { isPane = false } = {}) {
      await page.locator(isPane ? `#${id}${selector}` : `#${id} ${selector}`).first().waitFor({ state: "attached" });
    },
    /** @param {string} column @param {string} title */
    async add(column, title) {
      const input = locator.locator(".column").filter({ has: page.getByTestId(`column-${column}`) }).getByTestId("add-card");
      await input.fill(title);
      await input.press("Enter");
    },
    /** @param {string} title */
    has: (title) => cards(title).first().waitFor({ state: "attached" }),
    /** @param {string} title */
    count: (title) => cards(title).count(),
    pending: async () => Number(await locator.getByTestId("pending-count").textContent()),
    switchCable: () => locator.locator(".switch").click(),
    isOnline: () => locator.getByTestId("online-switch").isChecked(),
  };
}
