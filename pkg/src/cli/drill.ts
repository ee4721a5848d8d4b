/** `headwater drill`: switches a running database over, again and again, under writes, and says what its clients saw. */

import { HeadwaterError } from "../errors.js";
import type { Database } from "../database.js";
import type { Open } from "../open.js";
import type * as Load from "../entry/load.js";
import { askAll, command, leaderOf, urlsOf, URL_OPTION } from "./ask.js";
import type { Command, Given } from "./command.js";
import { SECRET_OPTION, secretOf } from "./secret.js";
import { table } from "./table.js";

const ROUNDS = 5;
const ROUNDS_MAX = 10_000;
const WRITERS = 4;
const WRITERS_MAX = 64;
const EVERY_MS = 20;
/** How long writes go on before and after each switchover. */
const STRETCH_MS = 1_500;
const SWITCHOVER_MS_MAX = 15_000;
const SETTLED_MS_MAX = 60_000;

/** What a drill needs of the package besides this program. */
export interface DrillPackage {
  readonly open: Open;
  readonly load: typeof Load;
}

/** The command. */
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
  more: `Writes go to a document headwater-drill/TIME of that database, each client one in ${EVERY_MS} ms. For each round:

  paused       for how long the leader took no write, as it says
  unavailable  the longest time in which no write both began and reached a quorum
  acknowledged writes of the round that reached a quorum
  missing      those that a node does not show at the end; any is an error, and the exit code is 1

It kills nothing: for kills, freezes and partitions see \`cargo xtask drill\` of the project's sources.`,
  run: async (given) => run(given, await load()),
});

async function run(given: Given, { open, load }: DrillPackage): Promise<number> {
  const [database, secret, urls] = [given.operand(0), secretOf(given), urlsOf(given)];
  const [rounds, count] = [given.count("rounds", ROUNDS, ROUNDS_MAX), given.count("writers", WRITERS, WRITERS_MAX)];
  leaderOf(await askAll(urls, database));
  const doc = `headwater-drill/${new Date().toISOString()}`;
  const writers = await Promise.all(
    Array.from({ length: count }, async (_, at) => {
      const db = await open(database, { url: urls, storage: "memory", name: `drill-${at}` } as never);
      return new load.Writer(db as Database, `w${at}`);
    }),
  );
  try {
    await Promise.all(writers.map((writer) => writer.begin(doc, EVERY_MS)));
    const all = () => writers.flatMap(({ writes }) => writes);
    const done = [];
    for (let round = 1; round <= rounds; round += 1) {
      done.push({ round, ...(await switchOver({ urls, database, secret, load, all })) });
      console.log(`round ${round} of ${rounds}: ${describe(done.at(-1) as Round)}`);
    }
    for (const writer of writers) writer.pause();
    const open = (await Promise.all(writers.map((writer) => writer.settled(SETTLED_MS_MAX)))).reduce((sum, each) => sum + each, 0);
    const acknowledged = load.acknowledged(all(), "quorum");
    const missing = await missingAt(urls, database, doc, (held) => load.missing(acknowledged, held));
    const spans = done.map(({ unavailableMs }) => unavailableMs);
    console.log(
      table([
        ["ROUNDS", "WRITES", "ACKNOWLEDGED", "MISSING", "RECEIPTS OPEN", "UNAVAILABLE MS, MEDIAN", "P99", "PAUSED MS, MEDIAN"],
        [
          ...[rounds, all().length, acknowledged.length, missing.length, open],
          ...[load.percentile(spans, 50), load.percentile(spans, 99), load.percentile(done.map(({ pauseMs }) => pauseMs), 50)],
        ].map((figure) => String(Math.round(figure))),
      ]),
    );
    if (missing.length === 0) return 0;
    throw new HeadwaterError("CORRUPT", `writes that were acknowledged at quorum are missing: ${missing.slice(0, 10).join(", ")}`);
  } finally {
    await Promise.all(writers.map(({ db }) => db.close()));
  }
}

interface Round {
  readonly round: number;
  readonly leader: string;
  readonly pauseMs: number;
  readonly unavailableMs: number;
  readonly acknowledged: number;
}

async function switchOver({ urls, database, secret, load, all }: {
  urls: readonly string[];
  database: string;
  secret: string;
  load: typeof Load;
  all: () => Load.Write[];
}): Promise<Omit<Round, "round">> {
  const fromMs = load.now();
  await new Promise((resolve) => setTimeout(resolve, STRETCH_MS));
  const { url } = leaderOf(await askAll(urls, database));
  const body = { timeoutMs: SWITCHOVER_MS_MAX };
  const { leader, pauseMs } = await command(url, { database, name: "switchover", secret, body, timeoutMs: 2 * SWITCHOVER_MS_MAX });
  await new Promise((resolve) => setTimeout(resolve, STRETCH_MS));
  const toMs = load.now();
  const acknowledged = load.acknowledged(all(), "quorum").filter(({ beganMs }) => beganMs >= fromMs).length;
  return { leader, pauseMs, unavailableMs: load.longestUnavailable(all(), "quorum", fromMs, toMs), acknowledged };
}

function describe({ leader, pauseMs, unavailableMs, acknowledged }: Round): string {
  return `${leader} leads, paused ${Math.round(pauseMs)} ms, unavailable ${Math.round(unavailableMs)} ms, acknowledged ${acknowledged}`;
}

/** What any node that answers does not show. */
async function missingAt(
  urls: readonly string[],
  database: string,
  doc: string,
  missing: (held: Record<string, unknown>) => string[],
): Promise<string[]> {
  const path = `/v1/${encodeURIComponent(database)}/docs/${doc}?consistency=strong`;
  const found = await Promise.all(
    urls.map(async (url) => {
      const response = await fetch(url + path).catch(() => undefined);
      if (!response?.ok) {
        console.log(`${url} does not answer a strong read, and was not looked at`);
        return undefined;
      }
      return missing(((await response.json()) as { writes?: Record<string, unknown> }).writes ?? {});
    }),
  );
  const looked = found.filter((each) => each !== undefined);
  if (looked.length === 0) throw new HeadwaterError("OFFLINE", "no node answers a strong read: nothing can be said of what is held");
  return [...new Set(looked.flat())];
}
