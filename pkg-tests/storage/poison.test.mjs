/** A WebAssembly instance dies, by a trap or for want of memory: its database is made anew from storage, and others go on. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Profile } from "../harness/browser.mjs";
import { owner } from "../harness/cleanup.mjs";
import { rounds } from "../harness/env.mjs";
import { figures } from "../harness/figures.mjs";
import { live, openIn, settled } from "../harness/pages.mjs";
import { Site } from "../harness/site.mjs";
import { until } from "../harness/until.mjs";
import { Worker } from "../harness/worker.mjs";
import { captureInstances } from "./wasm.mjs";

const ROUNDS = rounds(20, 3);

const all = owner();
/** @type {Worker} */
let worker;
/** @type {Site} */
let site;
/** @type {Profile} */
let profile;
const counted = { deaths: 0, "lost writes told": 0, "ms until restored at most": 0 };

before(async () => {
  worker = await Worker.start(all);
  site = await Site.start(all);
  profile = await Profile.create(all);
});

after(() => figures("poison", counted));

/** @param {string} database @param {object} [options] */
async function open(database, options) {
  const page = await profile.visit(site.url, { init: captureInstances });
  await openIn(page, { database, url: worker.url, options });
  await live(page);
  return page;
}

/** Kills the newest instance of the page and waits until its database is there again; answers what was thrown meanwhile. */
const trapAndWait = async () => {
  const restored = new Promise((resolve) => {
    const off = window.db.on("storage", (event) => {
      off();
      resolve(event);
    });
  });
  const begin = performance.now();
  window.killNewest();
  let thrown = null;
  try {
    window.doc.getMap("names").set("never", 1);
  } catch (error) {
    thrown = /** @type {any} */ (error).code;
  }
  const { phase } = window.db.status;
  const { cause, lost } = /** @type {any} */ (await restored);
  return { thrown, phase, cause, lost, ms: performance.now() - begin };
};

for (const tabs of /** @type {const} */ (["shared", "alone"])) {
  test(`after a trap the same objects work on (${tabs})`, async () => {
    const page = await open(`trap-${tabs}`, { tabs });
    for (let round = 0; round < ROUNDS; round += 1) {
      if (round > 0 && round % 2 === 0) {
        // A third death within a minute is the last one.
        await page.reload();
        await page.waitForFunction(() => "headwater" in window);
        await openIn(page, { database: `trap-${tabs}`, url: worker.url, options: { tabs } });
        await live(page);
      }
      await page.evaluate(async (round) => {
        const names = window.doc.getMap("names");
        const list = window.doc.getArray("list");
        window.seen = [];
        names.observe((event) => void window.seen.push({ isReset: event.isReset, keys: [...event.keys.keys()] }));
        Object.assign(window, { names, list });
        const receipt = window.doc.transact(() => {
          names.set(`before ${round}`, round);
          names.set("nested", new window.headwater.SharedMap());
        });
        window.nested = names.get("nested");
        await receipt.reached("local");
        window.receipt = receipt;
      }, round);
      const { thrown, phase, cause, lost, ms } = await page.evaluate(trapAndWait);
      counted.deaths += 1;
      counted["ms until restored at most"] = Math.max(counted["ms until restored at most"], ms);
      assert.equal(thrown, "POISONED");
      assert.equal(phase, "restoring");
      assert.equal(cause, "trapped");
      assert.equal(lost, null, "everything was stored");
      const after = await page.evaluate(async (round) => {
        const { names, nested, receipt } = window;
        const isSame = (await window.db.doc("notes")) === window.doc && window.doc.getMap("names") === names;
        let code = null;
        try {
          nested.set("x", 1);
        } catch (error) {
          code = /** @type {any} */ (error).code;
        }
        const wasReset = window.seen.some(({ isReset }) => isReset);
        names.set(`after ${round}`, round);
        const { keys } = window.seen.at(-1);
        names.get("nested").set("again", round);
        await window.doc.lastReceipt.reached("leader");
        await receipt.reached("leader");
        return { isSame, code, wasReset, keys, stage: receipt.stage, json: names.toJSON() };
      }, round);
      assert.ok(after.isSame, "the document and its root types are the same objects");
      assert.equal(after.code, "DELETED", "a nested type has to be got again");
      assert.ok(after.wasReset, "observers are told of a reset");
      assert.deepEqual(after.keys, [`after ${round}`], "and of what comes after it");
      assert.equal(after.json[`before ${round}`], round);
      assert.ok(["leader", "quorum", "all"].includes(after.stage));
      const { names } = await worker.json(`trap-${tabs}`, "notes");
      assert.deepEqual(names[`after ${round}`], round);
      assert.deepEqual(names.never, undefined);
    }
    await page.evaluate(() => window.db.close());
    await page.close();
  });
}

