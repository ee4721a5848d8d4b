/** Everything that browsers do to IndexedDB, in real Chromium: what the application is told, and what is still there. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Profile } from "../harness/browser.mjs";
import { owner } from "../harness/cleanup.mjs";
import { figures } from "../harness/figures.mjs";
import { Link } from "../harness/link.mjs";
import { jsonIn, live, openIn, settled } from "../harness/pages.mjs";
import { Site } from "../harness/site.mjs";
import { until } from "../harness/until.mjs";
import { Worker } from "../harness/worker.mjs";
import { damage, dump, restore, storageName } from "./idb.mjs";

const all = owner();
/** @type {Worker} */
let worker;
/** @type {Site} */
let site;
/** @type {Profile} */
let profile;
const counted = { failures: 0, "unsent writes saved": 0, "unsent writes told lost": 0 };

before(async () => {
  worker = await Worker.start(all);
  site = await Site.start(all);
  profile = await Profile.create(all);
});

after(() => figures("indexeddb", counted));

/**
 * @param {string} name
 * @param {(t: import("node:test").TestContext) => Promise<unknown>} run
 */
function failure(name, run) {
  test(name, async (t) => {
    await run(t);
    counted.failures += 1;
  });
}

/** Has a page note what it is told. */
const listen = () => {
  window.told = [];
  window.db.on("storage", ({ cause, doc, lost, error }) => void window.told.push({ cause, doc, lost, code: error?.code ?? null }));
};

/** Waits until a page was told of something that happened to its storage. @param {import("playwright-core").Page} page */
async function told(page) {
  return until(() => page.evaluate(() => window.told[0]), { what: "the application is told", timeoutMs: 20_000 });
}

/** Writes names and waits for a stage. */
const write = async ({ names, stage }) => {
  for (const name of names) window.doc.transact((doc) => doc.getMap("names").set(name, 1));
  await window.doc.lastReceipt.reached(stage);
};

/** What `open` answers: its error, or nothing. */
const tryOpen = async (what) => {
  try {
    Object.assign(window, await window.page.openDoc(window.headwater, what));
    return null;
  } catch (error) {
    const { code, message } = /** @type {any} */ (error);
    return { code, message };
  }
};

for (const how of /** @type {const} */ (["deleted by the page", "cleared by the browser"])) {
  for (const tabs of /** @type {const} */ (["alone", "shared"])) {
    failure(`storage that is ${how} while it is open is made anew from memory (${tabs})`, async (t) => {
      const link = await Link.start(owner(t), worker);
      const database = `gone-${how.split(" ")[0]}-${tabs}`;
      const what = { database, url: link.url, options: { tabs } };
      const page = await profile.visit(site.url);
      await openIn(page, what);
      await live(page);
      await page.evaluate(write, { names: ["settled"], stage: "leader" });
      await settled(page);
      link.goOffline();
      await page.evaluate(write, { names: ["unsent 1", "unsent 2"], stage: "local" });
      await page.evaluate(listen);
      await remove(page, how, storageName(database));
      assert.deepEqual(await told(page), { cause: "deleted", doc: null, lost: null, code: "BUSY" });
      const shown = await jsonIn(page);
      assert.deepEqual(Object.keys(shown.names).sort(), ["settled", "unsent 1", "unsent 2"], "nothing that showed is gone");
      await page.evaluate(write, { names: ["after"], stage: "local" });
      const { phase, error } = await page.evaluate(() => window.db.status);
      assert.equal(error, null);
      assert.ok(["offline", "connecting"].includes(phase));

      // What is in the new storage is what another page finds.
      await page.close();
      const next = await profile.visit(site.url);
      await openIn(next, what);
      assert.equal(await next.evaluate(() => window.db.pending.count), 3);
      link.goOnline();
      await live(next);
      await settled(next);
      const { names } = await worker.json(database, "notes");
      assert.deepEqual(Object.keys(names).sort(), ["after", "settled", "unsent 1", "unsent 2"]);
      await until(async () => Object.keys((await jsonIn(next)).names).length === 4, { what: "the page has everything again" });
      counted["unsent writes saved"] += 3;
      await next.evaluate(() => window.db.close());
      await next.close();
    });
  }
}

