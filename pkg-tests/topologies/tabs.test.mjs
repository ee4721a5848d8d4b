/** Tabs that share a replica: what one writes the others see, one connects for all of them, and another one takes over. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Profile } from "../harness/browser.mjs";
import { owner } from "../harness/cleanup.mjs";
import { FULL } from "../harness/env.mjs";
import { figures, percentile } from "../harness/figures.mjs";
import { Link } from "../harness/link.mjs";
import { live, openIn, settled } from "../harness/pages.mjs";
import { Random } from "../harness/random.mjs";
import { Site } from "../harness/site.mjs";
import { pause, until } from "../harness/until.mjs";
import { Worker } from "../harness/worker.mjs";
import { agreed, allLive, allSettled, Tab } from "./tabs.mjs";

const SEEN = FULL ? 200 : 60;
const TAKEOVERS = FULL ? 10 : 3;
/** Every way to lose a holder. */
const ENDS = /** @type {const} */ (["leave", "close", "crash", "pause", "stop"]);

const random = Random.ofRun("tabs");
const all = owner();
/** @type {Worker} */
let worker;
/** @type {Site} */
let site;
/** @type {Profile} */
let profile;
/** @type {Record<string, number[]>} */
const took = {};
/** @type {Record<string, number>} */
const counted = {};

before(async () => {
  worker = await Worker.start(all);
  site = await Site.start(all);
  profile = await Profile.create(all);
});

after(() => {
  /** @type {Record<string, number>} */
  const told = { ...counted };
  for (const [what, ms] of Object.entries(took)) {
    told[`${what} ms`] = percentile(ms, 50);
    told[`${what} ms at most`] = Math.max(...ms);
  }
  figures("tabs", told);
});

/**
 * Opens tabs on one database, one after the other; they close with the test.
 * @param {import("../harness/cleanup.mjs").Owner} owner
 * @param {string} database
 * @param {{ url?: string, count: number, options?: object, init?: () => void }} what
 */
async function openTabs(owner, database, { url = worker.url, count, options, init }) {
  const tabs = [];
  for (let at = 0; at < count; at += 1) {
    const tab = await Tab.open(profile, site.url, { database, url, options }, { init });
    owner.after(() => (tab.page.isClosed() ? undefined : tab.close()));
    tabs.push(tab);
  }
  return tabs;
}

/** Has a tab write so many names, one after the other, and wait for a stage of each. */
const writeNames = async ({ prefix, count, stage }) => {
  const receipts = [];
  for (let at = 0; at < count; at += 1) {
    receipts.push(window.doc.transact((doc) => doc.getMap("names").set(`${prefix}${at}`, at)));
    await window.page.macrotask();
  }
  await Promise.all(receipts.map((receipt) => receipt.reached(stage)));
};

/** Waits until a tab sees so many names. @param {Tab} tab @param {number} size */
function sees(tab, size) {
  return tab.page.evaluate((size) => window.page.changed(window.doc, () => window.doc.getMap("names").size >= size), size);
}

/** Has a tab note how long after each write it saw it. By the clock of the machine: each process reads the same one. */
const noteSeen = () => {
  window.seen = [];
  window.doc.on("change", () => {
    const at = window.doc.getMap("clock").get("at");
    if (at !== undefined && at !== window.last) window.seen.push(performance.timeOrigin + performance.now() - at);
    window.last = at;
  });
};

