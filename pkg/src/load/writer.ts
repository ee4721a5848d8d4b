/**
 * A client that writes and remembers what it was told of each write. It runs wherever the package runs, and knows no
 * group: only what receipts say, and when.
 */

import type { Database } from "../database.js";
import type { Document } from "../document.js";
import type { Receipt } from "../receipt.js";

/** How long a receipt is waited for: longer than any drill takes. */
const RECEIPT_MS_MAX = 3_600_000;

/** Where writes go in their document. */
export const MAP = "writes";

/** A write, and when what was told of it, in milliseconds since 1970 by the clock of its process. */
export interface Write {
  readonly key: string;
  readonly doc: string;
  readonly beganMs: number;
  leaderMs: number | null;
  quorumMs: number | null;
  /** Whose tenure it was when that was told, as far as the client knew. */
  leaderEpoch: number | null;
  quorumEpoch: number | null;
  /** The code that its receipt ended with, if it did not reach a quorum. */
  error: string | null;
}

/** One client. */
export class Writer {
  /** Every write so far, in order. */
  readonly writes: Write[] = [];
  readonly #db: Database;
  readonly #name: string;
  readonly #open = new Set<Promise<void>>();
  #timer: ReturnType<typeof setInterval> | undefined;

  /** `name` tells its writes from those of others: it must not have been used in the same document before. */
  constructor(db: Database, name: string) {
    this.#db = db;
    this.#name = name;
  }

  /** Its database. */
  get db(): Database {
    return this.#db;
  }

  /** Writes into a document from now on, once in so many milliseconds, whatever became of the writes before. */
  async begin(docName: string, everyMs: number): Promise<void> {
    const doc = await this.#db.doc(docName);
    this.pause();
    this.#timer = setInterval(() => this.write(doc, docName), everyMs);
  }

  /** Writes no more. What is on its way stays so. */
  pause(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Writes once. */
  write(doc: Document, docName: string): Write {
    const key = `${this.#name}-${this.writes.length}`;
    const nothing = { leaderMs: null, quorumMs: null, leaderEpoch: null, quorumEpoch: null, error: null };
    const write: Write = { key, doc: docName, beganMs: now(), ...nothing };
    this.writes.push(write);
    const receipt = doc.transact(() => doc.getMap(MAP).set(key, write.beganMs));
    const followed = this.#follow(receipt, write);
    this.#open.add(followed);
    void followed.then(() => this.#open.delete(followed));
    return write;
  }

  /** Resolves when every receipt has ended, one way or another; answers how many have not within the time. */
  async settled(timeoutMs: number): Promise<number> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => void (timer = setTimeout(resolve, timeoutMs)));
    await Promise.race([Promise.all(this.#open), late]);
    clearTimeout(timer);
    return this.#open.size;
  }

  async #follow(receipt: Receipt, write: Write): Promise<void> {
    const options = { timeoutMs: RECEIPT_MS_MAX };
    try {
      await receipt.reached("leader", options);
      [write.leaderMs, write.leaderEpoch] = [now(), this.#db.status.epoch];
      await receipt.reached("quorum", options);
      [write.quorumMs, write.quorumEpoch] = [now(), this.#db.status.epoch];
    } catch (error) {
      write.error = (error as { code?: string }).code ?? String(error);
    }
  }
}

/** Milliseconds since 1970, with fractions, never going back. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}
