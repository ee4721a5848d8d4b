/** The arithmetic of drills: a drill that counts wrongly finds nothing. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { acknowledged, firstAfter, longestUnavailable, missing, percentile } from "../harness/load.mjs";

test("unavailable is the longest time in which no write both began and ended", () => {
  const write = (/** @type {number} */ beganMs, /** @type {number | null} */ quorumMs) => ({ key: `w${beganMs}`, beganMs, quorumMs });
  const unavailable = (/** @type {any[]} */ writes) => longestUnavailable(writes, "quorum", 0, 100);
  assert.equal(unavailable([]), 100);
  assert.equal(unavailable([write(0, 1), write(50, 51), write(99, 100)]), 51, "from one beginning to the next end");
  assert.equal(unavailable([write(10, 11), write(20, 90), write(30, 91)]), 80, "what ends late, having begun early, is no service between");
  assert.equal(unavailable([write(10, 11), write(20, 50), write(21, 60), write(70, 71)]), 50, "nor is news of what was made before");
  assert.equal(unavailable([write(10, 11), write(60, null)]), 90, "what never ended is none");
  assert.equal(unavailable([write(10, 11), write(-5, 50), write(105, 106)]), 90, "nor what was begun outside");
});

test("what was acknowledged and is not held is missing, and nothing else is", () => {
  const write = { doc: "d", beganMs: 0, leaderEpoch: null, quorumEpoch: null, error: null };
  const writes = [
    { ...write, key: "a", leaderMs: 1, quorumMs: 2 },
    { ...write, key: "b", leaderMs: 1, quorumMs: null },
    { ...write, key: "toString", leaderMs: 3, quorumMs: 4 },
    { ...write, key: "c", leaderMs: null, quorumMs: null },
  ];
  const keys = (/** @type {{ key: string }[]} */ writes) => writes.map(({ key }) => key);
  assert.deepEqual(keys(acknowledged(writes, "leader")), ["a", "b", "toString"]);
  assert.deepEqual(keys(acknowledged(writes, "quorum")), ["a", "toString"]);
  assert.deepEqual(missing(writes, { a: 1, c: 1 }), ["b", "toString"]);
  assert.equal(firstAfter(writes, "quorum", 0), 2);
  assert.equal(firstAfter(writes, "quorum", 1), null, "none was begun since");
});

test("percentiles are of what there is", () => {
  assert.deepEqual([percentile([], 50), percentile([7], 99), percentile([3, 1, 2], 50), percentile([1, 2], 99)], [0, 7, 2, 2]);
});
