/** Frames that no client of ours sends: each gets a coded answer, nothing is written, nobody else notices. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { open } from "headwater";
import WebSocket from "ws";
import * as Y from "yjs";

import { owner } from "../harness/cleanup.mjs";
import { rounds } from "../harness/env.mjs";
import { figures, progress } from "../harness/figures.mjs";
import * as frames from "../harness/frames.mjs";
import { settled } from "../harness/page.mjs";
import { Random } from "../harness/random.mjs";
import { Worker } from "../harness/worker.mjs";

const FRAMES = rounds(10_000, 2_000);
const AT_ONCE = 8;
const DATABASE = "hostile";
const ANSWER_MS_MAX = 30_000;
/** An oversized frame costs a megabyte on both sides: one kind in so many frames is enough. */
const OVERSIZED_EVERY = 200;

const MALFORMED = 4;
const TOO_LARGE = 5;
const OUT_OF_ORDER = 6;
const RESUME = 17;
const VERSION = 7;
const DATABASE_RESET = 8;
const CLOSE_BASE = 4000;
/** The platform's own refusal of a message that is above what it takes (RFC 6455 §7.4.1). */
const MESSAGE_TOO_BIG = 1009;

/** A valid update, for writes that are wrong in some other way. */
const update = (() => {
  const doc = new Y.Doc();
  doc.getMap("values").set("hostile", "written");
  return Y.encodeStateAsUpdate(doc);
})();

/**
 * A kind of attack: what is sent after hello, and which codes may answer. `null` among them means that it may also be
 * taken for something harmless; nothing may be written all the same.
 * @typedef {{ name: string, skipsHello?: boolean, send: (random: Random) => (Uint8Array | string)[], codes: (number | null)[] }} Kind
 */

/** @type {Kind[]} */
const KINDS = [
  {
    name: "noise",
    send: (random) => [random.bytes(random.below(200))],
    // Seven of 256 first bytes begin a frame, and the shortest ones need no more than luck.
    codes: [MALFORMED, TOO_LARGE, OUT_OF_ORDER, RESUME, null],
  },
  {
    name: "unknown type",
    send: (random) => [Uint8Array.from([random.between(11, 255), ...random.bytes(random.below(30))])],
    codes: [MALFORMED],
  },
  {
    name: "truncated",
    send: (random) => {
      const frame = random.pick(valid(random));
      return [frame.subarray(0, random.below(frame.length))];
    },
    codes: [MALFORMED],
  },
  {
    name: "bytes left over",
    send: (random) => [concat(random.pick(valid(random)), random.bytes(random.between(1, 20)))],
    codes: [MALFORMED],
  },
  {
    name: "lengths beyond the frame",
    send: (random) => {
      const length = frames.uint(random.bits());
      const head = random.pick([
        [frames.TYPE.subscribe, 1, 0, 0],
        [frames.TYPE.unsubscribe],
        [frames.TYPE.push, 1, 0],
        [frames.TYPE.barrier, 1, 0],
      ]);
      return [Uint8Array.from([...head, ...length])];
    },
    codes: [MALFORMED, TOO_LARGE],
  },
  {
    name: "a bit flipped",
    send: (random) => {
      const frame = Uint8Array.from(random.pick(valid(random).filter(([type]) => type !== frames.TYPE.push)));
      const at = random.below(frame.length);
      frame[at] = (frame[at] ?? 0) ^ (1 << random.below(8));
      return frame[0] === frames.TYPE.push ? [frame.subarray(0, 3)] : [frame];
    },
    codes: [MALFORMED, TOO_LARGE, OUT_OF_ORDER, RESUME, null],
  },
  {
    name: "broken update",
    send: (random) => {
      const broken = random.pick([
        () => update.subarray(0, random.below(update.length)),
        () => random.bytes(random.between(1, 60)).fill(0xff, 0, 1),
        () => concat(update, random.bytes(random.between(1, 10))),
      ]);
      return [frames.push({ origin: random.bits(), update: broken() })];
    },
    codes: [frames.NODE_TYPE.rejected],
  },
  {
    name: "gap in the origin",
    send: (random) => {
      const prev = random.between(1, 1_000);
      return [frames.push({ origin: random.bits(), resume: 0, prev, seq: prev + 1, update })];
    },
    codes: [RESUME],
  },
  {
    name: "writes that do not ascend",
    send: (random) => {
      const prev = random.between(1, 1_000);
      return [frames.push({ origin: random.bits(), prev, seq: random.between(0, prev), update })];
    },
    codes: [MALFORMED],
  },
  {
    name: "impossible document",
    send: (random) => {
      const doc = random.pick(["", "\u0000", "a\nb", "x".repeat(257)]);
      return [frames.push({ origin: random.bits(), doc, update })];
    },
    codes: [MALFORMED, TOO_LARGE],
  },
  { name: "hello twice", send: (random) => [frames.hello(random.bits())], codes: [OUT_OF_ORDER] },
  {
    name: "no hello",
    skipsHello: true,
    send: (random) => [random.pick([...valid(random), frames.push({ origin: random.bits(), update })])],
    codes: [OUT_OF_ORDER],
  },
  {
    name: "wrong magic",
    skipsHello: true,
    send: (random) => {
      const frame = frames.hello(random.bits());
      frame.set(random.bytes(2).map((byte) => byte | 0x80), 1);
      return [frame];
    },
    codes: [MALFORMED],
  },
  {
    name: "version 0",
    skipsHello: true,
    send: (random) => {
      const frame = frames.hello(random.bits());
      frame[3] = 0;
      return [frame];
    },
    codes: [VERSION],
  },
  {
    name: "another generation",
    skipsHello: true,
    send: (random) => {
      const frame = frames.hello(random.bits());
      frame.set(random.bytes(8).fill(0x5a, 0, 1), 4);
      return [frame];
    },
    codes: [DATABASE_RESET],
  },
  {
    name: "group of the live stream",
    send: () => [frames.subscribe(0, ["notes"])],
    codes: [MALFORMED],
  },
  {
    name: "group taken twice",
    send: (random) => [frames.subscribe(5, ["notes"]), frames.subscribe(random.between(1, 5), ["other"])],
    codes: [OUT_OF_ORDER, MALFORMED],
  },
  {
    name: "text",
    send: (random) => [random.pick(["", "pong", "{}", "ping ", "a".repeat(1_000)])],
    codes: [MALFORMED],
  },
];

