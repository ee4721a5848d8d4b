/** Files between real browsers and a real worker: what is put is there for others, whatever happens on the way. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Profile, ready } from "../harness/browser.mjs";
import { figures } from "../harness/figures.mjs";
import { Link } from "../harness/link.mjs";
import { until } from "../harness/until.mjs";
import { CHUNK_BYTES, DATABASE, opened, putByHttp, setUp, SIZE, statusOf } from "./files-set-up.mjs";

test("a file put in one browser is read in another, once stored and once sent", async (t) => {
  const { all, worker, site, browser } = await setUp(t);
  const link = await Link.start(all, worker);
  const one = await opened(await browser.visit(site.url), link.url);
  const put = await one.evaluate(async (size) => {
    const told = [];
    const blob = new Blob([window.files.content(1, size)], { type: "image/png" });
    const file = await window.db.files.put(blob, { name: "a.png", onProgress: ({ bytes, total }) => told.push([bytes, total]) });
    const sent = [];
    file.receipt.on("progress", ({ bytes }) => sent.push(bytes));
    const stages = [file.receipt.stage];
    file.receipt.on("stage", (stage) => stages.push(stage));
    window.doc.getMap("files").set("a", file.ref);
    await file.receipt.reached();
    return { ref: file.ref, size: file.size, told, sent, stages, pending: (await window.db.files.pending()).length };
  }, SIZE);
  assert.match(put.ref, new RegExp(`^hw-file:[0-9a-f]{64}/${SIZE}$`));
  assert.deepEqual(put.told.at(-1), [SIZE, SIZE], "progress of storing");
  assert.equal(put.sent.at(-1), SIZE, "progress of sending");
  assert.deepEqual(put.sent, [...put.sent].sort((left, right) => left - right));
  assert.deepEqual(put.stages, ["local", "all"], "one node is its own quorum");
  assert.equal(put.pending, 0);

  const two = await opened(await browser.visit(site.url), worker.url);
  const got = await two.evaluate(async (size) => {
    const ref = await new Promise((resolve) => {
      const look = () => resolve(window.doc.getMap("files").get("a") ?? new Promise((again) => window.doc.on("change", () => again(window.doc.getMap("files").get("a")))));
      look();
    });
    const before = await window.db.files.has(ref);
    const told = [];
    const blob = await window.db.files.get(ref, { onProgress: ({ bytes }) => told.push(bytes) });
    const isSame = await window.files.isStream(blob, 1, size, size);
    window.db.disconnect();
    const offline = await window.db.files.get(ref, { timeoutMs: 5000 });
    const [listed] = await window.db.files.list();
    const after = await window.db.files.has(ref);
    return { isSame, told, before, after, offline: offline.size, listed: listed.heldBytes, type: blob.type };
  }, SIZE);
  assert.deepEqual([got.isSame, got.before, got.after, got.offline, got.listed], [true, false, true, SIZE, SIZE]);
  assert.equal(got.type, "image/png");
  assert.equal(got.told.at(-1), SIZE);

  const uploaded = link.bytes.up;
  const again = await one.evaluate(async (size) => {
    const file = await window.db.files.put(window.files.content(1, size));
    await file.receipt.reached("all");
    return { ref: file.ref, count: (await window.db.files.list()).length };
  }, SIZE);
  assert.deepEqual(again, { ref: put.ref, count: 1 });
  const three = await opened(await browser.visit(site.url), link.url);
  await three.evaluate(async (size) => (await window.db.files.put(window.files.content(1, size))).receipt.reached("leader"), SIZE);
  assert.ok(link.bytes.up - uploaded < CHUNK_BYTES, "what the leader has is not sent again");
  figures("files", { "bytes put": SIZE, "sent for it": uploaded, "sent again": link.bytes.up - uploaded });
});

test("odd sizes, streams and empty files come out as they went in", async (t) => {
  const { worker, site, browser } = await setUp(t);
  const page = await opened(await browser.visit(site.url), worker.url);
  const other = await opened(await browser.visit(site.url), worker.url);
  for (const size of [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES]) {
    const refs = await page.evaluate(async (size) => {
      const bytes = window.files.content(size + 1, size);
      const whole = await window.db.files.put(bytes);
      // In pieces that have nothing to do with chunks.
      const streamed = await window.db.files.put(new Blob([bytes]).stream().pipeThrough(new TransformStream({
        transform(part, controller) {
          for (let at = 0; at < part.length; at += 50_001) controller.enqueue(part.slice(at, at + 50_001));
        },
      })));
      await streamed.receipt.reached("leader");
      return [whole.ref, streamed.ref];
    }, size);
    assert.equal(refs[0], refs[1], `${size} bytes have one name`);
    const isSame = await other.evaluate(async ([ref, size]) => {
      return window.files.isStream(await window.db.files.get(ref), size + 1, size, Math.max(size, 1));
    }, /** @type {const} */ ([refs[0], size]));
    assert.ok(isSame, `${size} bytes`);
  }
  const codes = await page.evaluate(async () => {
    const code = (promise) => promise.then(() => "none", (error) => error.code);
    const unknown = `hw-file:${"ab".repeat(32)}/5`;
    return [
      await code(window.db.files.get(unknown)),
      await code(window.db.files.get("hw-file:12/5")),
      await code(window.db.files.get(`hw-file:${"ab".repeat(32)}/${2 ** 31}`)),
      await code(window.db.files.put("text")),
      await code(window.db.files.put(new Blob(), { naem: "a" })),
    ];
  });
  assert.deepEqual(codes, ["NOT_FOUND", "MALFORMED", "TOO_LARGE", "MALFORMED", "MALFORMED"]);
});

