/** The public API in a browser: shared types, observers, receipts, rejections, several documents, tabs, closing. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Browser, ready } from "../harness/browser.mjs";
import { owner } from "../harness/cleanup.mjs";
import { figures } from "../harness/figures.mjs";
import { jsonIn, live, openIn, settled } from "../harness/pages.mjs";
import { Site } from "../harness/site.mjs";
import { Worker } from "../harness/worker.mjs";

const all = owner();
/** @type {Worker} */
let worker;
/** @type {Site} */
let site;
/** @type {Browser} */
let browser;
let passed = 0;

before(async () => {
  worker = await Worker.start(all);
  site = await Site.start(all);
  browser = await Browser.start(all);
});

after(() => figures("api", { "behaviours shown": passed }));

test("shared types hold what Yjs holds, on both sides and at the leader", async () => {
  const [a, b] = await pair("types");
  await a.evaluate(() => {
    const { SharedArray, SharedMap, SharedText } = window.headwater;
    window.doc.transact(() => {
      const map = window.doc.getMap("map");
      for (const [key, value] of Object.entries({ n: 1.5, s: "ü🙂", b: true, z: null, o: { deep: [1, { x: 2 }] } })) {
        map.set(key, value);
      }
      map.set("bytes", Uint8Array.of(0, 255));
      map.set("nested", new SharedMap({ title: "Ship", tags: new SharedArray(["a", "b"]), body: new SharedText("hi") }));
      const list = window.doc.getArray("list");
      list.push(["one", "three"]);
      list.insert(1, ["two"]);
      list.delete(0);
      const text = window.doc.getText("text");
      text.insert(0, "Hello world");
      text.format(0, 5, { bold: true });
      text.insertEmbed(5, { image: "x" });
    });
    const nested = window.doc.getMap("map").get("nested");
    nested.get("body").insert(2, " there");
    nested.get("tags").push(["c"]);
  });
  await settled(a);
  await reads(b, await bookmark(a));
  const seen = await b.evaluate(() => {
    const { bytes, ...map } = window.doc.getMap("map").toJSON();
    const delta = window.doc.getText("text").toDelta();
    return { map, bytes: [...bytes], list: window.doc.getArray("list").toJSON(), delta };
  });
  assert.deepEqual(seen, {
    map: {
      n: 1.5,
      s: "ü🙂",
      b: true,
      z: null,
      o: { deep: [1, { x: 2 }] },
      nested: { title: "Ship", tags: ["a", "b", "c"], body: "hi there" },
    },
    bytes: [0, 255],
    list: ["two", "three"],
    delta: [
      { insert: "Hello", attributes: { bold: true } },
      { insert: { image: "x" }, attributes: seen.delta[1].attributes },
      { insert: " world" },
    ].map((step) => JSON.parse(JSON.stringify(step))),
  });
  const held = await worker.json("types", "notes");
  assert.deepEqual(held.list, ["two", "three"]);
  assert.deepEqual(held.map.nested, seen.map.nested);
  passed += 1;
});

test("observers are told what changed, where it was written and where it arrives", async () => {
  const [a, b] = await pair("observers");
  for (const page of [a, b]) {
    await page.evaluate(() => {
      window.told = [];
      const say = (type) => (event) => {
        const keys = [...event.keys].map(([key, { action, oldValue }]) => [key, action, oldValue ?? null]);
        window.told.push({ type, local: event.local, keys, delta: event.delta });
      };
      window.doc.getText("text").observe(say("text"));
      window.doc.getArray("list").observe(say("list"));
      window.doc.getMap("map").observe(say("map"));
      window.doc.getMap("map").observeDeep((events) => window.told.push({ type: "deep", paths: events.map((e) => e.path) }));
    });
  }
  await a.evaluate(() => {
    const { SharedMap } = window.headwater;
    window.doc.transact(() => {
      window.doc.getText("text").insert(0, "abc");
      window.doc.getArray("list").push([1, 2]);
      window.doc.getMap("map").set("card", new SharedMap({ done: false }));
    });
    window.doc.transact(() => {
      window.doc.getText("text").delete(1, 1);
      window.doc.getMap("map").get("card").set("done", true);
    });
  });
  await settled(a);
  await reads(b, await bookmark(a));
  const [inA, inB] = [await a.evaluate(() => window.told), await b.evaluate(() => window.told)];
  assert.deepEqual(inA.find(({ type }) => type === "text"), {
    type: "text",
    local: true,
    keys: [],
    delta: [{ insert: "abc" }],
  });
  assert.deepEqual(inA.filter(({ type }) => type === "text")[1].delta, [{ retain: 1 }, { delete: 1 }]);
  assert.deepEqual(inA.find(({ type }) => type === "list").delta, [{ insert: [1, 2] }]);
  assert.deepEqual(inA.find(({ type }) => type === "map").keys, [["card", "add", null]]);
  assert.deepEqual(inA.filter(({ type }) => type === "deep").at(-1).paths, [["card"]]);
  assert.ok(inB.length > 0 && inB.every((event) => event.type === "deep" || event.local === false), "not local there");
  // Two transactions may arrive as one change; what they add up to is the same.
  const text = inB.filter(({ type }) => type === "text").flatMap(({ delta }) => delta);
  assert.ok(text.length > 0);
  assert.deepEqual(await jsonIn(b), await jsonIn(a));
  passed += 1;
});