failure("two tabs whose storage is cleared both go on, and lose nothing", async (t) => {
  const link = await Link.start(owner(t), worker);
  const what = { database: "two-tabs", url: link.url };
  const pages = [await profile.visit(site.url), await profile.visit(site.url)];
  for (const page of pages) {
    await openIn(page, what);
    await live(page);
    await page.evaluate(listen);
  }
  const [first, second] = /** @type {[import("playwright-core").Page, import("playwright-core").Page]} */ (/** @type {unknown} */ (pages));
  await first.evaluate(write, { names: ["settled"], stage: "leader" });
  link.goOffline();
  await first.evaluate(write, { names: ["first"], stage: "local" });
  await second.evaluate(write, { names: ["second"], stage: "local" });
  await remove(first, "cleared by the browser", storageName("two-tabs"));
  for (const page of pages) assert.equal((await told(page)).cause, "deleted");
  await first.evaluate(write, { names: ["first after"], stage: "local" });
  await second.evaluate(write, { names: ["second after"], stage: "local" });
  link.goOnline();
  for (const page of pages) {
    await live(page);
    await settled(page);
    await until(async () => Object.keys((await jsonIn(page)).names).length === 5, { what: "the tab has everything" });
  }
  const { names } = await worker.json("two-tabs", "notes");
  assert.deepEqual(Object.keys(names).sort(), ["first", "first after", "second", "second after", "settled"]);
  counted["unsent writes saved"] += 2;
  for (const page of pages) await page.close();
});

failure("a connection that is closed by force is opened again", async () => {
  const page = await profile.visit(site.url, { init: captureConnections });
  await openIn(page, { database: "forced", url: worker.url });
  await live(page);
  await page.evaluate(listen);
  // Chromium tells of a forced close by an event, and refuses transactions from then on.
  for (const tells of [true, false]) {
    await page.evaluate((tells) => {
      for (const connection of window.connections.splice(0)) {
        connection.close();
        if (tells) connection.dispatchEvent(new Event("close"));
      }
    }, tells);
    await page.evaluate(write, { names: [`after ${tells}`], stage: "local" });
  }
  assert.deepEqual(await page.evaluate(() => window.told), [], "there is nothing to tell");
  assert.equal(await page.evaluate(() => window.db.status.error), null);
  await page.evaluate(() => window.db.close());
  await page.close();
});

failure("another page that upgrades the storage is not held up, and this one says that it is outdated", async () => {
  const page = await profile.visit(site.url);
  await openIn(page, { database: "newer", url: worker.url });
  await live(page);
  await page.evaluate(write, { names: ["a"], stage: "local" });
  const took = await page.evaluate(async (name) => {
    const begin = performance.now();
    await new Promise((resolve, reject) => {
      const request = indexedDB.open(name, 99);
      request.onerror = () => reject(request.error);
      request.onsuccess = () => resolve(request.result.close());
    });
    return performance.now() - begin;
  }, storageName("newer"));
  assert.ok(took < 5_000, `the upgrade waited for ${took} ms`);
  await until(() => page.evaluate(() => window.db.status.error?.code === "VERSION"), { what: "the status says so" });
  // It goes on with the leader.
  await page.evaluate(write, { names: ["b"], stage: "leader" });
  await page.close();
});

failure("storage of a newer version is refused, and not touched", async () => {
  const page = await profile.visit(site.url);
  const name = storageName("downgrade");
  await page.evaluate((name) => new Promise((resolve) => {
    const request = indexedDB.open(name, 3);
    request.onupgradeneeded = () => void request.result.createObjectStore("updates").put(1, "one");
    request.onsuccess = () => resolve(request.result.close());
  }), name);
  const error = await page.evaluate(tryOpen, { database: "downgrade" });
  assert.equal(error?.code, "VERSION");
  assert.match(error?.message ?? "", /newer version.*reload/);
  const left = await page.evaluate(dump, name);
  assert.deepEqual([left.version, left.stores.updates?.length], [3, 1]);
  await page.close();
});

failure("an upgrade that another page blocks ends with an error that says so", async () => {
  const page = await profile.visit(site.url);
  const error = await page.evaluate(async (name) => {
    // It does not let go when it is asked to.
    const request = indexedDB.open(name, 1);
    await new Promise((resolve) => Object.assign(request, { onsuccess: resolve }));
    const begin = performance.now();
    const error = await window.headwater.open("blocked").then(() => null, (error) => error);
    request.result.close();
    const db = await window.headwater.open("blocked");
    await db.close();
    return { code: error?.code, message: error?.message, ms: performance.now() - begin };
  }, storageName("blocked"));
  assert.equal(error.code, "STORAGE_UNAVAILABLE");
  assert.match(error.message, /close other tabs/);
  assert.ok(error.ms < 20_000);
  await page.close();
});

failure("a host that refuses storage says so, and what to do instead", async () => {
  const page = await profile.visit(`${site.url}/blank`);
  const code = await page.evaluate(async (url) => {
    const frame = document.createElement("iframe");
    // An origin of its own, as in some private windows: asking for storage throws.
    frame.sandbox.add("allow-scripts");
    frame.srcdoc = `<script type="module">
      import { open } from "${url}/headwater/browser.js";
      const db = await open("refused").catch((error) => error);
      const memory = await open("refused", { storage: "memory" });
      parent.postMessage([db.code, memory.status.storage?.kind ?? "memory"], "*");
    </script>`;
    const heard = new Promise((resolve) => window.addEventListener("message", ({ data }) => resolve(data), { once: true }));
    document.body.append(frame);
    return heard;
  }, site.url);
  assert.deepEqual(code, ["STORAGE_UNAVAILABLE", "memory"]);
  await page.close();
});