test("a page that is killed in the middle of sending goes on where it was", async (t) => {
  const { all, worker, site } = await setUp(t, { isBrowser: false });
  const link = await Link.start(all, worker);
  const profile = await Profile.create(all);
  let page = await opened(await profile.visit(site.url), link.url);
  link.delayMs = { up: 60, down: 60 };
  const ref = await page.evaluate(async (size) => {
    const file = await window.db.files.put(window.files.content(2, size));
    window.sent = 0;
    file.receipt.on("progress", ({ bytes }) => void (window.sent = bytes));
    return file.ref;
  }, SIZE);
  await page.waitForFunction((bytes) => window.sent >= bytes, 4 * CHUNK_BYTES);
  await profile.kill();
  const held = await statusOf(worker, ref);
  assert.equal(held.stage, "local");
  assert.ok(held.missing.length > 0, "it was in the middle");
  const before = link.bytes.up;
  page = await opened(await profile.visit(site.url), link.url);
  // Nobody asks for it: opening the database is enough.
  await until(async () => (await statusOf(worker, ref)).stage === "all", { what: "the leader has all of it" });
  const chunks = held.missing.reduce((sum, [from, to]) => sum + to - from, 0);
  assert.ok(link.bytes.up - before < (chunks + 1) * CHUNK_BYTES, "what was there was not sent again");
  const pending = await page.evaluate(async () => (await window.db.files.pending()).length);
  assert.ok(pending <= 1);
  figures("files: killed page", { chunks: 13, "missing at the kill": chunks, "bytes sent after it": link.bytes.up - before });
});