test("what was in memory alone is told as lost, once", async () => {
  const page = await open("lost", { tabs: "alone" });
  const told = await page.evaluate(async () => {
    const incident = new Promise((resolve) => void window.db.on("storage", resolve));
    const kept = window.doc.transact((doc) => doc.getMap("names").set("kept", 1));
    await kept.reached("local");
    const receipts = ["a", "b"].map((name) => window.doc.transact((doc) => doc.getMap("names").set(name, 1)));
    const waits = Promise.allSettled(receipts.map((receipt) => receipt.reached()));
    // Before the end of the turn, in which they would be stored and sent.
    window.killNewest();
    const reasons = (await waits).map((outcome) => /** @type {any} */ (outcome).reason?.code);
    const { cause, lost } = /** @type {any} */ (await incident);
    const again = await receipts[0]?.reached("local").catch((error) => error.code);
    await window.page.live(window.db);
    await kept.reached("leader");
    const stages = receipts.map((receipt) => [receipt.stage, receipt.error?.code]);
    return { reasons, cause, lost, again, stages, json: window.doc.toJSON(), status: window.db.status.incident?.lost };
  });
  assert.deepEqual(told.reasons, ["POISONED", "POISONED"]);
  assert.deepEqual([told.cause, told.lost, told.status], ["trapped", { writes: 2 }, { writes: 2 }]);
  assert.deepEqual(told.stages, [["rejected", "POISONED"], ["rejected", "POISONED"]]);
  assert.equal(told.again, "POISONED");
  assert.deepEqual(told.json, { names: { kept: 1 } });
  counted.deaths += 1;
  counted["lost writes told"] += 2;
  await page.evaluate(() => window.db.close());
  await page.close();
});

test("a third death within a minute is the last, and another database in the page goes on", async () => {
  const page = await open("thrice", { tabs: "alone" });
  await page.evaluate(async (url) => {
    window.other = await window.headwater.open("other", { url });
    window.otherDoc = await window.other.doc("notes");
    window.otherDoc.getMap("names").set("a", 1);
  }, worker.url);
  // The other one is newer: this one's instance is the one before it.
  for (let death = 1; death <= 3; death += 1) {
    const { thrown } = await page.evaluate(async (death) => {
      window.kill(death === 1 ? 0 : -1);
      try {
        window.doc.getMap("names").set("never", 1);
      } catch (error) {
        return { thrown: /** @type {any} */ (error).code };
      }
      return { thrown: null };
    }, death);
    assert.equal(thrown, "POISONED");
    counted.deaths += 1;
    const wanted = death < 3 ? "live" : "fatal";
    await until(() => page.evaluate((wanted) => window.db.status.phase === wanted, wanted), { what: `it is ${wanted}` });
  }
  const json = await page.evaluate(async () => {
    const receipt = window.otherDoc.transact((doc) => doc.getMap("names").set("b", 2));
    await receipt.reached("leader");
    return window.otherDoc.toJSON();
  });
  assert.deepEqual(json, { names: { a: 1, b: 2 } });
  await page.evaluate(() => Promise.all([window.db.close(), window.other.close()]));
  await page.close();
});

test("want of memory is a death like any other", async () => {
  const page = await open("memory", { tabs: "alone" });
  await page.evaluate(() => window.doc.transact((doc) => doc.getMap("names").set("kept", 1)).reached("local"));
  const { code, cause } = await page.evaluate(async () => {
    const told = new Promise((resolve) => void window.db.on("storage", resolve));
    const { memory } = window.instances.at(-1);
    const page = 65_536;
    let pages = 65_536 - memory.buffer.byteLength / page;
    // As much as there is to be had, so that wasm gets nothing.
    for (; pages >= 1; pages = Math.floor(pages / 2)) {
      try {
        for (;;) memory.grow(pages);
      } catch {
        continue;
      }
    }
    try {
      window.doc.getText("text").insert(0, "x".repeat(64 << 20));
    } catch (error) {
      const { cause } = /** @type {any} */ (await told);
      return { code: /** @type {any} */ (error).code, cause };
    }
    return { code: null, cause: null };
  });
  assert.deepEqual({ code, cause }, { code: "POISONED", cause: "trapped" });
  counted.deaths += 1;
  const json = await page.evaluate(() => window.doc.toJSON());
  assert.deepEqual(json.names, { kept: 1 });
  await page.evaluate(() => window.db.close());
  await page.close();
});
