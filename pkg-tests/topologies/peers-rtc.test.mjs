/**
 * Peer to peer in Chromium: replicas that are joined by data channels alone, found by signals that the test or the leader's
 * node carries; then frames of one page in a chain of message ports, which are reloaded, and join a leader.
 */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Browser, ready } from "../harness/browser.mjs";
import { owner } from "../harness/cleanup.mjs";
import { rounds } from "../harness/env.mjs";
import { figures } from "../harness/figures.mjs";
import { Site } from "../harness/site.mjs";
import { Worker } from "../harness/worker.mjs";

const EACH = rounds(200, 40);
const READS = rounds(100, 20);
/** More than any message of a data channel may be. */
const LARGE = 600_000;

// Names in place of addresses need multicast, which containers do not have.
const ARGS = ["--disable-features=WebRtcHideLocalIpsWithMdns"];

/** @typedef {import("playwright-core").Page | import("playwright-core").Frame} Place */

const all = owner();
/** @type {Worker} */
let worker;
/** @type {Site} */
let site;
/** @type {Browser} */
let browser;
const found = { browsers: 0, writes: 0, lost: 0, duplicates: 0, violations: 0 };
/** @type {number[]} */
const reachedMs = [];

before(async () => {
  worker = await Worker.start(all);
  site = await Site.start(all);
  browser = await Browser.start(all, { args: ARGS });
});

after(() => {
  const ms = reachedMs.reduce((sum, each) => sum + each, 0) / reachedMs.length;
  figures("peers-rtc", { ...found, "ms to { peers: 2 }": ms });
});

/** @param {number} count */
async function visit(count) {
  const pages = await Promise.all(Array.from({ length: count }, () => browser.visit(site.url)));
  found.browsers += count;
  return pages;
}

/** Has the test carry what pages signal to each other. @param {import("playwright-core").Page[]} pages */
async function carrySignals(pages) {
  for (const page of pages) {
    await page.exposeFunction("carry", async (message) => {
      const others = pages.filter((other) => other !== page && !other.isClosed());
      // A page may close while it is told.
      await Promise.allSettled(others.map((other) => other.evaluate((message) => window.signal?.onmessage?.(message), message)));
    });
    await page.evaluate(() => {
      window.signal = { send: (message) => void window.carry(message), onmessage: null };
    });
  }
}

/**
 * Opens a database and the document `notes` in a page or a frame.
 * @param {Place} place
 * @param {string} database
 * @param {import("headwater").OpenOptions & { url?: string }} options
 */
async function openIn(place, database, options = {}) {
  await place.evaluate(
    async ([database, options]) => {
      window.db = await window.headwater.open(database, options);
      window.doc = await window.db.doc("notes");
      window.written = 0;
      window.errors = [];
      window.write = (key, value) => {
        window.written += 1;
        return window.doc.transact(() => window.doc.getMap("map").set(key, value));
      };
    },
    [database, options],
  );
}

/** @param {Place} place @param {number} count */
async function meshed(place, count) {
  await place.evaluate((count) => window.page.meshed(window.mesh, window.db, count), count);
  await place.evaluate((count) => window.page.peered(window.db, count), count);
}

/** @param {Place} place */
function bookmark(place) {
  return place.evaluate(() => window.db.session().bookmark());
}

/** The document, once it holds what the bookmark names. @param {Place} place @param {string} from */
function read(place, from) {
  return place.evaluate(async (from) => {
    const { value } = await window.db.session({ from }).read("notes", (doc) => doc.toJSON());
    return value;
  }, from);
}

/** An entry of the map, once the document holds what the bookmark names. @param {Place} place @param {string} from @param {string} key */
function readEntry(place, from, key) {
  return place.evaluate(
    async ([from, key]) => {
      const { value } = await window.db.session({ from }).read("notes", (doc) => doc.getMap("map").get(key));
      return value;
    },
    [from, key],
  );
}

/** Each place's document, once it holds what any of them holds now. @param {Place[]} places */
async function converged(places) {
  const [first] = places;
  let everything = await bookmark(first);
  for (const place of places) {
    const more = await bookmark(place);
    everything = await first.evaluate(([left, right]) => window.headwater.mergeBookmarks(left, right), [everything, more]);
  }
  const documents = await Promise.all(places.map((place) => read(place, everything)));
  for (const document of documents) assert.deepEqual(document, documents[0]);
  return documents[0];
}