test("an observer may write, and one that throws stops nobody", async () => {
  const page = await alone("rewrites", { storage: "memory", connect: false });
  page.removeAllListeners("pageerror");
  const outcome = await page.evaluate(async () => {
    const uncaught = new Promise((resolve) => {
      window.addEventListener("error", (event) => {
        event.preventDefault();
        resolve(event.error.message);
      }, { once: true });
    });
    const map = window.doc.getMap("map");
    map.observe(() => {
      throw new Error("on purpose");
    });
    map.observe((event) => {
      if (event.keys.has("asked")) map.set("answered", true);
    });
    map.set("asked", true);
    return { json: map.toJSON(), uncaught: await uncaught, pending: window.db.pending.count };
  });
  assert.deepEqual(outcome, { json: { answered: true, asked: true }, uncaught: "on purpose", pending: 2 });
  passed += 1;
});

test("events tell of a change also when the last one told was the same", async () => {
  const page = await alone("events", { storage: "memory", connect: false });
  const told = await page.evaluate(async () => {
    const { db, doc, page } = window;
    const write = () => doc.getMap("map").set("a", Math.random());
    const told = [];
    write();
    const off = db.on("pending", ({ count }) => told.push(count));
    write();
    await page.turns(2);
    off();
    db.connect();
    const listening = page.settled(db);
    await listening;
    db.disconnect();
    await page.phase(db, "offline");
    db.connect();
    await page.phase(db, "live");
    db.disconnect();
    await page.turns(2);
    // Offline again, which nobody heard; live again, which is news.
    const isLive = page.phase(db, "live");
    db.connect();
    await isLive;
    return told;
  });
  assert.deepEqual(told, [2]);
  passed += 1;
});

test("a receipt goes through its stages in order", async () => {
  const page = await alone("stages", { url: worker.url });
  await live(page);
  const { stages, late, id, nothing } = await page.evaluate(async () => {
    const receipt = window.doc.transact(() => window.doc.getMap("map").set("a", 1));
    const stages = [receipt.stage];
    receipt.on("stage", (stage) => stages.push(stage));
    await receipt.reached("local");
    await receipt.reached("quorum");
    await receipt.reached();
    const nothing = window.doc.transact(() => undefined);
    await nothing.reached("all");
    return { stages, late: receipt.stage, id: receipt.id, nothing: nothing.id };
  });
  const order = ["applied", "local", "leader", "quorum", "all"];
  const places = stages.map((stage) => order.indexOf(stage));
  assert.equal(stages[0], "applied");
  assert.ok(places.every((place, at) => at === 0 || place > (places[at - 1] ?? 0)), `stages came as ${stages.join(", ")}`);
  assert.ok(order.indexOf(late) >= order.indexOf("quorum"), `it ended at ${late}`);
  assert.match(id, /^[0-9a-f]{16}:1$/);
  assert.equal(nothing, null, "a transaction that changed nothing is no write");
  passed += 1;
});

test("a write above the limit is rejected on its receipt, and what is written later arrives", async () => {
  const [a, b] = await pair("limits");
  const outcome = await a.evaluate(async () => {
    const map = window.doc.getMap("map");
    window.doc.transact(() => map.set("before", 1));
    const resets = [];
    window.db.on("reset", ({ doc }) => resets.push(doc));
    const tooLarge = window.doc.transact(() => map.set("large", "x".repeat(1 << 20)));
    const builds = window.doc.transact(() => map.set("builds on it", 1));
    const code = await tooLarge.reached("leader").then(() => "none", (error) => error.code);
    const later = await builds.reached("leader").then(() => "none", (error) => error.code);
    const stages = [tooLarge.stage, tooLarge.error?.code];
    // Who has heard of the rejection may write again at once.
    await window.doc.transact(() => map.set("after", 2)).reached("leader");
    return { code, later, stages, resets, json: map.toJSON(), pending: window.db.pending.count };
  });
  assert.equal(outcome.code, "TOO_LARGE");
  assert.deepEqual(outcome.stages, ["rejected", "TOO_LARGE"]);
  assert.equal(outcome.later, "DEPENDS_ON_REJECTED");
  const expected = { after: 2, before: 1 };
  assert.deepEqual(outcome.json, expected, "the document is back without what was rejected");
  assert.deepEqual(outcome.resets, ["notes"]);
  assert.equal(outcome.pending, 0);
  await reads(b, await bookmark(a));
  assert.deepEqual((await jsonIn(b)).map, expected);
  assert.deepEqual(await worker.json("limits", "notes"), { map: expected });
  await a.reload();
  await ready(a);
  await openIn(a, { database: "limits", url: worker.url });
  assert.deepEqual((await jsonIn(a)).map ?? {}, expected, "also after a reload");
  passed += 1;
});

