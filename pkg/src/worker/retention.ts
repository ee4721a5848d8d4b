/** How much nodes keep, and how much memory compaction may take: `HEADWATER_HISTORY_MS` and its like, checked once. */

import { malformed } from "../errors.js";

interface Bound {
  /** As wasm has it. */
  readonly name: string;
  readonly min: number;
  readonly max: number;
}

const MIB = 2 ** 20;

/** The defaults are the core's. The upper bounds keep the work of one step within an isolate of 128 MB. */
const BOUNDS: Readonly<Record<string, Bound>> = {
  HEADWATER_HISTORY_MS: { name: "historyMs", min: 0, max: Number.MAX_SAFE_INTEGER },
  HEADWATER_HISTORY_BYTES: { name: "historyBytes", min: 0, max: 256 * MIB },
  HEADWATER_MERGE_BYTES: { name: "mergeBytes", min: 64 * 1024, max: 32 * MIB },
  HEADWATER_LOG_ENTRIES_MIN: { name: "logEntriesMin", min: 0, max: Number.MAX_SAFE_INTEGER },
  HEADWATER_LOG_ENTRIES_MAX: { name: "logEntriesMax", min: 1, max: Number.MAX_SAFE_INTEGER },
  HEADWATER_FOLD_ROWS: { name: "foldRows", min: 1, max: 4096 },
  // A run is one row, of a page and a log row at most.
  HEADWATER_FOLD_BYTES: { name: "foldBytes", min: 1024, max: MIB / 2 },
  HEADWATER_SQUASH_BYTES: { name: "squashBytes", min: 1, max: 16 * MIB },
};

const MIN = "HEADWATER_LOG_ENTRIES_MIN";
const MAX = "HEADWATER_LOG_ENTRIES_MAX";
/** As in the core. */
const LOG_ENTRIES_MIN = 256;
const LOG_ENTRIES_MAX = 1_000_000;

/** What the bindings say as wasm takes it, one fact on each line; throws for what cannot be meant. */
export function nodeRetentionOf(env: Readonly<Record<string, unknown>>): string {
  const given = new Map<string, number>();
  for (const [variable, bound] of Object.entries(BOUNDS)) {
    const value = env[variable];
    if (value !== undefined && value !== null && value !== "") given.set(variable, whole(variable, value, bound));
  }
  const [least, most] = [given.get(MIN) ?? LOG_ENTRIES_MIN, given.get(MAX) ?? LOG_ENTRIES_MAX];
  if (least > most) throw malformed(`${MIN} is ${least}, which is above ${MAX}, which is ${most}`);
  return [...given].map(([variable, value]) => `${BOUNDS[variable]?.name} ${value}`).join("\n");
}

function whole(variable: string, given: unknown, { min, max }: Bound): number {
  const value = typeof given === "string" && /^\d+$/.test(given) ? Number(given) : given;
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) return value as number;
  throw malformed(`${variable} is ${JSON.stringify(given)}; it is a whole number from ${min} to ${max}`);
}
