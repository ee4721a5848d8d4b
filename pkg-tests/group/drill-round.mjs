/**
 * One round of a drill: clients write to a group all the time, it is struck, and what the clients were told is compared with
 * what the group holds. It knows neither what strikes there are nor what they do.
 */

import { FAULTS } from "../harness/faults.mjs";
import { acknowledged, firstAfter, longestUnavailable, missing, now, percentile } from "../harness/load.mjs";
import { pause, until } from "../harness/until.mjs";

export const DATABASE = "drill";
/** A follower that misses the leader for so long asks the others. */
export const TIMEOUT_MS = 1_500;

/** How long writes go on before the strike, and after its end. */
const STRETCH_MS = { min: 300, max: 900 };
const AVAILABLE_MS_MAX = 60_000;

/**
 * @typedef {import("../harness/cluster.mjs").Cluster} Cluster
 * @typedef {import("../harness/cluster.mjs").ClusterNode} ClusterNode
 * @typedef {import("../harness/load.mjs").Load} Load
 * @typedef {"leader" | "quorum"} Concern
 */

/**
 * What a round found.
 * @typedef {object} Round
 * @property {string} fault
 * @property {string} before who led
 * @property {string} after who led then
 * @property {number} pauseMs from the strike to the first acknowledgement of a write that was begun after it
 * @property {number} unavailableMs the longest time in which no write both began and reached a quorum
 * @property {number} worstMs the longest such time for a single client that knows every address
 * @property {number} acknowledged writes of this round that were told to be at their concern
 * @property {string[]} lostWithout acknowledged ones that the others did not hold while the struck one was away
 * @property {string[]} lost acknowledged ones that a member did not hold at the end
 * @property {number} open receipts that did not end
 * @property {number} merged entries of tails that came back
 */

/**
 * One round.
 * @param {{
 *   cluster: Cluster, load: Load, fault: string, round: number, concern: Concern, random: import("../harness/random.mjs").Random,
 *   sessions?: import("../harness/sessions.mjs").Sessions,
 * }} options
 * @returns {Promise<Round>}
 */
export async function drillRound({ cluster, load, fault, round, concern, random, sessions }) {
  const doc = `round-${round}-${fault}`;
  await cluster.whole(DATABASE);
  const leader = await cluster.leader(DATABASE);
  const mergedBefore = await mergedEntries(cluster);
  await load.begin(doc);
  sessions?.begin(doc);
  const beganMs = now();
  await flowing(cluster, load, doc, beganMs);
  await pause(random.between(STRETCH_MS.min, STRETCH_MS.max));

  const struckMs = now();
  const strike = await /** @type {NonNullable<typeof FAULTS[string]>} */ (FAULTS[fault])({ cluster, leader, database: DATABASE });
  const lostWithout = strike.isTotal ? [] : await missingMeanwhile(cluster, load, { doc, fault, leader, struckMs, concern });
  await strike.end();
  const endedMs = now();
  await flowing(cluster, load, doc, endedMs);
  await pause(random.between(STRETCH_MS.min, STRETCH_MS.max));

  const toMs = now();
  await sessions?.end();
  const open = await load.end();
  await cluster.whole(DATABASE);
  const after = await cluster.leader(DATABASE);
  const written = await load.writes(doc);
  const all = acknowledged(written, concern);
  const held = await Promise.all(cluster.nodes.map((node) => heldBy(node, doc)));
  return {
    fault,
    before: leader.name,
    after: after.name,
    pauseMs: firstAfter(written, "quorum", struckMs) ?? 0,
    unavailableMs: longestUnavailable(written, "quorum", beganMs, toMs),
    worstMs: Math.max(...load.roaming.map(({ writes }) => longestUnavailable(writes, "quorum", beganMs, toMs))),
    acknowledged: all.length,
    lostWithout,
    lost: [...new Set(held.flatMap((each) => missing(all, each)))],
    open,
    merged: Math.max((await mergedEntries(cluster)) - mergedBefore, 0),
  };
}

/**
 * Waits until the others go on; answers which acknowledged writes they do not have.
 * @param {Cluster} cluster
 * @param {Load} load
 * @param {{
 *   doc: string, fault: string, leader: ClusterNode, struckMs: number, concern: Concern,
 * }} round
 */