test("a file put offline survives a reload and is sent when there is a connection", async (t) => {
  const { worker, site, browser } = await setUp(t);
  const page = await browser.visit(site.url);
  await opened(page, worker.url, { connect: false });
  const put = await page.evaluate(async (size) => {
    const file = await window.db.files.put(window.files.content(3, size), { name: "offline.bin" });
    const late = await file.receipt.reached("leader", { timeoutMs: 50 }).catch((error) => error.code);
    return { ref: file.ref, stage: file.receipt.stage, late };
  }, SIZE);
  assert.deepEqual([put.stage, put.late], ["local", "OFFLINE"]);
  await page.reload();
  await ready(page);
  await opened(page, worker.url, { connect: false });
  const after = await page.evaluate(async (size) => {
    const [file] = await window.db.files.pending();
    const blob = await window.db.files.get(file.ref);
    const isSame = await window.files.isStream(blob, 3, size, size);
    const evicted = await window.db.files.evict(file.ref);
    const stage = file.receipt.stage;
    window.db.connect();
    const reached = await file.receipt.reached("all");
    return { ref: file.ref, isSame, evicted, stage, reached, last: await window.db.files.evict(file.ref) };
  }, SIZE);
  assert.deepEqual(after, { ref: put.ref, isSame: true, evicted: false, stage: "local", reached: "all", last: true });
  assert.equal((await statusOf(worker, put.ref)).stage, "all");
});

test("a download that is cut off goes on with what is missing, also after a reload", async (t) => {
  const { all, worker, site, browser } = await setUp(t);
  const ref = await putByHttp(worker, 4, SIZE, await opened(await browser.visit(site.url), worker.url));
  const link = await Link.start(all, worker);
  const page = await opened(await browser.visit(site.url), link.url);
  link.delayMs = { up: 40, down: 40 };
  await page.evaluate((ref) => {
    window.arrived = 0;
    window.getting = window.db.files.get(ref, { onProgress: ({ bytes }) => void (window.arrived = bytes) });
    window.getting.catch(() => undefined);
  }, ref);
  await page.waitForFunction((bytes) => window.arrived >= bytes, 4 * CHUNK_BYTES);
  link.goOffline();
  await page.waitForFunction(() => window.db.status.phase !== "live");
  const cut = await page.evaluate(() => window.arrived);
  link.goOnline();
  await page.waitForFunction(() => window.arrived > 0);
  await page.evaluate(() => void window.dispatchEvent(new Event("online")));
  await page.waitForFunction((bytes) => window.arrived > bytes, cut);
  await page.reload();
  await ready(page);
  await opened(page, link.url);
  const before = link.bytes.down;
  const held = await page.evaluate(async () => (await window.db.files.list())[0].heldBytes);
  const isSame = await page.evaluate(async ([ref, size]) => {
    return window.files.isStream(await window.db.files.get(ref), 4, size, size);
  }, /** @type {const} */ ([ref, SIZE]));
  assert.ok(isSame);
  assert.ok(held >= cut, `${held} bytes are here, ${cut} had arrived at the cut`);
  assert.ok(link.bytes.down - before < SIZE - held + CHUNK_BYTES, "what was here did not come again");
  figures("files: cut download", { bytes: SIZE, "here at the reload": held, "came after it": link.bytes.down - before });
});

