/** What many clients were told, looked at together. Pure: writes go in, figures come out. */

import type { Write } from "./writer.js";

/** The stages that a drill counts by. */
export type Counted = "leader" | "quorum";

/** When a write was acknowledged at a stage; `null` if it was not. */
export function acknowledgedMs(write: Write, stage: Counted): number | null {
  return stage === "quorum" ? write.quorumMs : write.leaderMs;
}

/** Those that were acknowledged at a stage. */
export function acknowledged(writes: readonly Write[], stage: Counted): Write[] {
  return writes.filter((write) => acknowledgedMs(write, stage) !== null);
}

/**
 * The longest time between two moments in which no write both began and reached the stage. Acknowledgements that come late, of
 * writes that were made before, do not count as service.
 */
export function longestUnavailable(writes: readonly Write[], stage: Counted, fromMs: number, toMs: number): number {
  const served = writes
    .map((write) => ({ beganMs: write.beganMs, endedMs: acknowledgedMs(write, stage) ?? Number.POSITIVE_INFINITY }))
    .filter(({ beganMs }) => beganMs >= fromMs && beganMs <= toMs)
    .sort((left, right) => right.beganMs - left.beganMs);
  // From the last one back: the first end among those that begin later closes the time that begins here.
  let [longest, firstEndMs] = [0, toMs];
  for (const { beganMs, endedMs } of served) {
    longest = Math.max(longest, firstEndMs - beganMs);
    firstEndMs = Math.min(firstEndMs, endedMs);
  }
  return Math.max(longest, firstEndMs - fromMs);
}

/**
 * How long after a moment the first write that was begun after it reached the stage; `null` if none did. Who was told
 * what before that moment has no part in it.
 */
export function firstAfter(writes: readonly Write[], stage: Counted, sinceMs: number): number | null {
  const times = writes.filter(({ beganMs }) => beganMs >= sinceMs).map((write) => acknowledgedMs(write, stage));
  const reached = times.filter((ms) => ms !== null);
  return reached.length === 0 ? null : Math.min(...reached) - sinceMs;
}

/** The keys of writes that what is held does not have. */
export function missing(writes: readonly Write[], held: Readonly<Record<string, unknown>>): string[] {
  return writes.filter(({ key }) => !Object.hasOwn(held, key)).map(({ key }) => key);
}

/** The value that so many of a hundred do not exceed; 0 of none. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? 0;
}