/** Writes in all places at once, then looks at all of them. @param {Place[]} places */
async function exercise(places) {
  const writing = places.map((place, index) =>
    place.evaluate(
      async ([index, each, large]) => {
        const text = window.doc.getText("text");
        for (let n = 0; n < each; n += 1) {
          window.write(`${index}/${n}`, n);
          window.written += 1;
          window.doc.transact(() => text.insert(text.length, String(index)));
          if (n % 5 === 0) await window.page.macrotask();
        }
        window.write(`large${index}`, "x".repeat(large));
      },
      [index, EACH, LARGE],
    ),
  );
  await Promise.all(writing);
  const { map, text } = await converged(places);
  assert.equal(Object.keys(map).length, places.length * (EACH + 1));
  assert.equal(text.length, places.length * EACH);

  for (let n = 0; n < 10; n += 1) {
    const ms = await places[0].evaluate(async (n) => {
      const begin = performance.now();
      await window.write("counted", n).reached({ peers: 2 });
      return performance.now() - begin;
    }, n);
    reachedMs.push(ms);
    for (const place of places) assert.equal(await place.evaluate(() => window.doc.getMap("map").get("counted")), n);
  }
  for (let n = 0; n < READS; n += 1) {
    const [writer, reader] = [places[n % places.length], places[(n + 1) % places.length]];
    const from = await writer.evaluate((n) => {
      window.write("read", n);
      return window.db.session().bookmark();
    }, n);
    if ((await readEntry(reader, from, "read")) !== n) found.violations += 1;
  }
  assert.equal(found.violations, 0);
}

/** @param {Place[]} places */
async function writes(places) {
  const counts = await Promise.all(places.map((place) => place.evaluate(() => window.written)));
  return counts.reduce((sum, count) => sum + count, 0);
}

/** The leader holds what the places hold, and each of so many writes once. @param {string} database @param {Place[]} places @param {number} written */
async function check(database, places, written) {
  const document = await converged(places);
  const held = await worker.json(database, "notes", { bookmark: await bookmark(places[0]) });
  const missing = Object.keys(document.map).filter((key) => held.map[key] === undefined);
  const { lsn } = await worker.status(database);
  found.lost += missing.length;
  found.duplicates += lsn - written;
  found.writes += written;
  assert.deepEqual(held, document);
  assert.equal(lsn, written);
}

test("three browsers whose signals the application carries are a database without a leader", async () => {
  const pages = await visit(3);
  await carrySignals(pages);
  for (const page of pages) {
    await openIn(page, "by-application");
    await page.evaluate(() => {
      window.mesh = window.db.joinPeers({ signal: window.signal });
    });
  }
  await Promise.all(pages.map((page) => meshed(page, 2)));
  await exercise(pages);

  // One leaves, and comes again.
  await pages[2].evaluate(() => window.mesh.close());
  await Promise.all([...pages.slice(0, 2).map((page) => meshed(page, 1)), meshed(pages[2], 0)]);
  await pages[0].evaluate(() => window.write("without", 1).reached({ peers: 1 }));
  await pages[2].evaluate(() => {
    window.write("alone", 1);
    window.mesh = window.db.joinPeers({ signal: window.signal });
  });
  await Promise.all(pages.map((page) => meshed(page, 2)));
  const { map } = await converged(pages);
  assert.deepEqual([map.without, map.alone], [1, 1]);

  // One is reloaded: what is stored was everybody's, and it comes back under another id.
  const before = await pages[1].evaluate(() => [window.mesh.id, window.written]);
  await pages[1].reload();
  await ready(pages[1]);
  await openIn(pages[1], "by-application");
  const stored = await pages[1].evaluate(() => window.doc.toJSON());
  assert.deepEqual(stored, await pages[0].evaluate(() => window.doc.toJSON()), "it was all in its storage");
  await pages[1].evaluate(() => {
    window.signal = { send: (message) => void window.carry(message), onmessage: null };
    window.mesh = window.db.joinPeers({ signal: window.signal });
    window.write("reloaded", 1);
  });
  assert.notEqual(await pages[1].evaluate(() => window.mesh.id), before[0]);
  await meshed(pages[1], 2);
  assert.equal((await converged(pages)).map.reloaded, 1);

  // One joins a leader by opening its copy with an address.
  const written = (await writes(pages)) + before[1];
  await pages[2].evaluate(() => window.db.close());
  await openIn(pages[2], "by-application", { url: worker.url });
  await pages[2].evaluate(async () => {
    window.mesh = window.db.joinPeers({ signal: window.signal });
    await window.page.live(window.db);
    await window.page.settled(window.db);
  });
  await Promise.all(pages.map((page) => meshed(page, 2)));
  await Promise.all(pages.map((page) => page.evaluate(() => window.page.settled(window.db))));
  await check("by-application", pages, written);
  await Promise.all(pages.map((page) => page.evaluate(() => window.db.close())));
});