/** @param {Tab} from @param {Tab} to @param {number} count */
async function measureSeen(from, to, count) {
  await to.page.evaluate(noteSeen);
  await from.page.evaluate(async (count) => {
    for (let at = 0; at < count; at += 1) {
      window.doc.getMap("clock").set("at", performance.timeOrigin + performance.now());
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }, count);
  // Two writes may arrive together; the last one always arrives.
  const last = await from.page.evaluate(() => window.doc.getMap("clock").get("at"));
  await to.page.evaluate((last) => window.page.changed(window.doc, () => window.last === last), last);
  const seen = await to.page.evaluate(() => window.seen);
  assert.ok(seen.length > 0);
  return seen;
}

/** What must be the same in every tab. @param {Tab} tab */
function shared(tab) {
  return tab.page.evaluate(() => {
    const { phase, role, member, memberRole, epoch, generation, error } = window.db.status;
    const { count, bytes, oldest, receipts } = window.db.pending;
    const pending = { count, bytes, oldest: oldest?.getTime() ?? null };
    return { phase, role, member, memberRole, epoch, generation, error, ...pending, ids: receipts().map(({ id }) => id) };
  });
}

/** Waits until all tabs say the same, and as wanted; answers it. @param {Tab[]} tabs @param {(said: any) => boolean} isWanted */
async function sameIn(tabs, isWanted, what = "all tabs say the same") {
  let said = "";
  const same = until(async () => {
    const [first, ...others] = await Promise.all(tabs.map(shared));
    said = JSON.stringify([first, ...others]);
    return others.every((other) => JSON.stringify(other) === JSON.stringify(first)) && isWanted(first) && first;
  }, { what, timeoutMs: 20_000 });
  return same.catch((error) => Promise.reject(new Error(`${error.message}: ${said}`)));
}

test("a write in one tab shows in the others, online and offline, and all of them say the same", async (t) => {
  const mine = owner(t);
  const link = await Link.start(mine, worker);
  const tabs = await openTabs(mine, "same", { url: link.url, count: 3 });
  const [holder, writer, reader] = await agreed(tabs);
  await allLive(tabs);
  took["seen from member online"] = await measureSeen(writer, reader, SEEN);
  took["seen from holder online"] = await measureSeen(holder, reader, SEEN);
  await allSettled(tabs);
  await sameIn(tabs, ({ phase, count }) => phase === "live" && count === 0);

  link.goOffline();
  await Promise.all(tabs.map(({ page }) => page.evaluate(() => window.page.phase(window.db, "offline"))));
  took["seen from member offline"] = await measureSeen(writer, reader, SEEN);
  took["seen from holder offline"] = await measureSeen(holder, reader, SEEN);
  for (const [at, { page }] of tabs.entries()) await page.evaluate(writeNames, { prefix: `offline-${at}-`, count: 5, stage: "local" });
  for (const tab of tabs) await sees(tab, 15);
  const { count, ids } = await sameIn(tabs, ({ phase, count, ids }) => phase !== "live" && count >= 15 && ids.length === count);
  assert.equal(new Set(ids).size, count, "each pending write has one receipt");

  // The receipts of all of them, those of the other tabs among them, end in each tab.
  const ends = tabs.map(({ page }) =>
    page.evaluate(async () => {
      const receipts = window.db.pending.receipts();
      await Promise.all(receipts.map((receipt) => receipt.reached("leader", { timeoutMs: 60_000 })));
      return receipts.length;
    }),
  );
  link.goOnline();
  for (const { page } of tabs) await page.evaluate(() => void window.dispatchEvent(new Event("online")));
  assert.deepEqual(await Promise.all(ends), tabs.map(() => count));
  await sameIn(tabs, ({ phase, count }) => phase === "live" && count === 0);
  const held = await worker.json("same", "notes");
  assert.equal(Object.keys(held.names).length, 15);
  for (const { page } of tabs) assert.deepEqual(await page.evaluate(() => window.doc.toJSON()), held);
});

test("bookmarks, sessions and strong reads hold across tabs and profiles", async (t) => {
  const mine = owner(t);
  const link = await Link.start(mine, worker);
  const tabs = await openTabs(mine, "sessions", { url: link.url, count: 2 });
  const elsewhere = await Profile.create(mine);
  const far = await elsewhere.visit(site.url);
  await openIn(far, { database: "sessions", url: worker.url });
  await live(far);
  const [holder, member] = await agreed(tabs);
  await allLive(tabs);
  const pairs = [[holder, member], [member, holder]];
  for (let round = 0; round < 20; round += 1) {
    link.delayMs = { up: random.below(30), down: random.below(30) };
    const [writer, reader] = pairs[round % 2] ?? [];
    // Before the leader has answered in every second round: it names the writer's own log then.
    const bookmark = await writer.page.evaluate(async ({ round, isEarly }) => {
      const session = window.db.session();
      const receipt = window.doc.transact((doc) => doc.getMap("names").set("round", round));
      await session.read("notes", () => null);
      if (!isEarly) await receipt.reached("leader");
      return session.bookmark();
    }, { round, isEarly: round % 4 < 2 });
    const read = async ({ bookmark, consistency }) => {
      const session = window.db.session(bookmark === null ? {} : { from: bookmark });
      const { value } = await session.read("notes", (doc) => doc.getMap("names").get("round"), { consistency, timeoutMs: 20_000 });
      return value;
    };
    assert.equal(await reader.page.evaluate(read, { bookmark, consistency: "session" }), round, "in another tab");
    assert.equal(await far.evaluate(read, { bookmark, consistency: "session" }), round, "in another profile");
    // Whatever was acknowledged elsewhere before the read began.
    const n = await far.evaluate(async () => {
      const n = (window.doc.getMap("far").get("n") ?? 0) + 1;
      await window.doc.transact((doc) => doc.getMap("far").set("n", n)).reached("leader");
      return n;
    });
    for (const { page } of [holder, member]) {
      const strong = await page.evaluate(async () => {
        const options = { consistency: "strong", timeoutMs: 20_000 };
        return (await window.db.session().read("notes", (doc) => doc.getMap("far").get("n"), options)).value;
      });
      assert.equal(strong, n, "a strong read shows what was acknowledged");
    }
  }
});

test("one connection serves all tabs, and disconnecting is for all of them", async (t) => {
  const mine = owner(t);
  const link = await Link.start(mine, worker);
  let most = 0;
  link.onOpen = (open) => (most = Math.max(most, open));
  const tabs = await openTabs(mine, "sockets", { url: link.url, count: 5 });
  const [, member, other] = await agreed(tabs);
  await Promise.all(tabs.map(({ page }, at) => page.evaluate(writeNames, { prefix: `${at}-`, count: 40, stage: "leader" })));
  await allSettled(tabs);
  for (const tab of tabs) await sees(tab, 200);
  assert.deepEqual([link.connections, most], [1, 1], "one connection, ever");

  await member.page.evaluate(() => window.db.disconnect());
  for (const { page } of tabs) await page.evaluate(() => window.page.phase(window.db, "offline"));
  await until(() => link.open === 0, { what: "nobody is connected" });
  await other.page.evaluate(writeNames, { prefix: "cut-", count: 3, stage: "local" });
  await sameIn(tabs, ({ phase, count }) => phase === "offline" && count === 3);
  assert.equal(link.open, 0);
  await other.page.evaluate(() => window.db.connect());
  await allLive(tabs);
  await allSettled(tabs);
  assert.equal(link.connections, 2);
  counted["sockets for 5 tabs"] = most;
});

test("rows are stored once, however many tabs there are", async (t) => {
  const mine = owner(t);
  const writes = 300;
  /** @type {Map<number, { rows: number, bytes: number }>} */
  const stored = new Map();
  for (const count of [1, 4]) {
    const database = `rows-${count}`;
    const tabs = await openTabs(mine, database, { count });
    await agreed(tabs);
    await allLive(tabs);
    const elsewhere = await Profile.create(mine);
    const far = await elsewhere.visit(site.url);
    await openIn(far, { database, url: worker.url });
    await far.evaluate(writeNames, { prefix: "far-", count: writes / 2, stage: "leader" });
    await tabs[0].page.evaluate(writeNames, { prefix: "near-", count: writes / 2, stage: "leader" });
    await settled(far);
    await allSettled(tabs);
    for (const tab of tabs) await sees(tab, writes);
    await Promise.all(tabs.map((tab) => until(async () => (await tab.status()).isStored, { what: "everything is stored" })));
    stored.set(count, await tabs[0].page.evaluate(async (database) => {
      const open = indexedDB.open(`headwater/${database}/${database}`);
      await new Promise((resolve, reject) => Object.assign(open, { onsuccess: resolve, onerror: reject }));
      const request = open.result.transaction("updates").objectStore("updates").getAll();
      await new Promise((resolve, reject) => Object.assign(request, { onsuccess: resolve, onerror: reject }));
      open.result.close();
      return { rows: request.result.length, bytes: request.result.reduce((sum, { length }) => sum + length, 0) };
    }, database));
    await elsewhere.kill();
  }
  const [one, four] = [stored.get(1), stored.get(4)];
  assert.ok(one && four && one.bytes > 0);
  counted["stored bytes of 4 tabs per those of 1"] = four.bytes / one.bytes;
  counted["stored rows of 4 tabs per those of 1"] = four.rows / one.rows;
  assert.ok(four.bytes < 1.5 * one.bytes, `4 tabs store ${JSON.stringify(four)}, one stores ${JSON.stringify(one)}`);
});

test("two openings in one page are two tabs", async (t) => {
  const mine = owner(t);
  const link = await Link.start(mine, worker);
  const page = await profile.visit(site.url);
  mine.after(() => page.close());
  const said = await page.evaluate(async (url) => {
    const { open } = window.headwater;
    const [first, second] = [await open("one-page", { url }), await open("one-page", { url })];
    const docs = [await first.doc("notes"), await second.doc("notes")];
    const receipt = docs[1].transact((doc) => doc.getMap("names").set("a", 1));
    await window.page.changed(docs[0], () => docs[0].getMap("names").get("a") === 1);
    await receipt.reached("leader");
    const before = [first.status.tab, second.status.tab];
    await first.close();
    await new Promise((resolve) => {
      const off = second.on("status", ({ tab, phase }) => tab === "holder" && phase === "live" && resolve(off));
      if (second.status.tab === "holder" && second.status.phase === "live") resolve(off);
    });
    await docs[1].transact((doc) => doc.getMap("names").set("b", 1)).reached("leader");
    const after = [first.status.tab, second.status.tab];
    const alone = await open("one-page", { url, tabs: "alone" });
    const aside = alone.status.tab;
    const refused = await open("one-page", { url, tabs: "both" }).then(() => "opened", (error) => error.code);
    await alone.close();
    await second.close();
    return { before: before.sort(), after, aside, refused };
  }, link.url);
  assert.deepEqual(said, { before: ["holder", "member"], after: [null, "holder"], aside: "alone", refused: "MALFORMED" });
});

for (const end of ENDS) {
  test(`another tab takes over from a holder that ends by ${end}`, async (t) => {
    const mine = owner(t);
    const database = `takeover-${end}`;
    const link = await Link.start(mine, worker);
    const tabs = await openTabs(mine, database, { url: link.url, count: 3 });
    /** @type {Set<string>} */
    const local = new Set();
    let round = 0;
    const follow = async (page) => {
      await page.exposeBinding("toldLocal", (_, name) => void local.add(name));
    };
    for (const { page } of tabs) await follow(page);
    for (; round < TAKEOVERS; round += 1) {
      const [holder, ...members] = await agreed(tabs);
      await allLive(tabs);
      // Everybody writes all the time, and the end comes in the middle of it.
      for (const [at, { page }] of tabs.entries()) await page.evaluate(keepWriting, `${round}-${at}-`);
      await pause(random.between(50, 300));
      const begin = performance.now();
      if (end === "pause" || end === "stop") await holder.freeze(end);
      else if (end === "close") await holder.close();
      else if (end === "crash") await holder.crash();
      else await holder.page.evaluate(() => {
        clearInterval(window.writing);
        return window.db.close();
      });
      // What ends now began after the old holder had ended.
      const next = await Promise.any(members.map(async (tab) => {
        await tab.page.evaluate(() => new Promise((resolve) => {
          const look = ({ tab, phase }) => tab === "holder" && phase === "live" && resolve(undefined);
          window.db.on("status", look);
          look(window.db.status);
        }));
        return tab;
      }));
      took[`${end}: connected again after`] = [...(took[`${end}: connected again after`] ?? []), performance.now() - begin];
      const [other] = members.filter((tab) => tab !== next);
      await other.page.evaluate(() => window.doc.transact((doc) => doc.getMap("names").set("after", 1)).reached("leader"));
      if (holder.isFrozen) {
        // It wakes as what it was, and must not do as if nothing had been.
        await holder.thaw();
        await until(async () => (await holder.status()).tab === "member", { what: "the woken tab is a member" });
        await holder.page.evaluate(() => window.doc.transact((doc) => doc.getMap("names").set("woken", 1)).reached("leader"));
      } else {
        tabs.splice(tabs.indexOf(holder), 1);
        const [fresh] = await openTabs(mine, database, { url: link.url, count: 1 });
        await follow(fresh.page);
        tabs.push(fresh);
        if (!holder.page.isClosed()) await holder.page.close();
      }
      await agreed(tabs);
      for (const { page } of tabs) await page.evaluate(() => clearInterval(window.writing));
      await allSettled(tabs);
      await until(() => link.open === 1, { what: "one connection is left" });
      const held = await worker.json(database, "notes");
      assert.deepEqual([...local].filter((name) => held.names[name] === undefined), [], "writes that were local and are lost");
      for (const tab of tabs) {
        await until(async () => {
          const seen = await tab.page.evaluate(() => window.doc.toJSON());
          return JSON.stringify(sorted(seen.names)) === JSON.stringify(sorted(held.names));
        }, { what: "every tab has what the leader has", timeoutMs: 20_000 }).catch(async (error) => {
          const seen = (await tab.page.evaluate(() => window.doc.toJSON())).names;
          const [missing, more] = [differing(held.names, seen), differing(seen, held.names)];
          throw new Error(`${error.message}: round ${round}, ${missing.length} missing: ${missing.slice(0, 9)}; ${more.length} more: ${more.slice(0, 9)}; ${JSON.stringify(await tab.status())}`);
        });
      }
    }
    assert.ok(local.size > 0);
    counted[`${end}: writes`] = local.size;
  });
}

/** Writes names every few milliseconds, and tells which ones are local. */
const keepWriting = (prefix) => {
  clearInterval(window.writing);
  let at = 0;
  window.writing = setInterval(() => {
    const name = `${prefix}${(at += 1)}`;
    const receipt = window.doc.transact((doc) => doc.getMap("names").set(name, 1));
    receipt.reached("local").then(() => window.toldLocal(name), () => undefined);
  }, 20);
};

/** The names of one that the other one does not have. @param {Record<string, unknown>} one @param {Record<string, unknown>} other */
function differing(one, other) {
  return Object.keys(one).filter((name) => other[name] === undefined);
}

/** @param {Record<string, unknown>} names */
function sorted(names) {
  return Object.entries(names).sort(([left], [right]) => (left < right ? -1 : 1));
}

test("without Web Locks each tab works alone, and says so", async (t) => {
  const mine = owner(t);
  const link = await Link.start(mine, worker);
  const init = () => Object.defineProperty(Navigator.prototype, "locks", { value: undefined });
  const tabs = await openTabs(mine, "no-locks", { url: link.url, count: 3, init });
  await allLive(tabs);
  assert.deepEqual(await Promise.all(tabs.map(async (tab) => (await tab.status()).tab)), tabs.map(() => "alone"));
  assert.equal(link.open, 3, "each has a connection of its own");
  await Promise.all(tabs.map(({ page }, at) => page.evaluate(writeNames, { prefix: `${at}-`, count: 30, stage: "leader" })));
  for (const tab of tabs) await sees(tab, 90);
  await allSettled(tabs);
  const held = await worker.json("no-locks", "notes");
  assert.equal(Object.keys(held.names).length, 90);
});

test("where Web Locks are refused each tab works alone, and says so", async (t) => {
  const mine = owner(t);
  const init = () => {
    LockManager.prototype.request = () => Promise.reject(new DOMException("opaque origin", "SecurityError"));
  };
  const [tab] = await openTabs(mine, "refused-locks", { count: 1, init });
  await allLive([tab]);
  assert.equal((await tab.status()).tab, "alone");
  await tab.page.evaluate(() => window.doc.transact((doc) => doc.getMap("names").set("a", 1)).reached("leader"));
});
