/**
 * What storage takes: one document of more and more updates on real workerd, with compaction as it is by default, and what
 * it takes in a browser and to catch up. Writes the page of figures and its plot.
 */

import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { cpus, loadavg, totalmem } from "node:os";
import { join } from "node:path";

import { open } from "headwater";

import { Browser, ready } from "../pkg-tests/harness/browser.mjs";
import { owning, temporaryFolder } from "../pkg-tests/harness/cleanup.mjs";
import { ROOT } from "../pkg-tests/harness/env.mjs";
import { progress } from "../pkg-tests/harness/figures.mjs";
import { Link } from "../pkg-tests/harness/link.mjs";
import { rendererOf } from "../pkg-tests/harness/renderers.mjs";
import { Site } from "../pkg-tests/harness/site.mjs";
import { editingTrace } from "../pkg-tests/harness/trace.mjs";
import { until } from "../pkg-tests/harness/until.mjs";
import { Worker } from "../pkg-tests/harness/worker.mjs";
import { page, plot } from "./storage-page.mjs";

const IS_QUICK = process.argv.includes("--quick");
const SIZES = IS_QUICK ? [1_000, 10_000] : [1_000, 10_000, 100_000, 1_000_000];
const TYPING_MS_MAX = 10 * 60_000;
/** One update each second for an hour; of the smallest document half of it. */
const HOUR_UPDATES = 3_600;
const DATABASE = "bench";
const DOC = "notes";
const PER_TURN = 32;
const AHEAD = 2_048;
const CHECKPOINTS = 60;
const WAIT_MS_MAX = 300_000;
/** Without a step for so long, compaction has nothing to do. A large document takes a while between two. */
const STILL_MS = 500;
const WHOLE_STILL_MS = 4_000;
/** Everything is old at once, and any write makes it due. */
const WHOLE = { HEADWATER_HISTORY_MS: "0", HEADWATER_HISTORY_BYTES: "0", HEADWATER_SQUASH_BYTES: "1", HEADWATER_FOLD_ROWS: "1" };

const { edits } = editingTrace();
const say = progress("bench storage");

