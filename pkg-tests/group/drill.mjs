/** The drill as a program: many rounds, each printed as it ends, and what they come to. */

import { parseArgs } from "node:util";

import { owning } from "../harness/cleanup.mjs";
import { Cluster } from "../harness/cluster.mjs";
import { FAULTS } from "../harness/faults.mjs";
import { figures } from "../harness/figures.mjs";
import { Load } from "../harness/load.mjs";
import { Random } from "../harness/random.mjs";
import { audit, DATABASE, describe, drillRound, summary, TIMEOUT_MS, wrongs } from "./drill-round.mjs";

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
begun after it; the longest time in which no write both began and reached a quorum, of all clients, and of a single one that
knows every address; acknowledged writes; how many of them were missing while the struck one was away and at the end;
receipts that did not end; entries merged from tails. Ends with 1 if anything was missing.
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
  const { concern } = values;
  const unknown = faults.find((fault) => !Object.hasOwn(FAULTS, fault));
  if (unknown !== undefined) throw new Error(`there is no fault ${unknown}; there are ${Object.keys(FAULTS).join(", ")}`);
  if (![rounds, count].every((number) => Number.isInteger(number) && number > 0)) {
    throw new Error("--rounds and --clients are whole numbers above 0");
  }
  if (concern !== "quorum" && concern !== "leader") throw new Error("--concern is quorum or leader");

  const random = Random.ofRun("drill");
  await owning(async (owner) => {
    console.log("drill: starting etcd and three members");
    const cluster = await Cluster.start(owner, { settings: { timeoutMs: TIMEOUT_MS } });
    const load = await Load.start(owner, { database: DATABASE, urls: cluster.urls, count, concern, isEverywhere: true });
    /** @type {import("./drill-round.mjs").Round[]} */
    const done = [];
    for (let round = 1; round <= rounds; round += 1) {
      const fault = /** @type {string} */ (faults[(round - 1) % faults.length]);
      done.push(await drillRound({ cluster, load, fault, round, concern, random }));
      console.log(`${String(round).padStart(String(rounds).length)}/${rounds} ${describe(done[round - 1])}`);
    }
    for (const fault of new Set(faults)) {
      const rounds = done.filter((round) => round.fault === fault);
      if (rounds.length > 0) figures(`drill: ${fault} at ${concern}`, summary(rounds));
    }
    figures(`drill at ${concern}`, summary(done));
    const wrong = [...done.flatMap((round) => wrongs(round, concern)), ...(await audit(cluster, load, concern))];
    if (wrong.length > 0) throw new Error(`the group broke its word: ${wrong.slice(0, 10).join("; ")}`);
  });
}

main(process.argv.slice(2)).catch((error) => {
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
});