failure("a host without IndexedDB says so", async () => {
  const page = await profile.visit(site.url, { init: () => Object.defineProperty(globalThis, "indexedDB", { value: undefined }) });
  const error = await page.evaluate(tryOpen, { database: "none" });
  assert.equal(error?.code, "STORAGE_UNAVAILABLE");
  assert.match(error?.message ?? "", /storage: "memory"/);
  await page.close();
});

failure("a full disk is told with a code, and the leader gets everything", async (t) => {
  // An origin of its own. Of one that is in use the browser remembers for half a minute how much is left.
  const { url: origin } = await Site.start(owner(t));
  const page = await profile.visit(origin);
  const session = await page.context().newCDPSession(page);
  await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 150_000 });
  await openIn(page, { database: "quota", url: worker.url });
  await live(page);
  await page.evaluate(write, { names: ["before"], stage: "local" });
  const { code, length } = await page.evaluate(async () => {
    // The browser allows for a transaction what it believes to have left, and looks again afterwards.
    for (let at = 0; at < 30; at += 1) {
      // Nothing that the browser can compress.
      const bytes = Array.from({ length: 4 }, () => crypto.getRandomValues(new Uint8Array(65_536)));
      const text = bytes.map((part) => Array.from(part, (byte) => byte.toString(16).padStart(2, "0")).join("")).join("");
      const receipt = window.doc.transact((doc) => doc.getText("text").insert(0, text));
      const code = await receipt.reached("local").then(() => null, (error) => error.code);
      await receipt.reached("leader");
      if (code !== null) return { code, length: window.doc.getText("text").length };
    }
    return { code: null, length: 0 };
  });
  assert.equal(code, "QUOTA");
  assert.equal(await page.evaluate(() => window.db.status.error?.code), "QUOTA");
  await session.send("Storage.overrideQuotaForOrigin", { origin });
  await page.evaluate(() => window.db.close().catch(() => {}));
  await openIn(page, { database: "quota", url: worker.url, options: { storage: "memory" } });
  await live(page);
  await until(async () => (await page.evaluate(() => window.doc.getText("text").length)) === length, { what: "the leader has what was not stored" });
  await page.evaluate(() => window.db.close());
  await page.close();
});

failure("eviction between two openings is told, with the unsent writes that it cost", async (t) => {
  const link = await Link.start(owner(t), worker);
  const what = { database: "evicted", url: link.url };
  const page = await profile.visit(site.url);
  await openIn(page, what);
  await live(page);
  await page.evaluate(write, { names: ["settled"], stage: "leader" });
  await settled(page);
  link.goOffline();
  await page.evaluate(write, { names: ["a", "b", "c"], stage: "local" });
  await page.evaluate(() => window.db.close());
  await page.evaluate(erase, storageName("evicted"));
  link.goOnline();
  await openIn(page, what);
  const incident = await page.evaluate(() => window.db.status.incident);
  assert.deepEqual([incident?.cause, incident?.lost], ["evicted", { writes: 3 }]);
  counted["unsent writes told lost"] += 3;
  await live(page);
  await until(async () => (await jsonIn(page)).names?.settled === 1, { what: "the leader gives back what it holds" });
  await page.evaluate(() => window.db.close());
  await openIn(page, what);
  assert.equal(await page.evaluate(() => window.db.status.incident), null, "it is told once");
  await page.evaluate(() => window.db.close());
  await page.close();
});

failure("an older copy that was put back is told, and no write gets the place of another", async (t) => {
  const link = await Link.start(owner(t), worker);
  const what = { database: "older", url: link.url };
  const name = storageName("older");
  const page = await profile.visit(site.url);
  await openIn(page, what);
  await live(page);
  await page.evaluate(write, { names: ["first"], stage: "leader" });
  await page.evaluate(() => window.db.close());
  const copy = await page.evaluate(dump, name);
  await openIn(page, what);
  await live(page);
  await page.evaluate(write, { names: ["second"], stage: "leader" });
  await settled(page);
  link.goOffline();
  await page.evaluate(write, { names: ["unsent"], stage: "local" });
  await page.evaluate(() => window.db.close());
  await page.evaluate(erase, name);
  await page.evaluate(restore, { name, from: copy });
  link.goOnline();
  await openIn(page, what);
  const incident = await page.evaluate(() => window.db.status.incident);
  assert.deepEqual([incident?.cause, incident?.lost], ["rolled-back", { writes: 1 }]);
  counted["unsent writes told lost"] += 1;
  await page.evaluate(write, { names: ["third"], stage: "leader" });
  await live(page);
  await until(async () => Object.keys((await jsonIn(page)).names ?? {}).length === 3, { what: "everything that the leader holds is here" });
  const { names } = await worker.json("older", "notes");
  assert.deepEqual(Object.keys(names).sort(), ["first", "second", "third"]);
  await page.evaluate(() => window.db.close());
  await page.close();
});

