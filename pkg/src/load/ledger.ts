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

/** The longest time between two clock times in which nobody heard that a write reached the stage. */
export function longestSilence(writes: readonly Write[], stage: Counted, fromMs: number, toMs: number): number {
  const times = writes.map((write) => acknowledgedMs(write, stage)).filter((ms) => ms !== null && ms > fromMs && ms < toMs);
  const sorted = [fromMs, ...(times as number[]).sort((left, right) => left - right), toMs];
  return sorted.reduce((longest, ms, at) => Math.max(longest, ms - (sorted[at - 1] ?? ms)), 0);
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
