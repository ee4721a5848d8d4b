/** A drill of a running database: its clients, one switchover after the other, and what is missing at the end. */

import type { Database } from "../database.js";
import type * as Load from "../entry/load.js";
import { HeadwaterError } from "../errors.js";
import type { Open } from "../open.js";
import { askAll, command, leaderOf } from "./ask.js";

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

/** What is drilled. */
export interface Drilled {
  readonly urls: readonly string[];
  readonly database: string;
  readonly secret: string;
}

/** One switchover. */
export interface Round {
  /** Who leads then. */
  readonly leader: string;
  /** For how long the one before took no write. */
  readonly pauseMs: number;
  /** The longest time in which no write both began and reached a quorum. */
  readonly unavailableMs: number;
  /** Writes of the round that reached a quorum. */
  readonly acknowledged: number;
}

/** What was found at the end. */
export interface Found {
  readonly writes: number;
  readonly acknowledged: number;
  /** The keys of acknowledged writes that a node does not show. */
  readonly missing: readonly string[];
  /** How many receipts have not ended. */
  readonly open: number;
}

/** A drill under way. */
export class DrillRun {
  readonly #load: typeof Load;
  readonly #drilled: Drilled;
  readonly #doc = `headwater-drill/${new Date().toISOString()}`;
  readonly #writers: Load.Writer[] = [];

  private constructor(load: typeof Load, drilled: Drilled) {
    this.#load = load;
    this.#drilled = drilled;
  }

  /** Opens so many clients and has them write. Fails if nobody leads. */
  static async begin({ open, load }: DrillPackage, drilled: Drilled, count: number): Promise<DrillRun> {
    leaderOf(await askAll(drilled.urls, drilled.database));
    const run = new DrillRun(load, drilled);
    try {
      for (let at = 0; at < count; at += 1) {
        const options = { url: [...drilled.urls], storage: "memory", name: `drill-${at}` } as const;
        const db: Database = await open(drilled.database, options);
        run.#writers.push(new load.Writer(db, `w${at}`));
      }
      await Promise.all(run.#writers.map((writer) => writer.begin(run.#doc, EVERY_MS)));
    } catch (error) {
      await run.close();
      throw error;
    }
    return run;
  }

  /** Switches over once. */
  async round(): Promise<Round> {
    const { urls, database, secret } = this.#drilled;
    const fromMs = this.#load.now();
    await pause(STRETCH_MS);
    const { url } = leaderOf(await askAll(urls, database));
    const body = { timeoutMs: SWITCHOVER_MS_MAX };
    const timeoutMs = 2 * SWITCHOVER_MS_MAX;
    const { leader, pauseMs } = await command(url, { database, name: "switchover", secret, body, timeoutMs });
    await pause(STRETCH_MS);
    const unavailableMs = this.#load.longestUnavailable(this.#writes, "quorum", fromMs, this.#load.now());
    const acknowledged = this.#acknowledged.filter(({ beganMs }) => beganMs >= fromMs).length;
    return { leader, pauseMs, unavailableMs, acknowledged };
  }

  /** No more writes: waits for the receipts, and looks for what they told of. */
  async end(): Promise<Found> {
    for (const writer of this.#writers) writer.pause();
    const open = await Promise.all(this.#writers.map((writer) => writer.settled(SETTLED_MS_MAX)));
    return {
      writes: this.#writes.length,
      acknowledged: this.#acknowledged.length,
      missing: await this.#missing(),
      open: open.reduce((sum, each) => sum + each, 0),
    };
  }

  /** Closes the clients. */
  async close(): Promise<void> {
    for (const writer of this.#writers) writer.pause();
    await Promise.all(this.#writers.map(({ db }) => db.close()));
  }

  get #writes(): Load.Write[] {
    return this.#writers.flatMap(({ writes }) => writes);
  }

  get #acknowledged(): Load.Write[] {
    return this.#load.acknowledged(this.#writes, "quorum");
  }

  /** What any node that answers does not show. */
  async #missing(): Promise<string[]> {
    const { urls, database } = this.#drilled;
    const path = `/v1/${encodeURIComponent(database)}/docs/${this.#doc}?consistency=strong`;
    const ask = async (url: string) => ({ url, response: await fetch(url + path).catch(() => undefined) });
    const answers = await Promise.all(urls.map(ask));
    const missing = new Set<string>();
    let looked = 0;
    for (const { url, response } of answers) {
      if (!response?.ok) {
        console.log(`${url} does not answer a strong read, and was not looked at`);
        continue;
      }
      looked += 1;
      const { writes = {} } = (await response.json()) as { writes?: Record<string, unknown> };
      for (const key of this.#load.missing(this.#acknowledged, writes)) missing.add(key);
    }
    if (looked > 0) return [...missing];
    throw new HeadwaterError("OFFLINE", "no node answers a strong read: nothing can be said of what is held");
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}
