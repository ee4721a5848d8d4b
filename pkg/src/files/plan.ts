/** What both sides decide of files: what is missing, what may be evicted. Pure functions. */

import type { Stage } from "../types.js";

/** Chunks from the first number up to the second one, which is not among them. */
export type Span = readonly [from: number, to: number];

const ORDER: readonly string[] = ["applied", "local", "leader", "quorum", "all"];

/** Whether a stage includes another one. */
export function includes(stage: string, wanted: Stage): boolean {
  return ORDER.indexOf(stage) >= ORDER.indexOf(wanted);
}

/** What is not held, as spans. `held` ascends. */
export function missingOf(held: readonly number[], count: number): Span[] {
  const spans: Span[] = [];
  let next = 0;
  for (const n of [...held, count]) {
    if (n > next) spans.push([next, n]);
    next = n + 1;
  }
  return spans;
}

/** The numbers in spans, one after the other. */
export function* numbersIn(spans: readonly Span[]): Generator<number> {
  for (const [from, to] of spans) for (let n = from; n < to; n += 1) yield n;
}

/** A local copy as eviction sees it. */
export interface Evictable {
  readonly key: string;
  readonly heldBytes: number;
  readonly usedAtMs: number;
  /** Whether the leader's side keeps it: nothing else may be evicted. */
  readonly isSafe: boolean;
}

/**
 * Which copies to let go of so that `bytes` more fit under the quota, least recently used first; `undefined` if they do not
 * fit whatever is evicted. `spared` is in use.
 */
export function evictions(
  copies: readonly Evictable[],
  bytes: number,
  quotaBytes: number,
  spared: ReadonlySet<string>,
): string[] | undefined {
  let excess = copies.reduce((sum, { heldBytes }) => sum + heldBytes, bytes) - quotaBytes;
  const evicted: string[] = [];
  const candidates = copies.filter(({ key, isSafe, heldBytes }) => isSafe && heldBytes > 0 && !spared.has(key));
  for (const { key, heldBytes } of candidates.sort((left, right) => left.usedAtMs - right.usedAtMs)) {
    if (excess <= 0) break;
    evicted.push(key);
    excess -= heldBytes;
  }
  return excess > 0 ? undefined : evicted;
}

/** Runs `work` on each item, a few at a time; the first failure ends it, after those that are under way. */
export async function inParallel<T>(items: Iterable<T>, width: number, work: (item: T) => Promise<void>): Promise<void> {
  const rest = items[Symbol.iterator]();
  let isOver = false;
  const lane = async (): Promise<void> => {
    for (let item = rest.next(); item.done !== true && !isOver; item = rest.next()) {
      try {
        await work(item.value);
      } catch (error) {
        isOver = true;
        throw error;
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: width }, lane));
  const failed = ends.find((end) => end.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}