/** @type {Kind} */
const OVERSIZED = {
  name: "oversized",
  send: (random) => {
    const bytes = new Uint8Array(frames.FRAME_BYTES_MAX + random.between(1, 1_000));
    bytes.set(random.pick([frames.push({ origin: random.bits(), update }), frames.subscribe(1, ["notes"])]));
    return [bytes];
  },
  codes: [TOO_LARGE, MESSAGE_TOO_BIG],
};

test("hostile frames are answered by their codes, and an honest client beside them notices nothing", async (t) => {
  const random = Random.ofRun("hostile");
  const all = owner(t);
  const worker = await Worker.start(all);
  const writer = await honest(all, worker);
  const reader = await honest(all, worker);
  const say = progress("hostile");
  /** @type {Map<string, number>} */
  const answers = new Map();
  let [sent, written, isOver] = [0, 0, false];

  const honestWork = (async () => {
    while (!isOver) {
      const receipt = writer.doc.transact(() => writer.doc.getMap("honest").set(`write-${written}`, written));
      written += 1;
      await receipt.reached("leader");
      const session = reader.db.session({ from: writer.db.session().bookmark() });
      const { value } = await session.read("notes", (doc) => doc.getMap("honest").get(`write-${written - 1}`));
      assert.equal(value, written - 1, "the honest reader sees the honest write");
      session.close();
    }
  })();

  const attack = async () => {
    while (sent < FRAMES) {
      sent += 1;
      const kind = sent % OVERSIZED_EVERY === 0 ? OVERSIZED : (KINDS[sent % KINDS.length] ?? OVERSIZED);
      const { code, closedWith } = await attempt(worker, kind, random);
      assert.ok(kind.codes.includes(code), `${kind.name}: answered ${code}, closed with ${closedWith}`);
      const answer = code === null ? "taken as harmless" : code === frames.NODE_TYPE.rejected ? "rejected" : "refused";
      answers.set(answer, (answers.get(answer) ?? 0) + 1);
      say(`${sent} of ${FRAMES} frames, ${written} honest writes meanwhile`);
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, attack));
  } finally {
    isOver = true;
    await honestWork;
  }
  await settled(writer.db);

  const status = await worker.status(DATABASE);
  assert.equal(status.lsn, written, "the log holds the honest writes and nothing else");
  assert.equal(status.failure, null);
  const cut = writer.drops + reader.drops;
  assert.equal(cut, 0, "the honest connections were never cut");
  await worker.restart();
  assert.equal((await worker.status(DATABASE)).lsn, written, "and so does the disk");
  const expected = Object.fromEntries(Array.from({ length: written }, (_, at) => [`write-${at}`, at]));
  assert.deepEqual(await worker.json(DATABASE, "notes"), { honest: expected });
  assert.deepEqual(await worker.json(DATABASE, "other"), {});

  figures("hostile", {
    frames: sent,
    refused: answers.get("refused") ?? 0,
    rejected: answers.get("rejected") ?? 0,
    "taken as harmless": answers.get("taken as harmless") ?? 0,
    "honest writes meanwhile": written,
    "honest connections cut": cut,
    "written by attackers": status.lsn - written,
  });
});