test("what was damaged on the way or in storage is taken by nobody", async (t) => {
  const { worker, site, browser } = await setUp(t);
  const writer = await opened(await browser.visit(site.url), worker.url);
  const ref = await putByHttp(worker, 5, SIZE, writer);
  const [, id] = /hw-file:([^/]+)/.exec(ref) ?? [];
  const url = `${worker.url}/v1/${DATABASE}/files/${id}`;
  const chunk = new Uint8Array(await (await fetch(`${url}/0`)).arrayBuffer());
  assert.equal(chunk.length, CHUNK_BYTES);
  // To the node: a chunk with one other bit, one that is too long, one that there is not, another list of digests.
  const damaged = chunk.slice();
  damaged[77] ^= 1;
  const refusals = [];
  const post = async (path, body) => {
    const response = await fetch(`${url}${path}`, { method: "POST", body });
    refusals.push([response.status, (await response.json()).code]);
  };
  await post("/0", damaged);
  await post("/0", new Uint8Array(CHUNK_BYTES + 1));
  await post("/13", chunk);
  const hashes = new Uint8Array(await (await fetch(`${url}/hashes`)).arrayBuffer());
  hashes[0] ^= 1;
  await post(`?size=${SIZE}`, hashes);
  await post(`?size=${2 ** 31}`, hashes);
  await post("?size=-1", hashes);
  assert.deepEqual(refusals, [
    [422, "CORRUPT"], [413, "TOO_LARGE"], [400, "MALFORMED"], [422, "CORRUPT"], [413, "TOO_LARGE"], [400, "MALFORMED"],
  ]);
  assert.deepEqual((await statusOf(worker, ref)).missing, [], "what was there stays");

  // To the browser: every third chunk comes damaged, once.
  const seen = new Set();
  let damagedChunks = 0;
  const page = await browser.visit(site.url);
  await opened(page, worker.url);
  await page.route(`${worker.url}/v1/**/files/${id}/*`, async (route) => {
    const response = await route.fetch();
    const body = await response.body();
    const n = Number(route.request().url().split("/").at(-1));
    if (n % 3 === 0 && !seen.has(n)) {
      seen.add(n);
      damagedChunks += 1;
      body[body.length >> 1] ^= 0x10;
    }
    await route.fulfill({ response, body });
  });
  const isSame = await page.evaluate(async ([ref, size]) => {
    return window.files.isStream(await window.db.files.get(ref), 5, size, size);
  }, /** @type {const} */ ([ref, SIZE]));
  assert.ok(isSame);
  assert.ok(damagedChunks >= 3, `${damagedChunks} chunks came damaged`);

  // In the browser's storage: found when it is read, and got again.
  await page.unroute(`${worker.url}/v1/**/files/${id}/*`);
  await page.evaluate(async () => {
    const [{ name }] = (await indexedDB.databases()).filter(({ name }) => name.startsWith("headwater-files/"));
    const db = await new Promise((resolve) => {
      const request = indexedDB.open(name);
      request.onsuccess = () => resolve(request.result);
    });
    await new Promise((resolve) => {
      const transaction = db.transaction("chunks", "readwrite");
      const store = transaction.objectStore("chunks");
      store.getAllKeys().onsuccess = ({ target }) => {
        const keys = target.result;
        store.put(new Uint8Array(99), keys[2]);
        store.delete(keys[5]);
      };
      transaction.oncomplete = resolve;
    });
    db.close();
  });
  const repaired = await page.evaluate(async ([ref, size]) => {
    return window.files.isStream(await window.db.files.get(ref), 5, size, size);
  }, /** @type {const} */ ([ref, SIZE]));
  assert.ok(repaired);
  figures("files: damaged", { "refused by the node": refusals.length, "refused by the browser": damagedChunks, repaired: 2 });
});

test("when a tab goes in the middle of sending, another one goes on", async (t) => {
  const { all, worker, site, browser } = await setUp(t);
  const link = await Link.start(all, worker);
  const one = await opened(await browser.visit(site.url), link.url);
  const two = await opened(await browser.visitBeside(one, site.url), link.url);
  link.delayMs = { up: 60, down: 60 };
  const ref = await one.evaluate(async (size) => {
    const file = await window.db.files.put(window.files.content(8, size));
    window.sent = 0;
    file.receipt.on("progress", ({ bytes }) => void (window.sent = bytes));
    return file.ref;
  }, SIZE);
  await one.waitForFunction((bytes) => window.sent >= bytes, 4 * CHUNK_BYTES);
  const before = link.bytes.up;
  await one.close();
  const held = await statusOf(worker, ref);
  assert.equal(held.stage, "local", "it was in the middle");
  await until(async () => (await statusOf(worker, ref)).stage === "all", { what: "the other tab has sent the rest" });
  assert.ok(await two.evaluate((ref) => window.db.files.has(ref), ref));
  assert.ok(link.bytes.up - before < SIZE - 2 * CHUNK_BYTES, "what was there was not sent again");
});