test("what is wrong is told by its code", async () => {
  const page = await alone("errors", { storage: "memory", connect: false });
  const codes = await page.evaluate(async () => {
    const { open, SharedMap } = window.headwater;
    const { db, doc } = window;
    const list = doc.getArray("list");
    const session = db.session();
    const nested = new SharedMap();
    doc.getMap("map").set("nested", nested);
    doc.getMap("map").delete("nested");
    const attempts = {
      name: () => open(""),
      option: () => open("x", { storge: "memory" }),
      url: () => open("x", { url: "ftp://example.com" }),
      doc: () => db.doc("a\nb"),
      range: () => list.insert(5, ["x"]),
      negative: () => doc.getText("text").insert(-1, "x"),
      kind: () => doc.getMap("list"),
      value: () => doc.getMap("map").set("f", () => undefined),
      deleted: () => nested.set("x", 1),
      twice: () => doc.getMap("map").set("again", doc.getMap("map")),
      promise: () => doc.transact(async () => undefined),
      consistency: () => session.read("notes", () => null, { consistency: "sesion" }),
      timeout: () => session.read("notes", () => null, { timeoutMs: -1 }),
      writes: () => session.read("notes", (doc) => void doc.getMap("map").set("x", 1), { consistency: "eventual" }),
      ended: () => (session.close(), session.read("notes", () => null)),
    };
    const codes = {};
    for (const [what, attempt] of Object.entries(attempts)) {
      try {
        await attempt();
        codes[what] = "none";
      } catch (error) {
        codes[what] = error.code ?? String(error);
      }
    }
    await db.close();
    for (const [what, attempt] of Object.entries({
      closed: () => doc.getMap("map").set("x", 1),
      closedDoc: () => db.doc("other"),
      closedSession: () => db.session(),
    })) {
      try {
        await attempt();
        codes[what] = "none";
      } catch (error) {
        codes[what] = error.code ?? String(error);
      }
    }
    return codes;
  });
  assert.deepEqual(codes, {
    name: "MALFORMED",
    option: "MALFORMED",
    url: "MALFORMED",
    doc: "MALFORMED",
    range: "RANGE",
    negative: "RANGE",
    kind: "TYPE",
    value: "TYPE",
    deleted: "DELETED",
    twice: "TYPE",
    promise: "MALFORMED",
    consistency: "MALFORMED",
    timeout: "MALFORMED",
    writes: "MALFORMED",
    ended: "CLOSED",
    closed: "CLOSED",
    closedDoc: "CLOSED",
    closedSession: "CLOSED",
  });
  passed += 1;
});

test("two documents in one write arrive together", async () => {
  const [a, b] = await pair("together");
  for (const page of [a, b]) await page.evaluate(async () => void (window.other = await window.db.doc("other")));
  const rounds = 50;
  await b.evaluate(() => {
    window.apart = 0;
    const n = (doc) => doc.getMap("map").get("n") ?? 0;
    const look = () => (window.apart += n(window.doc) === n(window.other) ? 0 : 1);
    window.doc.on("change", look);
    window.other.on("change", look);
  });
  await a.evaluate(async (rounds) => {
    for (let n = 1; n <= rounds; n += 1) {
      const receipt = window.db.transact(() => {
        window.doc.getMap("map").set("n", n);
        window.other.getMap("map").set("n", n);
      });
      if (n % 3 === 0) await receipt.reached("leader");
    }
  }, rounds);
  await settled(a);
  await reads(b, await bookmark(a));
  const { apart, n } = await b.evaluate(() => ({ apart: window.apart, n: window.other.getMap("map").get("n") }));
  assert.equal(n, rounds);
  assert.equal(apart, 0, "one was there without the other");
  assert.equal((await worker.status("together")).entriesCommitted, rounds, "one entry for each write");
  passed += 1;
});