/**
 * A client of the package, in this process.
 * @param {import("../harness/cleanup.mjs").Owner} all
 * @param {Worker} worker
 */
async function honest(all, worker) {
  const db = await open(DATABASE, { url: worker.url, storage: "memory" });
  all.after(() => db.close());
  const doc = await db.doc("notes");
  const client = { db, doc, drops: 0 };
  let wasLive = db.status.phase === "live";
  const off = db.on("status", ({ phase }) => {
    if (wasLive && phase !== "live") client.drops += 1;
    wasLive ||= phase === "live";
  });
  all.after(off);
  return client;
}

/**
 * One connection with one attack on it; answers the code of the error, `null` if there was none.
 * @param {Worker} worker
 * @param {Kind} kind
 * @param {Random} random
 * @returns {Promise<{ code: number | null, closedWith?: number }>}
 */
function attempt(worker, kind, random) {
  const socket = new WebSocket(`${worker.url.replace("http", "ws")}/v1/${DATABASE}/sync`);
  socket.binaryType = "nodebuffer";
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      socket.terminate();
      reject(new Error(`${kind.name}: no answer within ${ANSWER_MS_MAX} ms`));
    }, ANSWER_MS_MAX);
    const end = (/** @type {{ code: number | null, closedWith?: number }} */ outcome) => {
      clearTimeout(timer);
      socket.terminate();
      resolve(outcome);
    };
    /** @type {number | undefined} */
    let told;
    socket.on("open", () => {
      if (!kind.skipsHello) socket.send(frames.hello(random.bits()));
      for (const each of kind.send(random)) socket.send(each);
      // Whoever is still there answers this one; it names nothing, so it is answered at once.
      if (kind.codes.includes(null)) socket.send(Uint8Array.from([frames.TYPE.barrier, ...frames.uint(PROBE), 0, 0, 0]));
    });
    socket.on("message", (/** @type {Buffer} */ bytes) => {
      if (bytes[0] === frames.NODE_TYPE.error) told = frames.errorCode(bytes);
      // The connection goes on after a rejection.
      else if (bytes[0] === frames.NODE_TYPE.rejected) end({ code: frames.NODE_TYPE.rejected });
      else if (bytes[0] === REACHED && isProbe(bytes)) end({ code: null });
    });
    socket.on("close", (closedWith) => {
      const code = closedWith === MESSAGE_TOO_BIG ? closedWith : closedWith - CLOSE_BASE;
      // Text is refused before the protocol begins, by the close code alone.
      const isTold = told === code || (told === undefined && (kind.name === "text" || closedWith === MESSAGE_TOO_BIG));
      if (isTold) return end({ code, closedWith });
      clearTimeout(timer);
      reject(new Error(`${kind.name}: closed with ${closedWith}, and the error frame said ${told}`));
    });
    socket.on("error", (error) => {
      clearTimeout(timer);
      reject(new Error(`${kind.name}: ${error.message}`));
    });
  });
}

const REACHED = 70;
/** A barrier's number that no attack uses. */
const PROBE = 0x7fff_ffff;

/** @param {Buffer} bytes */
function isProbe(bytes) {
  const probe = frames.uint(PROBE);
  return probe.every((byte, at) => bytes[1 + at] === byte);
}

/** Frames that are in order. @param {Random} random */
function valid(random) {
  return [
    frames.subscribe(random.between(1, 1_000), ["notes", "other"]),
    frames.barrier(random.below(1_000), random.bits(), random.between(1, 1_000)),
    Uint8Array.from([frames.TYPE.unsubscribe, 1, ...frames.text("notes")]),
    frames.push({ origin: random.bits(), update }),
  ];
}

/** @param {Uint8Array} left @param {Uint8Array} right */
function concat(left, right) {
  const joined = new Uint8Array(left.length + right.length);
  joined.set(left);
  joined.set(right, left.length);
  return joined;
}