await owning(async (all) => {
  const worker = await Worker.start(all);
  const [site, browser] = [await Site.start(all), await Browser.start(all)];
  // The first page of a browser takes more than those after it.
  await (await browser.visit(site.url)).context().close();
  const db = await open(DATABASE, { url: worker.url, storage: "memory" });
  all.after(() => db.close().catch(() => undefined));
  const doc = await db.doc(DOC);
  const idleBytes = await rssOf(worker.pid);

  /** @type {import("./storage-page.mjs").Measured[]} */
  const measured = [];
  /** @type {import("./storage-page.mjs").Point[]} */
  const points = [];
  let [typed, typingMs] = [0, 0];
  for (const size of SIZES) {
    const away = await follower(all, worker);
    const missed = Math.min(HOUR_UPDATES, size / 2);
    const isDone = await typeTo(size - missed);
    if (isDone) {
      await away.holds();
      away.leave();
    }
    if (!isDone || !(await typeTo(size))) {
      console.log(`bench storage: ${size} updates take longer than ${TYPING_MS_MAX / 60_000} minutes to write; not measured`);
      break;
    }
    await lastChange(worker, STILL_MS);
    const status = await worker.status(DATABASE);
    const peakBytes = await peakOf(worker.pid);
    console.log(`bench storage: ${size} updates written, ${status.storageBytes} bytes on disk`);
    const later = await away.comeBack(db.session().bookmark());
    const cold = await coldly(all, worker);
    const inBrowser = await inPage(worker);
    const whole = await compactWhole(all, worker);
    measured.push({
      updates: size,
      typingMs,
      diskBytes: status.storageBytes,
      rows: Object.values(status.tables).reduce((sum, { rows }) => sum + rows, 0),
      tables: status.tables,
      compacted: status.compacted,
      peakBytes: subtract(peakBytes, idleBytes),
      wasmBytes: status.memoryBytes,
      whole,
      cold,
      later: { missed, ...later },
      inBrowser,
    });
  }
  const folder = IS_QUICK ? join(ROOT, "target/bench") : join(ROOT, "docs");
  await mkdir(folder, { recursive: true });
  const text = page({ measured, sizes: SIZES, machine: await machine(browser) });
  await writeFile(join(folder, "storage-figures.md"), text);
  await writeFile(join(folder, "storage-growth.svg"), plot(points));
  console.log(text);

  /** Types the trace, again from its beginning when it has ended; false if that takes too long. @param {number} end */
  async function typeTo(end) {
    const text = doc.getText("text");
    const begin = performance.now();
    const every = Math.max(Math.floor((end - typed) / CHECKPOINTS), 500);
    for (; typed < end; typed += 1) {
      const [position, deleted, inserted] = /** @type {import("../pkg-tests/harness/trace.mjs").Edit} */ (edits[typed % edits.length]);
      const receipt = doc.transact(() => {
        if (deleted > 0) text.delete(position, deleted);
        if (inserted !== "") text.insert(position, inserted);
      });
      if (typed % AHEAD === AHEAD - 1 || typed === end - 1) await receipt.reached("leader", { timeoutMs: WAIT_MS_MAX });
      else if (typed % PER_TURN === PER_TURN - 1) await new Promise((resolve) => void setImmediate(resolve));
      if (typed % every === every - 1) {
        const { storageBytes, tables } = await worker.status(DATABASE);
        points.push({ updates: typed + 1, diskBytes: storageBytes, contentBytes: tables.contents.bytes });
        say(`${typed + 1} updates, ${storageBytes} bytes on disk`);
        if (typingMs + performance.now() - begin > TYPING_MS_MAX) return false;
      }
    }
    typingMs += performance.now() - begin;
    return true;
  }

  /** @param {Worker} worker */
  async function inPage(worker) {
    const empty = await browser.visit(`${site.url}/blank`, { isTestPage: false });
    const emptyPid = await rendererOf(empty, new Set());
    const tab = await browser.visit(site.url);
    const what = { database: DATABASE, url: worker.url, name: DOC, bookmark: db.session().bookmark(), timeoutMs: WAIT_MS_MAX };
    await tab.evaluate(async ({ database, url, name, bookmark, timeoutMs }) => {
      const db = await window.headwater.open(database, { url });
      await db.doc(name);
      await db.session({ from: bookmark }).read(name, () => null, { timeoutMs });
      await db.close();
    }, what);
    const usage = await tab.evaluate(async () => (await navigator.storage.estimate()).usage ?? 0);
    await tab.reload();
    await ready(tab);
    // Without a leader: from its own storage alone.
    const openMs = await tab.evaluate(async ({ database, name }) => {
      const begin = performance.now();
      const db = await window.headwater.open(database);
      const doc = await db.doc(name);
      const { length } = doc.getText("text").toString();
      if (length === 0) throw new Error("the document is empty");
      Object.assign(window, { db, doc });
      return performance.now() - begin;
    }, what);
    const pid = await rendererOf(tab, new Set([emptyPid]));
    const memoryBytes = subtract(await rssOf(pid), await rssOf(emptyPid));
    await Promise.all([empty.context().close(), tab.context().close()]);
    return { storedBytes: usage, openMs, memoryBytes };
  }
});
process.exit(0);

/**
 * A client that follows the document, and can be sent away.
 * @param {import("../pkg-tests/harness/cleanup.mjs").Owner} owner
 * @param {Worker} worker
 */
async function follower(owner, worker) {
  const link = await Link.start(owner, worker);
  const db = await open(DATABASE, { url: link.url, storage: "memory" });
  owner.after(() => db.close().catch(() => undefined));
  await db.doc(DOC);
  return {
    holds: async () => {
      const { lsn } = await worker.status(DATABASE);
      const session = db.session();
      await session.read(DOC, () => null, { consistency: "strong", timeoutMs: WAIT_MS_MAX });
      session.close();
      return lsn;
    },
    leave: () => link.goOffline(),
    /** @param {string} bookmark */
    comeBack: async (bookmark) => {
      const before = link.bytes.down;
      link.goOnline();
      db.disconnect();
      const begin = performance.now();
      db.connect();
      await db.session({ from: bookmark }).read(DOC, () => null, { timeoutMs: WAIT_MS_MAX });
      const ms = performance.now() - begin;
      const bytes = link.bytes.down - before;
      await db.close();
      return { ms, bytes };
    },
  };
}

