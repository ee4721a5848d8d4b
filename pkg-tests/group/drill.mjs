/**
 * A drill: clients write to a group all the time, its leader is struck, and what the clients were told is compared with
 * what the group holds. One round is a function that tests call; run as a program, this does many of them and prints each.
 */

import { parseArgs } from "node:util";

import { owning } from "../harness/cleanup.mjs";
import { Cluster } from "../harness/cluster.mjs";
import { FAULTS } from "../harness/faults.mjs";
import { figures } from "../harness/figures.mjs";
import { acknowledged, firstAfter, Load, longestSilence, missing, now, percentile } from "../harness/load.mjs";
import { Random } from "../harness/random.mjs";
import { pause, until } from "../harness/until.mjs";

export const DATABASE = "drill";
/** A follower that misses the leader for so long asks the others. */
export const TIMEOUT_MS = 1_500;

/** How long writes go on before the strike, and after its end. */
const STRETCH_MS = { min: 300, max: 900 };
const AVAILABLE_MS_MAX = 60_000;

/**
 * What a round found.
 * @typedef {object} Round
 * @property {string} fault
 * @property {string} before who led
 * @property {string} after who led then
 * @property {number} pauseMs from the strike to the first acknowledgement of a write that was begun after it
 * @property {number} unavailableMs the longest time in which no client heard that a write reached a quorum
 * @property {number} worstMs the longest such time of a single client that knows every address
 * @property {number} acknowledged writes of this round that were told to be at their concern
 * @property {string[]} lostWithout acknowledged ones that the others did not hold while the struck one was away
 * @property {string[]} lost acknowledged ones that a member did not hold at the end
 * @property {number} open receipts that did not end
 * @property {number} merged entries of tails that came back
 */

/**
 * One round.
 * @param {{
 *   cluster: Cluster, load: Load, fault: string, round: number, concern: "leader" | "quorum", random: Random,
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
  await flowing(cluster, load, doc, struckMs);
  const told = acknowledged(await load.writes(doc), concern);
  const next = await cluster.leader(DATABASE, fault === "switchover" ? {} : { except: leader });
  const lostWithout = missing(told, await heldBy(next, doc));
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
    unavailableMs: longestSilence(written, "quorum", beganMs, toMs),
    worstMs: Math.max(...load.roaming.map(({ writes }) => longestSilence(writes, "quorum", beganMs, toMs))),
    acknowledged: all.length,
    lostWithout,
    lost: [...new Set(held.flatMap((each) => missing(all, each)))],
    open,
    merged: Math.max((await mergedEntries(cluster)) - mergedBefore, 0),
  };
}

/** What a round must not have found. @param {Round} round @param {"leader" | "quorum"} concern */
export function wrongs({ lost, lostWithout, open }, concern) {
  return [
    ...lost.map((key) => `${key} is missing at the end`),
    // What was told at `leader` alone may be away as long as the leader is that told it.
    ...(concern === "quorum" ? lostWithout.map((key) => `${key} was missing while the struck one was away`) : []),
    ...(open > 0 ? [`${open} receipts did not end`] : []),
  ];
}