test("under a quota the least recently used copies go, and none that the leader lacks", async (t) => {
  const { worker, site, browser } = await setUp(t);
  const page = await browser.visit(site.url);
  const quotaBytes = 4 * CHUNK_BYTES;
  await opened(page, worker.url, { files: { quotaBytes } });
  const shown = await page.evaluate(async (chunk) => {
    const { files } = window.db;
    const put = async (seed) => {
      const file = await files.put(window.files.content(seed, chunk));
      await file.receipt.reached("all");
      return file.ref;
    };
    const refs = [];
    for (let seed = 10; seed < 14; seed += 1) refs.push(await put(seed));
    await files.get(refs[0]);
    refs.push(await put(14));
    const has = await Promise.all(refs.map((ref) => files.has(ref)));
    // The one that went is read again, and another one goes.
    const blob = await files.get(refs[1]);
    const isSame = await window.files.isStream(blob, 11, chunk, chunk);
    window.db.disconnect();
    await new Promise((resolve) => (window.db.status.phase === "offline" ? resolve() : window.db.on("status", resolve)));
    const unsent = [];
    for (let seed = 20; seed < 24; seed += 1) unsent.push((await files.put(window.files.content(seed, chunk))).ref);
    const full = await files.put(window.files.content(30, chunk)).catch((error) => error.code);
    const kept = await Promise.all(unsent.map((ref) => files.has(ref)));
    const bytes = (await files.list()).reduce((sum, { heldBytes }) => sum + heldBytes, 0);
    window.db.connect();
    // Does not fit beside what is unsent: it is read, and not kept.
    const passing = (await files.get(refs[3])).size;
    return { has, isSame, full, kept, bytes, passing };
  }, CHUNK_BYTES);
  assert.deepEqual(shown.has, [true, false, true, true, true], "the second one was not used for longest");
  assert.ok(shown.isSame);
  assert.equal(shown.full, "QUOTA");
  assert.deepEqual(shown.kept, [true, true, true, true]);
  assert.equal(shown.bytes, quotaBytes);
  assert.equal(shown.passing, CHUNK_BYTES);
});

test("chunks that a worker acknowledged survive its SIGKILL", async (t) => {
  const { all, worker, site, browser } = await setUp(t);
  const link = await Link.start(all, worker);
  const page = await opened(await browser.visit(site.url), link.url);
  link.delayMs = { up: 20, down: 20 };
  const size = 40 * CHUNK_BYTES;
  const ref = await page.evaluate(async (size) => {
    const file = await window.db.files.put(window.files.content(6, size));
    window.sent = 0;
    file.receipt.on("progress", ({ bytes }) => void (window.sent = bytes));
    window.receipt = file.receipt;
    return file.ref;
  }, size);
  let kills = 0;
  const lost = [];
  for (const part of [0.2, 0.45, 0.7]) {
    await page.waitForFunction((bytes) => window.sent >= bytes, part * size);
    const acknowledged = await page.evaluate(() => window.sent);
    await worker.restart();
    kills += 1;
    const { missing } = await statusOf(worker, ref);
    const held = size / CHUNK_BYTES - missing.reduce((sum, [from, to]) => sum + to - from, 0);
    if (held * CHUNK_BYTES < acknowledged) lost.push(acknowledged - held * CHUNK_BYTES);
    await page.evaluate(() => void window.dispatchEvent(new Event("online")));
  }
  assert.deepEqual(lost, [], "acknowledged and gone");
  await page.evaluate(() => window.receipt.reached("all", { timeoutMs: 60_000 }));
  await worker.restart();
  const other = await opened(await browser.visit(site.url), worker.url);
  const isSame = await other.evaluate(async ([ref, size]) => {
    return window.files.isStream(await window.db.files.get(ref), 6, size, size);
  }, /** @type {const} */ ([ref, size]));
  assert.ok(isSame);
  figures("files: killed worker", { kills, chunks: 40, lost: lost.length });
});
