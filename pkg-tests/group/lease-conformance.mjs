/** What every lease store does, whichever it is: asked of a store by nothing but its two calls. */

import assert from "node:assert/strict";

import { LEASE_RECORD_BYTES_MAX } from "./edge-package.mjs";

/** How many create the same record at once. */
const CREATORS = 20;
const WRITERS = 8;
/** How often each of the writers counts up. */
const INCREMENTS = 10;
/** More than any of them can lose against the others. */
const TRIES_MAX = WRITERS * INCREMENTS + 1;

/** Names that are one database each, whatever a store makes of them: paths, keys, addresses, numbers. */
const ODD_NAMES = [
  "a", "A", "a/b", "a%2Fb", "a%2fb", "/a", "a/", " a", "a ", "a?b=c", "a#b", "a\\b", "\"a\"", "'; DROP TABLE lease; --",
  "ü", "u\u0308", "🙂", "\ufeffa", "0", "null", "undefined", "__proto__", "a\u200bb",
  "n".repeat(128), `${"n".repeat(127)}m`,
];

/**
 * Runs all of it on a store that holds none of the databases named here; answers its figures.
 * @param {{ store: any, restart: () => Promise<void> }} options `restart` ends what holds the records, as hard as it can
 */
export async function conforms({ store, restart }) {
  const figures = { behaviours: 0 };
  /** @param {() => Promise<object | void>} behaviour */
  const shows = async (behaviour) => {
    Object.assign(figures, await behaviour());
    figures.behaviours += 1;
  };
  await shows(() => absent(store));
  await shows(() => createdOnce(store));
  await shows(() => createdByOne(store));
  await shows(() => noLostUpdate(store));
  await shows(() => staleRevision(store));
  await shows(() => isolated(store));
  await shows(() => textExact(store));
  await shows(() => refusesWhatCannotBe(store));
  await shows(() => knowsItsOwn(store));
  await shows(() => outlives(store, restart));
  return figures;
}

async function absent(store) {
  assert.equal(await store.read("absent"), undefined);
  assert.equal(await store.read("absent"), undefined, "reading makes nothing");
  assert.deepEqual(await store.swap("absent", "7", "{}"), { swapped: false, current: undefined });
  assert.equal(await store.read("absent"), undefined, "a refused swap makes nothing");
}

async function createdOnce(store) {
  const { swapped, revision } = await store.swap("once", undefined, "first");
  assert.equal(swapped, true);
  assert.equal(typeof revision, "string");
  assert.deepEqual(await store.read("once"), { record: "first", revision });
  const refused = await store.swap("once", undefined, "second");
  assert.deepEqual(refused, { swapped: false, current: { record: "first", revision } });
}

async function createdByOne(store) {
  const answers = await Promise.all(
    Array.from({ length: CREATORS }, (_, creator) => store.swap("race", undefined, `creator ${creator}`)),
  );
  const winners = answers.flatMap(({ swapped, revision }, creator) => (swapped ? [{ creator, revision }] : []));
  assert.equal(winners.length, 1, "exactly one creates it");
  const current = { record: `creator ${winners[0].creator}`, revision: winners[0].revision };
  for (const answer of answers.filter(({ swapped }) => !swapped)) assert.deepEqual(answer.current, current);
  assert.deepEqual(await store.read("race"), current);
  return { "create race": `1 of ${CREATORS}` };
}

/** Each adds one and says so; a lost update would leave a sum below what was answered. */
async function noLostUpdate(store) {
  const created = await store.swap("counter", undefined, JSON.stringify({ count: 0, by: "nobody" }));
  const revisions = new Set([created.revision]);
  let swaps = 0;
  let refused = 0;
  const count = async (writer) => {
    let held = await store.read("counter");
    for (let done = 0, tried = 0; done < INCREMENTS; tried += 1) {
      assert.ok(tried < TRIES_MAX, "somebody wins each round");
      const record = JSON.stringify({ count: JSON.parse(held.record).count + 1, by: `${writer}.${done}` });
      const answer = await store.swap("counter", held.revision, record);
      if (answer.swapped) {
        assert.ok(!revisions.has(answer.revision), "no revision is given twice");
        revisions.add(answer.revision);
        held = { record, revision: answer.revision };
        swaps += 1;
        done += 1;
      } else {
        held = answer.current;
        refused += 1;
      }
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, (_, writer) => count(writer)));
  assert.equal(swaps, WRITERS * INCREMENTS);
  assert.equal(JSON.parse((await store.read("counter")).record).count, swaps, "the sum is the number of swaps");
  return { increments: swaps, "increments refused": refused, "increments lost": 0 };
}