/** A round as one line. @param {Round} round */
export function describe({ fault, before, after, pauseMs, unavailableMs, worstMs, acknowledged, lostWithout, lost, open, merged }) {
  const losses = `missing meanwhile ${lostWithout.length}, at the end ${lost.length}`;
  const times = `pause ${Math.round(pauseMs)} ms, unavailable ${Math.round(unavailableMs)} ms, to one client ${Math.round(worstMs)} ms`;
  return `${fault.padEnd(10)} ${before} -> ${after}, ${times}, acknowledged ${acknowledged}, ${losses}, open ${open}, merged ${merged}`;
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

/** What a member shows, proved to be the newest. @param {import("../harness/cluster.mjs").ClusterNode} node @param {string} doc */
export async function heldBy(node, doc) {
  // A leader that was elected a moment ago may not be able to prove it yet.
  const json = await until(
    () => node.worker.json(DATABASE, doc, { query: "?consistency=strong" }).catch((error) => void console.log(`${node.name}: ${error.message}`)),
    { what: `${node.name} answers a strong read`, everyMs: 200 },
  );
  return json.writes ?? {};
}

/** @param {Cluster} cluster */
async function mergedEntries(cluster) {
  const all = await Promise.all(cluster.nodes.map((node) => node.status(DATABASE)));
  return all.reduce((sum, status) => sum + Number(status?.group?.mergedEntries ?? 0), 0);
}

const HELP = `\
Runs a group of three on workerd and etcd, writes to it from several clients, strikes its leader again and again, and
compares what the clients were told with what the group holds.

Usage: cargo xtask drill [OPTIONS]

Options:
  --rounds N         how many strikes (default 10)
  --concern C        what counts as acknowledged: quorum, of which nothing may be missing ever, or leader, of which
                     nothing may be missing at the end (default quorum)
  --faults F,...     which strikes, one after the other: ${Object.keys(FAULTS).join(", ")}
                     (default all of them)
  --clients N        how many clients write that know every address (default 3), besides one at each member

Each round: the fault; who led and who led then; the pause, from the strike to the first acknowledgement of a write that was
begun after it; the longest time in which no client heard that a write reached a quorum, and the longest one of a single
client that knows every address; acknowledged writes; how many of them were missing while the struck one was away and at the
end; receipts that did not end; entries merged from tails. Ends with 1 if anything was missing.
`;

/** @param {string[]} args */
async function main(args) {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: "string", default: "10" },
      concern: { type: "string", default: "quorum" },
      faults: { type: "string", default: Object.keys(FAULTS).join(",") },
      clients: { type: "string", default: "3" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return void process.stdout.write(HELP);
  const [rounds, count, faults] = [Number(values.rounds), Number(values.clients), values.faults.split(",")];
  const unknown = faults.find((fault) => !Object.hasOwn(FAULTS, fault));
  if (unknown !== undefined) throw new Error(`there is no fault ${unknown}; there are ${Object.keys(FAULTS).join(", ")}`);
  if (![rounds, count].every((number) => Number.isInteger(number) && number > 0)) throw new Error("--rounds and --clients are whole numbers above 0");
  const { concern } = values;
  if (concern !== "quorum" && concern !== "leader") throw new Error("--concern is quorum or leader");

  const random = Random.ofRun("drill");
  await owning(async (owner) => {
    console.log("drill: starting etcd and three members");
    const cluster = await Cluster.start(owner, { settings: { timeoutMs: TIMEOUT_MS } });
    const load = await Load.start(owner, { database: DATABASE, urls: cluster.urls, count, concern, isEverywhere: true });
    /** @type {Round[]} */
    const done = [];
    for (let round = 1; round <= rounds; round += 1) {
      const fault = /** @type {string} */ (faults[(round - 1) % faults.length]);
      done.push(await drillRound({ cluster, load, fault, round, concern, random }));
      console.log(`${String(round).padStart(String(rounds).length)}/${rounds} ${describe(/** @type {Round} */ (done.at(-1)))}`);
    }
    for (const fault of new Set(faults)) {
      const rounds = done.filter((round) => round.fault === fault);
      if (rounds.length > 0) figures(`drill: ${fault} at ${concern}`, summary(rounds));
    }
    figures(`drill at ${concern}`, summary(done));
    const wrong = done.flatMap((round) => wrongs(round, concern));
    if (wrong.length > 0) throw new Error(`the group broke its word: ${wrong.slice(0, 10).join("; ")}`);
  });
}

if (import.meta.filename === process.argv[1]) {
  main(process.argv.slice(2)).catch((error) => {
    console.error(`error: ${error.message}`);
    process.exitCode = 1;
  });
}
