/** Storage that an earlier version of the package wrote is read by this one; what a later one wrote is refused. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gunzipSync } from "node:zlib";

import { Profile } from "../harness/browser.mjs";
import { owner } from "../harness/cleanup.mjs";
import { ROOT } from "../harness/env.mjs";
import { figures } from "../harness/figures.mjs";
import { jsonIn, openIn } from "../harness/pages.mjs";
import { Site } from "../harness/site.mjs";
import { dump, restore, storageName } from "./idb.mjs";

const FIXTURES = ["storage-v1.json.gz"];

const all = owner();
/** @type {Site} */
let site;
/** @type {Profile} */
let profile;
const counted = { layouts: 0, "unsent writes found": 0 };

before(async () => {
  site = await Site.start(all);
  profile = await Profile.create(all);
});

after(() => figures("upgrade", counted));

for (const name of FIXTURES) {
  test(`${name} opens with everything in it`, async () => {
    const { json, pending, storage } = fixture(name);
    const database = `upgraded-${storage.version}`;
    const page = await profile.visit(site.url);
    // The keys name no database: it can have another name here.
    await page.evaluate(restore, { name: storageName(database), from: storage });
    await openIn(page, { database, url: site.url, options: { connect: false } });
    assert.deepEqual(await jsonIn(page), json);
    const found = await page.evaluate(async () => {
      const other = await window.db.doc("other");
      const receipts = window.db.pending.receipts();
      window.doc.transact((doc) => doc.getMap("names").set("after", 1));
      await window.doc.lastReceipt?.reached("local");
      await window.db.close();
      return { other: other.name, stages: receipts.map(({ stage }) => stage) };
    });
    assert.deepEqual(found.stages, Array(pending).fill("local"), "unsent writes are there, and nothing was sent");
    await openIn(page, { database, url: site.url, options: { connect: false } });
    const again = await page.evaluate(() => ({ pending: window.db.pending.count, json: window.doc.toJSON() }));
    assert.equal(again.pending, pending + 1);
    assert.deepEqual(again.json, { ...json, names: { ...json.names, after: 1 } });
    await page.evaluate(() => window.db.close());
    await page.close();
    counted.layouts += 1;
    counted["unsent writes found"] += pending;
  });
}

/** @param {string} name @returns {{ json: Record<string, any>, pending: number, storage: import("./idb.mjs").Dump }} */
function fixture(name) {
  return JSON.parse(gunzipSync(readFileSync(join(ROOT, "pkg-tests/fixtures", name))).toString());
}