test("three browsers find each other through the leader's node, and go on without it", async () => {
  const pages = await visit(3);
  for (const page of pages) {
    await openIn(page, "by-leader", { url: worker.url });
    await page.evaluate(() => {
      window.mesh = window.db.joinPeers();
    });
  }
  await Promise.all(pages.map((page) => meshed(page, 2)));
  for (const page of pages) await page.evaluate(() => window.db.disconnect());
  await exercise(pages);
  assert.equal((await worker.status("by-leader")).lsn, 0, "the leader has heard nothing of it");
  await pages[1].evaluate(async () => {
    window.db.connect();
    await window.page.live(window.db);
    await window.page.settled(window.db);
  });
  await Promise.all(pages.map((page) => page.evaluate(() => window.page.settled(window.db))));
  await check("by-leader", pages, await writes(pages));
  for (const page of pages) await page.evaluate(() => window.db.connect());
  await Promise.all(pages.map((page) => page.evaluate(() => window.page.live(window.db))));
  await pages[0].evaluate(() => window.write("together", 1).reached("leader"));
  const written = await writes(pages);
  const { lsn } = await worker.status("by-leader");
  assert.equal(lsn, written, "nothing came twice when all had joined");
  await Promise.all(pages.map((page) => page.evaluate(() => window.db.close())));
});

test("a peer whose token is refused is no member, and does not try again", async () => {
  const pages = await visit(2);
  await carrySignals(pages);
  for (const [index, page] of pages.entries()) {
    await openIn(page, "by-token");
    await page.evaluate((index) => {
      const options = { signal: window.signal, token: `token ${index}`, authorize: async (token) => token === "token 0" };
      window.mesh = window.db.joinPeers(options);
      window.failed = new Promise((resolve) => {
        window.mesh.on("error", ({ error, isFinal }) => resolve([error.code, isFinal]));
      });
    }, index);
  }
  const failures = await Promise.all(pages.map((page) => page.evaluate(() => window.failed)));
  assert.deepEqual(failures, [["UNAUTHORIZED", true], ["UNAUTHORIZED", true]]);
  for (const page of pages) {
    const connected = () => [window.mesh.members, window.db.peers.filter(({ isDirect }) => isDirect)];
    assert.deepEqual(await page.evaluate(connected), [[], []]);
  }
  await Promise.all(pages.map((page) => page.evaluate(() => window.db.close())));
});

test("frames of one page in a chain of message ports, of which one joins a leader", async () => {
  const [page] = await visit(1);
  const frames = [];
  for (const name of ["left", "middle", "right"]) {
    await page.evaluate((name) => {
      const frame = document.createElement("iframe");
      frame.name = name;
      frame.src = "/";
      document.body.append(frame);
    }, name);
    const frame = await (await page.waitForSelector(`iframe[name=${name}]`)).contentFrame();
    await frame.waitForFunction(() => "headwater" in window);
    await openIn(frame, "by-ports", { name, url: worker.url, connect: false });
    await frame.evaluate(() => {
      window.addEventListener("message", ({ ports: [port] }) => {
        if (port !== undefined) window.db.connectPeer(port);
      });
    });
    frames.push(frame);
  }
  for (const pair of [["left", "middle"], ["middle", "right"]]) {
    await page.evaluate((pair) => {
      const { port1, port2 } = new MessageChannel();
      window.frames[pair[0]].postMessage(null, location.origin, [port1]);
      window.frames[pair[1]].postMessage(null, location.origin, [port2]);
    }, pair);
  }
  const links = [1, 2, 1];
  await Promise.all(frames.map((frame, at) => frame.evaluate((count) => window.page.peered(window.db, count), links[at])));
  await exercise(frames);
  const [left, , right] = frames;
  await left.evaluate(() => {
    window.hears = window.write("heard", 1).reached("leader");
  });
  await right.evaluate(async () => {
    window.db.connect();
    await window.page.live(window.db);
  });
  await left.evaluate(() => window.hears);
  await Promise.all(frames.map((frame) => frame.evaluate(() => window.page.settled(window.db))));
  await check("by-ports", frames, await writes(frames));
});
