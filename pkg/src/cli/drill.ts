/** `headwater drill`: switches a running database over, again and again, under writes, and says what its clients saw. */

import { HeadwaterError } from "../errors.js";
import { urlsOf, URL_OPTION } from "./ask.js";
import type { Command, Given } from "./command.js";
import { type DrillPackage, DrillRun, type Found, type Round } from "./drill-run.js";
import { SECRET_OPTION, secretOf } from "./secret.js";
import { table } from "./table.js";

const ROUNDS = 5;
const ROUNDS_MAX = 500;
const WRITERS = 4;
const WRITERS_MAX = 64;

/** The command; `load` brings what only a drill needs. */
export const drill = (load: () => Promise<DrillPackage>): Command => ({
  name: "drill",
  operands: ["DATABASE"],
  summary: "Switches a running database over under writes of its own, and says what its clients saw.",
  options: {
    ...URL_OPTION,
    ...SECRET_OPTION,
    rounds: { value: "N", help: `how many switchovers (default ${ROUNDS})` },
    writers: { value: "N", help: `how many clients write (default ${WRITERS})` },
  },
  more: `Writes go to a document headwater-drill/TIME of that database, which stays there. For each round:

  paused        for how long the leader took no write, as it says
  unavailable   the longest time in which no write both began and reached a quorum
  acknowledged  writes of the round that reached a quorum

and at the end which of these are missing: any that a node does not show is an error, and the exit code is 1.

It kills nothing: for kills, freezes and partitions see \`cargo xtask drill\` of the project's sources.`,
  run: async (given) => run(given, await load()),
});

async function run(given: Given, tools: DrillPackage): Promise<number> {
  const drilled = { database: given.operand(0), secret: secretOf(given), urls: urlsOf(given) };
  const [count, writers] = [given.count("rounds", ROUNDS, ROUNDS_MAX), given.count("writers", WRITERS, WRITERS_MAX)];
  const drill = await DrillRun.begin(tools, drilled, writers);
  try {
    const rounds: Round[] = [];
    for (let at = 1; at <= count; at += 1) {
      const round = await drill.round();
      rounds.push(round);
      console.log(`${at}/${count} ${describe(round)}`);
    }
    const found = await drill.end();
    console.log(`\n${summary(rounds, found, tools.load.percentile)}`);
    if (found.missing.length === 0 && found.open === 0) return 0;
    const missing = found.missing.slice(0, 10).join(", ") || "none";
    const message = `missing, though a quorum held them: ${missing}; receipts that did not end: ${found.open}`;
    throw new HeadwaterError("CORRUPT", message);
  } finally {
    await drill.close();
  }
}

function describe({ leader, pauseMs, unavailableMs, acknowledged }: Round): string {
  const times = `paused ${pauseMs.toFixed()} ms, unavailable ${unavailableMs.toFixed()} ms`;
  return `${leader} leads, ${times}, acknowledged ${acknowledged}`;
}

function summary(rounds: readonly Round[], found: Found, percentile: DrillPackage["load"]["percentile"]): string {
  const spread = (values: number[]) => [50, 99].map((percent) => percentile(values, percent).toFixed()).join(" / ");
  return table([
    ["WRITES", "ACKNOWLEDGED", "MISSING", "RECEIPTS OPEN", "PAUSED MS, MEDIAN / P99", "UNAVAILABLE MS, MEDIAN / P99"],
    [
      String(found.writes),
      String(found.acknowledged),
      String(found.missing.length),
      String(found.open),
      spread(rounds.map(({ pauseMs }) => pauseMs)),
      spread(rounds.map(({ unavailableMs }) => unavailableMs)),
    ],
  ]);
}