async function missingMeanwhile(cluster, load, { doc, fault, leader, struckMs, concern }) {
  await flowing(cluster, load, doc, struckMs);
  const told = acknowledged(await load.writes(doc), concern);
  const next = await cluster.leader(DATABASE, fault === "switchover" ? {} : { except: leader });
  return missing(told, await heldBy(next, doc));
}

/** What a round must not have found. @param {Round} round @param {Concern} concern */
export function wrongs({ lost, lostWithout, open }, concern) {
  return [
    ...lost.map((key) => `${key} is missing at the end`),
    // What was told at `leader` alone may be away as long as the leader is that told it.
    ...(concern === "quorum" ? lostWithout.map((key) => `${key} was missing while the struck one was away`) : []),
    ...(open > 0 ? [`${open} receipts did not end`] : []),
  ];
}

/**
 * What was acknowledged in any round and is not held by every member now: what a round found may have been lost since.
 * @param {Cluster} cluster
 * @param {Load} load
 * @param {Concern} concern
 */
export async function audit(cluster, load, concern) {
  const lost = [];
  for (const doc of load.docs) {
    const all = acknowledged(await load.writes(doc), concern);
    for (const node of cluster.nodes) {
      const keys = missing(all, await heldBy(node, doc));
      lost.push(...keys.map((key) => `${doc}: ${key} at ${node.name}`));
    }
  }
  return lost;
}

/** A round as one line. @param {Round} round */
export function describe({ fault, before, after, pauseMs, unavailableMs, worstMs, acknowledged, lostWithout, lost, open, merged }) {
  const [paused, unavailable, worst] = [pauseMs, unavailableMs, worstMs].map(Math.round);
  return [
    `${fault.padEnd(10)} ${before} -> ${after}`,
    `pause ${paused} ms, unavailable ${unavailable} ms, to one client ${worst} ms`,
    `acknowledged ${acknowledged}, missing meanwhile ${lostWithout.length}, at the end ${lost.length}`,
    `open ${open}, merged ${merged}`,
  ].join(", ");
}

/** What many rounds come to. @param {Round[]} rounds */
export function summary(rounds) {
  const sum = (/** @type {(round: Round) => number} */ of) => rounds.reduce((total, round) => total + of(round), 0);
  const times = (/** @type {string} */ name, /** @type {(round: Round) => number} */ of) => ({
    [`${name} ms median`]: Math.round(percentile(rounds.map(of), 50)),
    [`${name} ms p99`]: Math.round(percentile(rounds.map(of), 99)),
  });
  return {
    rounds: rounds.length,
    acknowledged: sum(({ acknowledged }) => acknowledged),
    "missing meanwhile": sum(({ lostWithout }) => lostWithout.length),
    "missing at the end": sum(({ lost }) => lost.length),
    "receipts that did not end": sum(({ open }) => open),
    "entries merged from tails": sum(({ merged }) => merged),
    ...times("pause", ({ pauseMs }) => pauseMs),
    ...times("unavailable", ({ unavailableMs }) => unavailableMs),
    ...times("unavailable to one client", ({ worstMs }) => worstMs),
    "timeout ms": TIMEOUT_MS,
  };
}

/**
 * Waits until a write that was begun after a moment is held by a quorum.
 * @param {Cluster} cluster
 * @param {Load} load
 * @param {string} doc
 * @param {number} [sinceMs] now, if it is not said
 */
export async function flowing(cluster, load, doc, sinceMs = now()) {
  const isFlowing = () => firstAfter(load.own(doc), "quorum", sinceMs) !== null;
  await cluster.explained(DATABASE, until(isFlowing, { what: "writes reach a quorum", timeoutMs: AVAILABLE_MS_MAX }));
}

/** What a member shows, proved to be the newest. @param {ClusterNode} node @param {string} doc */
export async function heldBy(node, doc) {
  // A leader that was elected a moment ago may not be able to prove it yet.
  const ask = () =>
    node.worker.json(DATABASE, doc, { query: "?consistency=strong" }).catch((error) => {
      console.log(`${node.name}: ${error.message}`);
    });
  const json = await until(ask, { what: `${node.name} answers a strong read`, everyMs: 200 });
  return json.writes ?? {};
}

/** @param {Cluster} cluster */
async function mergedEntries(cluster) {
  const all = await Promise.all(cluster.nodes.map((node) => node.status(DATABASE)));
  return all.reduce((sum, status) => sum + Number(status?.group?.mergedEntries ?? 0), 0);
}