/**
 * A client that has nothing.
 * @param {import("../pkg-tests/harness/cleanup.mjs").Owner} owner
 * @param {Worker} worker
 */
async function coldly(owner, worker) {
  const link = await Link.start(owner, worker);
  const begin = performance.now();
  const db = await open(DATABASE, { url: link.url, storage: "memory" });
  await db.doc(DOC);
  await db.session().read(DOC, () => null, { consistency: "strong", timeoutMs: WAIT_MS_MAX });
  const [ms, bytes] = [performance.now() - begin, link.bytes.down];
  await db.close();
  return { ms, bytes };
}

/**
 * The whole document put together anew, by a node that keeps no history: on a copy of the storage.
 * @param {import("../pkg-tests/harness/cleanup.mjs").Owner} owner
 * @param {Worker} worker
 */
async function compactWhole(owner, worker) {
  const storage = join(await temporaryFolder(owner, "bench"), "storage");
  // Nobody writes meanwhile, and what is in the write-ahead log is copied with it.
  await cp(worker.storage, storage, { recursive: true });
  const node = worker.withEnvironment({ ...WHOLE, HEADWATER_MERGE_BYTES: String(32 * 2 ** 20) }, storage);
  owner.after(() => node.kill());
  await node.start();
  const before = await node.status(DATABASE);
  const idleBytes = await rssOf(node.pid);
  const db = await open(DATABASE, { url: node.url, storage: "memory" });
  const doc = await db.doc(DOC);
  const begin = performance.now();
  doc.getMap("it").set("is", "due");
  const ms = await lastChange(node, WHOLE_STILL_MS) - begin;
  const after = await node.status(DATABASE);
  const peakBytes = subtract(await peakOf(node.pid), idleBytes);
  await db.close();
  await node.kill();
  return {
    ms,
    peakBytes,
    wasmBytes: after.memoryBytes,
    bytesBefore: before.tables.contents.bytes + before.tables.log.bytes,
    bytesAfter: after.tables.contents.bytes,
    givenUp: after.compacted.givenUp,
  };
}

/**
 * Resolves when nothing was compacted for so long; answers when the last step was seen.
 * @param {Worker} worker
 * @param {number} stillMs
 */
async function lastChange(worker, stillMs) {
  let [seen, atMs] = ["", performance.now()];
  await until(
    async () => {
      const { compacted, tables } = await worker.status(DATABASE);
      const now = JSON.stringify([compacted, tables.contents]);
      if (now !== seen) [seen, atMs] = [now, performance.now()];
      return performance.now() - atMs >= stillMs;
    },
    { what: "compaction comes to rest", timeoutMs: WAIT_MS_MAX, everyMs: 20 },
  );
  return atMs;
}

/** @param {number | undefined} pid */
function rssOf(pid) {
  return fromProc(pid, "VmRSS");
}

/** The most that it had since it began. @param {number | undefined} pid */
function peakOf(pid) {
  return fromProc(pid, "VmHWM");
}

/** Bytes; `undefined` where the system has no such file. @param {number | undefined} pid @param {string} name */
async function fromProc(pid, name) {
  const text = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  const found = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text);
  return found === null ? undefined : Number(found[1]) * 1024;
}

/** @param {number | undefined} left @param {number | undefined} right */
function subtract(left, right) {
  // Less than nothing is another process than the one that was meant.
  return left === undefined || right === undefined || left < right ? undefined : left - right;
}

/** @param {Browser} browser */
async function machine(browser) {
  const require = createRequire(import.meta.url);
  const [{ model = "unknown processor" } = {}] = cpus();
  return {
    date: new Date().toISOString().slice(0, 10),
    processor: `${cpus().length} × ${model.trim()}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    system: `${process.platform} ${process.arch}`,
    workerd: require("workerd/package.json").version,
    chromium: browser.version,
    node: process.version,
    "load average at the end": (loadavg()[0] ?? 0).toFixed(1),
  };
}