async function staleRevision(store) {
  const first = await store.swap("stale", undefined, "same");
  const second = await store.swap("stale", first.revision, "other");
  const third = await store.swap("stale", second.revision, "same");
  const current = { record: "same", revision: third.revision };
  for (const { revision } of [first, second]) {
    // Its text is back, its revision is not.
    assert.deepEqual(await store.swap("stale", revision, "late"), { swapped: false, current });
  }
  assert.deepEqual(await store.read("stale"), current);
  assert.equal(new Set([first.revision, second.revision, third.revision]).size, 3);
  // The same text again is a change as well.
  const fourth = await store.swap("stale", third.revision, "same");
  assert.equal(fourth.swapped, true);
  assert.notEqual(fourth.revision, third.revision);
}

async function isolated(store) {
  const revisions = await Promise.all(
    ODD_NAMES.map(async (name) => (await store.swap(name, undefined, `of ${name}`)).revision),
  );
  for (const [index, name] of ODD_NAMES.entries()) {
    assert.deepEqual(await store.read(name), { record: `of ${name}`, revision: revisions[index] }, name);
  }
  await store.swap("a/b", revisions[ODD_NAMES.indexOf("a/b")], "changed");
  assert.equal((await store.read("a%2Fb")).record, "of a%2Fb");
  assert.equal((await store.read("a")).record, "of a");
  return { "odd names": ODD_NAMES.length };
}

async function textExact(store) {
  const texts = [
    "",
    "\ufeffbyte order mark",
    "ü u\u0308 🙂 \u0000 \u007f \u2028 \uffff \r\n \r \n\n",
    '{"a":"\\u0000","b":[1,2.50,"</script>"]}  ',
    "x".repeat(LEASE_RECORD_BYTES_MAX),
    "🙂".repeat(LEASE_RECORD_BYTES_MAX / 4),
  ];
  let revision;
  for (const text of texts) {
    const answer = await store.swap("texts", revision, text);
    assert.equal(answer.swapped, true);
    revision = answer.revision;
    assert.deepEqual(await store.read("texts"), { record: text, revision });
    // A refusal brings it as exactly.
    assert.deepEqual((await store.swap("texts", undefined, "no")).current, { record: text, revision });
  }
}

async function refusesWhatCannotBe(store) {
  const coded = (code) => (error) => error.name === "HeadwaterError" && error.code === code;
  const { revision } = await store.swap("limits", undefined, "kept");
  for (const text of ["x".repeat(LEASE_RECORD_BYTES_MAX + 1), "ü".repeat(LEASE_RECORD_BYTES_MAX / 2 + 1)]) {
    await assert.rejects(store.swap("limits", revision, text), coded("TOO_LARGE"));
  }
  await assert.rejects(store.swap("limits", revision, "half \ud800"), coded("MALFORMED"));
  await assert.rejects(store.swap("limits", revision, 1), coded("MALFORMED"));
  for (const name of ["", ".", "..", "a\u0000", "half \ud800", "n".repeat(129), 1]) {
    await assert.rejects(store.read(name), coded("MALFORMED"));
    await assert.rejects(store.swap(name, undefined, "no"), coded("MALFORMED"));
  }
  for (const expected of ["", "*", "0", "-1", "1.5", `${revision}"`, "9".repeat(40), 1]) {
    await assert.rejects(store.swap("limits", expected, "no"), coded("MALFORMED"));
  }
  assert.deepEqual(await store.read("limits"), { record: "kept", revision });
}

/** The answer to a swap was lost, so it is made again. */
async function knowsItsOwn(store) {
  const { revision } = await store.swap("repeat", undefined, "before");
  const made = await store.swap("repeat", revision, "by me, nonce 1");
  const again = await store.swap("repeat", revision, "by me, nonce 1");
  assert.deepEqual(again, { swapped: false, current: { record: "by me, nonce 1", revision: made.revision } });
}

async function outlives(store, restart) {
  let { revision } = await store.swap("kept", undefined, "0");
  const restarts = 3;
  for (let round = 1; round <= restarts; round += 1) {
    const answer = await store.swap("kept", revision, `${round}`);
    // At once: whatever was answered is durable.
    await restart();
    assert.deepEqual(await store.read("kept"), { record: `${round}`, revision: answer.revision });
    assert.equal((await store.swap("kept", revision, "late")).swapped, false, "what was stale stays so");
    revision = answer.revision;
  }
  const next = await store.swap("kept", revision, "after");
  assert.equal(next.swapped, true);
  assert.notEqual(next.revision, revision);
  return { kills: restarts, "swaps lost": 0 };
}
