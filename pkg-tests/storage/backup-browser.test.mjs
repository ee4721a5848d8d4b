/** A browser's copy in a file and back, without a network: from IndexedDB, also of what is not open. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Browser } from "../harness/browser.mjs";
import { owner } from "../harness/cleanup.mjs";
import { figures } from "../harness/figures.mjs";
import { Site } from "../harness/site.mjs";
import { docsOf } from "./backups.mjs";

const DOCS = 40;

test("what a browser has stored is exported, imported and still there after a reload", async (t) => {
  const all = owner(t);
  const site = await Site.start(all);
  const browser = await Browser.start(all);
  const page = await browser.visit(site.url);
  const text = await page.evaluate(async (count) => {
    const db = await window.headwater.open("from");
    for (let at = 0; at < count; at += 1) {
      const doc = await db.doc(`docs/${at}`);
      await doc.transact(() => doc.getMap("map").set("at", at)).reached("local");
      doc.close();
    }
    const large = await db.doc("large");
    for (let at = 0; at < 6; at += 1) {
      await large.transact(() => large.getText("text").insert(0, `${at}`.repeat(400_000))).reached("local");
    }
    await db.close();
    return large.name;
  }, DOCS);
  assert.equal(text, "large");
  await page.reload();

  const told = await page.evaluate(async () => {
    const db = await window.headwater.open("from");
    const seen = [];
    const blob = await new Response(db.export({ onProgress: ({ doc }) => seen.push(doc) })).blob();
    const into = await window.headwater.open("into");
    const { documents, receipts } = await into.import(blob);
    await Promise.all(receipts.map((receipt) => receipt.reached("local")));
    const again = await into.import(blob);
    const cut = await into.import(blob.slice(0, blob.size - 1)).catch((error) => error.code);
    await into.close();
    await db.close();
    const bytes = new Uint8Array(await blob.arrayBuffer());
    let binary = "";
    for (let at = 0; at < bytes.length; at += 8192) binary += String.fromCharCode(...bytes.subarray(at, at + 8192));
    return { seen, documents, receipts: receipts.length, again: again.receipts.length, cut, file: btoa(binary) };
  });
  assert.equal(told.documents, DOCS + 1);
  assert.equal(told.receipts, DOCS + 1);
  assert.equal(told.again, 0);
  assert.equal(told.cut, "CORRUPT");
  assert.equal(new Set(told.seen).size, DOCS + 1);
  const docs = await docsOf(Buffer.from(told.file, "base64"));
  assert.equal(docs.get("large").getText("text").length, 2_400_000);

  await page.reload();
  const held = await page.evaluate(async (count) => {
    const db = await window.headwater.open("into");
    const at = [];
    for (let n = 0; n < count; n += 1) at.push((await db.doc(`docs/${n}`)).getMap("map").get("at"));
    const large = await db.doc("large");
    const pending = db.pending.count;
    const length = large.getText("text").length;
    await db.close();
    return { at, length, pending };
  }, DOCS);
  assert.deepEqual(held.at, Array.from({ length: DOCS }, (_, at) => at));
  assert.equal(held.length, 2_400_000);
  figures("backup-browser", { documents: told.documents, "bytes in the file": Buffer.from(told.file, "base64").length, lost: 0 });
});