test("two tabs on one database lose nothing", async () => {
  const first = await browser.visit(site.url);
  const second = await browser.visitBeside(first, site.url);
  const each = 200;
  for (const page of [first, second]) await openIn(page, { database: "tabs", url: worker.url });
  await Promise.all([first, second].map((page, tab) =>
    page.evaluate(async ({ tab, each }) => {
      for (let at = 0; at < each; at += 1) {
        window.doc.getMap("map").set(`${tab}-${at}`, at);
        if (at % 10 === 0) await window.page.macrotask();
      }
    }, { tab, each }),
  ));
  // One goes away in the middle of it, and comes back.
  await first.reload();
  await ready(first);
  await openIn(first, { database: "tabs", url: worker.url });
  await settled(first);
  await settled(second);
  const held = (await worker.json("tabs", "notes")).map;
  assert.equal(Object.keys(held).length, 2 * each, "the leader has what both wrote");
  for (const page of [first, second]) {
    await page.evaluate((size) => window.page.changed(window.doc, () => window.doc.getMap("map").size === size), 2 * each);
  }
  assert.equal((await worker.status("tabs")).lsn, 2 * each, "each once");
  await second.close();
  await first.reload();
  await ready(first);
  await openIn(first, { database: "tabs", options: {} });
  assert.equal(await first.evaluate(() => window.doc.getMap("map").size), 2 * each, "and it is all in storage");
  passed += 1;
});

test("closing stores everything", async () => {
  const page = await alone("closing", { url: worker.url, connect: false });
  const count = await page.evaluate(async (url) => {
    for (let at = 0; at < 500; at += 1) window.doc.getMap("map").set(`${at}`, at);
    await window.db.close();
    const { db, doc } = await window.page.openDoc(window.headwater, { database: "closing", url, options: { connect: false } });
    const { count } = db.pending;
    return [doc.getMap("map").size, count];
  }, worker.url);
  assert.deepEqual(count, [500, 500]);
  passed += 1;
});

test("without IndexedDB opening fails, unless memory is asked for", async () => {
  const page = await browser.visit(`${site.url}/blank`);
  const found = await page.evaluate(async () => {
    Object.defineProperty(window, "indexedDB", { value: undefined });
    const { open } = await import("/headwater/browser.js");
    const code = await open("none").then(() => "none", (error) => error.code);
    const db = await open("none", { storage: "memory" });
    const receipt = (await db.doc("notes")).transact((doc) => doc.getMap("map").set("a", 1));
    await new Promise((resolve) => setTimeout(resolve));
    return { code, kind: db.status.storage?.kind, stage: receipt.stage };
  });
  assert.deepEqual(found, { code: "STORAGE_UNAVAILABLE", kind: "memory", stage: "applied" });
  passed += 1;
});

test("storage keeps documents apart and brings large ones back whole", async () => {
  const page = await alone("contract", {});
  // Names that begin alike, and contents beyond what one scan answers.
  const names = ["a", "a/b", "a/", "ab", "b", "ä", "a\u00ff"];
  const sizes = await page.evaluate(async (names) => {
    const sizes = {};
    for (const [at, name] of names.entries()) {
      const doc = await window.db.doc(name);
      let receipt;
      for (let part = 0; part < 40; part += 1) {
        receipt = doc.transact(() => doc.getArray("parts").push([`${name}-${part}-${"x".repeat(at === 0 ? 100_000 : 10)}`]));
        if (part % 7 === 0) await receipt.reached("local");
      }
      await receipt.reached("local");
      sizes[name] = JSON.stringify(doc.toJSON()).length;
    }
    return sizes;
  }, names);
  await page.reload();
  await ready(page);
  await openIn(page, { database: "contract" });
  const again = await page.evaluate(async (names) => {
    const found = {};
    for (const name of names) {
      const json = (await window.db.doc(name)).toJSON();
      const inOrder = json.parts.every((part, at) => part.startsWith(`${name}-${at}-`));
      found[name] = inOrder ? JSON.stringify(json).length : "not in order";
    }
    return found;
  }, names);
  assert.deepEqual(again, sizes);
  assert.ok((sizes["a"] ?? 0) > 4_000_000);
  passed += 1;
});

/** Two browsers on one database, connected. @param {string} database */
async function pair(database) {
  const pages = [await browser.visit(site.url), await browser.visit(site.url)];
  for (const page of pages) {
    await openIn(page, { database, url: worker.url });
    await live(page);
  }
  return /** @type {[import("playwright-core").Page, import("playwright-core").Page]} */ (pages);
}

/** One browser on one database. @param {string} database @param {object} options */
async function alone(database, options) {
  const page = await browser.visit(site.url);
  const url = "connect" in options ? { url: worker.url } : {};
  await openIn(page, { database, options: { ...url, ...options } });
  return page;
}

/** @param {import("playwright-core").Page} page */
function bookmark(page) {
  return page.evaluate(() => window.db.session().bookmark());
}

/** Waits until a page has what a bookmark names. @param {import("playwright-core").Page} page @param {string} from */
async function reads(page, from) {
  await page.evaluate((from) => window.db.session({ from }).read("notes", () => null).then(() => undefined), from);
}