for (const store of /** @type {const} */ (["updates", "docs", "streams", "outbox", "meta"])) {
  for (const how of /** @type {const} */ (["cut", "empty"])) {
    failure(`${store}: rows that are damaged (${how}) cost what is in them and nothing else`, async (t) => {
      const link = await Link.start(owner(t), worker);
      const database = `damaged-${store}-${how}`;
      const what = { database, url: link.url };
      const page = await profile.visit(site.url);
      await openIn(page, what);
      await live(page);
      await page.evaluate(write, { names: ["settled"], stage: "leader" });
      await settled(page);
      link.goOffline();
      await page.evaluate(write, { names: ["unsent"], stage: "local" });
      await page.evaluate(() => window.db.close());
      const rows = await page.evaluate(damage, { name: storageName(database), store, how });
      assert.ok(rows > 0);
      const error = await page.evaluate(tryOpen, what);
      if (store === "meta") {
        const before = await page.evaluate(dump, storageName(database));
        assert.equal(error?.code, "CORRUPT", "what everything hangs on is not guessed");
        const { stores } = await page.evaluate(dump, storageName(database));
        assert.deepEqual(stores.outbox, before.stores.outbox, "and nothing is overwritten");
        return page.close();
      }
      assert.equal(error, null);
      // A row of nothing says nothing, and is read as that.
      const isSeen = how === "cut" || store === "outbox" || store === "docs";
      if (isSeen) {
        const incident = await page.evaluate(() => window.db.status.incident);
        assert.equal(incident?.cause, "damaged");
        assert.deepEqual(incident?.lost, store === "outbox" ? { writes: rows } : null);
        if (store === "outbox") counted["unsent writes told lost"] += rows;
      }
      link.goOnline();
      await live(page);
      await settled(page);
      const wanted = store === "outbox" ? ["settled"] : ["settled", "unsent"];
      // An empty row of updates is no damage one could see: its document lacks what was in it until it is read from a leader anew.
      if (how !== "empty" || store !== "updates") await page.waitForFunction(isWholeIn, wanted);
      const { names } = await worker.json(database, "notes");
      assert.deepEqual(Object.keys(names).sort(), wanted);
      await page.evaluate(() => window.db.close());
      await openIn(page, what);
      assert.equal(await page.evaluate(() => window.db.status.incident), null, "the damage is gone");
      await page.evaluate(() => window.db.close());
      await page.close();
    });
  }
}

failure("a document whose bytes no document takes is closed, and comes from the leader when it is opened again", async (t) => {
  const database = "flipped";
  const what = { database, url: worker.url };
  const page = await profile.visit(site.url);
  await openIn(page, what);
  await live(page);
  await page.evaluate(write, { names: ["settled"], stage: "leader" });
  await settled(page);
  await page.evaluate(() => window.db.close());
  await page.evaluate(damage, { name: storageName(database), store: "updates", how: "garble" });
  const error = await page.evaluate(tryOpen, what);
  assert.equal(error?.code, "CORRUPT");
  await openIn(page, what);
  await live(page);
  await page.waitForFunction(isWholeIn, ["settled"]);
  await page.close();
});

/** @param {import("playwright-core").Page} page @param {"deleted by the page" | "cleared by the browser"} how @param {string} name */
async function remove(page, how, name) {
  if (how === "deleted by the page") return page.evaluate(erase, name);
  const session = await page.context().newCDPSession(page);
  await session.send("Storage.clearDataForOrigin", { origin: site.url, storageTypes: "indexeddb" });
}

/** Deletes a database. */
const erase = (/** @type {string} */ name) =>
  /** @type {Promise<void>} */ (
    new Promise((resolve, reject) => {
      const request = indexedDB.deleteDatabase(name);
      request.onsuccess = () => resolve(undefined);
      request.onerror = () => reject(request.error);
    })
  );

/** Whether the page's document has these names. */
const isWholeIn = (/** @type {string[]} */ wanted) => wanted.every((name) => name in (window.doc.toJSON().names ?? {}));

/** Runs in a page before any script of its own: what it opens is at hand. */
const captureConnections = () => {
  /** @type {IDBDatabase[]} */
  const connections = [];
  const open = IDBFactory.prototype.open;
  IDBFactory.prototype.open = function (...parameters) {
    const request = open.apply(this, parameters);
    request.addEventListener("success", () => void connections.push(request.result));
    return request;
  };
  Object.assign(window, { connections });
};
