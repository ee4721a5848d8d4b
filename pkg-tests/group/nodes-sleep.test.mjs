/** Members that nobody uses sleep, and wake as they were. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { open } from "headwater";

import { owner } from "../harness/cleanup.mjs";
import { figures } from "../harness/figures.mjs";
import { pause } from "../harness/until.mjs";
import { Worker } from "../harness/worker.mjs";

/** workerd puts an object to sleep that had nothing to do for about ten seconds; the last beats come before that. */
const IDLE_MS = 16_000;
const SLEEPS_TRIED_MAX = 4;
const NAMES = ["paris", "tokyo", "ohio", "archive"];

test("a group without clients sleeps, and takes a write through whoever is asked first", async (t) => {
  const all = owner(t);
  const [paris, tokyo, ohio, archive] = NAMES.map((name) => ({ name }));
  const members = [{ ...paris, priority: 2 }, { ...tokyo, priority: 1 }, { ...ohio, priority: 1 }, { ...archive, observer: true }];
  const worker = await Worker.start(all, { env: { HEADWATER_GROUP: JSON.stringify({ quorum: 2, members }) } });
  await write(worker, "tokyo", "before");
  const awake = await statuses(worker);
  const slept = await sleep(worker, awake);
  assert.deepEqual(slept.map(({ group }) => group.leader), NAMES.map(() => "paris"));
  assert.deepEqual(slept.map(({ epoch }) => epoch), awake.map(({ epoch }) => epoch), "nobody was elected meanwhile");
  // Asleep once more: this time a client wakes them.
  await pause(IDLE_MS);
  await write(worker, "ohio", "after");
  const answer = await fetch(`${worker.url}/members/archive/v1/team/docs/notes?consistency=strong`);
  assert.deepEqual((await answer.json()).writes, { before: 1, after: 1 });
  figures("nodes: sleep", { members: NAMES.length, "woke as they were": slept.length, elections: 0 });
});

/** Writes through a member, and leaves. @param {Worker} worker @param {string} member @param {string} key */
async function write(worker, member, key) {
  const db = await open("team", { url: `${worker.url}/members/${member}`, storage: "memory" });
  const doc = await db.doc("notes");
  await doc.transact(() => doc.getMap("writes").set(key, 1)).reached("quorum");
  await db.close();
}

/** @param {Worker} worker */
function statuses(worker) {
  return Promise.all(NAMES.map(async (name) => (await fetch(`${worker.url}/members/${name}/v1/team/status`)).json()));
}

/** Lets all of them sleep; answers what they say when they are asked next. @param {Worker} worker @param {any[]} before */
async function sleep(worker, before) {
  for (let tried = 1; tried <= SLEEPS_TRIED_MAX; tried += 1) {
    await pause(IDLE_MS);
    const now = await statuses(worker);
    if (now.every(({ instance }, at) => instance.id !== before[at].instance.id)) return now;
  }
  return assert.fail(`after ${SLEEPS_TRIED_MAX} times ${IDLE_MS} ms without clients a member is still awake`);
}
