/**
 * `LeaseStore`: a place for one small coordinator record per database, changed only by compare-and-set. It does not know
 * what a record means, who leads, or when a lease is over.
 */

import { HeadwaterError, malformed } from "../../errors.js";
import { databaseNameProblem } from "../../options.js";

/** The largest record, in bytes of UTF-8. */
export const LEASE_RECORD_BYTES_MAX = 128 * 1024;
/** How long a call may take in all, whatever it has to try. A `signal` ends it earlier. */
export const LEASE_CALL_MS_MAX = 5_000;

/** What both calls take. */
export interface LeaseCallOptions {
  /** Ends the call with `ABORTED`. What `swap` did by then is unknown. */
  readonly signal?: AbortSignal | undefined;
}

/** A record as the store holds it. */
export interface HeldLease {
  /** The text that was swapped in, byte for byte. */
  readonly record: string;
  /** Names this state of the record. It has no meaning but to be given to `swap`, and to be compared with others. */
  readonly revision: string;
}

/** What became of a swap. */
export type LeaseSwap =
  | { readonly swapped: true; readonly revision: string }
  | { readonly swapped: false; readonly current: HeldLease | undefined };

/**
 * One record per database. All calls see one order of swaps: what a call answered, every later call knows. What was
 * swapped is durable before it is answered. A call ends within `LEASE_CALL_MS_MAX`, or fails with a `HeadwaterError`:
 *
 * | code | what happened |
 * |---|---|
 * | `STORAGE_UNAVAILABLE` | the store was not reached, took too long, or answered what no such store answers |
 * | `ABORTED` | the caller's signal said so |
 * | `TOO_LARGE` | the record has more than `LEASE_RECORD_BYTES_MAX` bytes; nothing was sent |
 * | `MALFORMED` | no database can have this name, no text is this record, or no store gave this revision; nothing was sent |
 */
export interface LeaseStore {
  /** What the store holds now, or `undefined` if no record was ever swapped in. */
  read(database: string, options?: LeaseCallOptions): Promise<HeldLease | undefined>;

  /**
   * Puts `record` in place of the one with the revision `expected`; with `undefined`, only where there is none yet. If
   * another one is there, nothing changes, and that one is the answer.
   *
   * After `STORAGE_UNAVAILABLE` or `ABORTED` the outcome is UNKNOWN: the swap was made, or was not, or will be in a
   * moment. Read again before acting on either; that it will not be made any more is certain only once another swap
   * from the same revision was. The same swap may be tried again, since its revision lets it happen once at most; if it
   * had been made the first time, the answer to the second is `swapped: false` with one's own record as `current`. A
   * store that repeats a request by itself may answer that to the first call as well. So put something into each record
   * that nobody else writes and that you do not write twice, and take a `current` that is your own text for success.
   */
  swap(
    database: string,
    expected: string | undefined,
    record: string,
    options?: LeaseCallOptions,
  ): Promise<LeaseSwap>;
}

/** Checks a database's name. */
export function checkDatabase(database: unknown): void {
  const problem = databaseNameProblem(database);
  if (problem !== undefined) throw malformed(problem);
}

/** Checks a record; answers its bytes. */
export function recordBytes(record: unknown): Uint8Array<ArrayBuffer> {
  if (typeof record !== "string") throw malformed("a lease record is a string");
  // Half of a surrogate pair would come back as another text.
  if (/\p{Cs}/u.test(record)) throw malformed("a lease record is well-formed Unicode; this one has half of a surrogate pair");
  const bytes = new TextEncoder().encode(record);
  if (bytes.length <= LEASE_RECORD_BYTES_MAX) return bytes;
  throw new HeadwaterError("TOO_LARGE", `a lease record has at most ${LEASE_RECORD_BYTES_MAX} bytes, not ${bytes.length}`);
}

/** The text of bytes that a store holds, with a byte order mark if they begin with one. */
export function recordText(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new HeadwaterError("STORAGE_UNAVAILABLE", "the lease store holds a record that is not UTF-8", { cause });
  }
}

/** Whether it looks like a revision: both stores count, within what SQLite, etcd and JavaScript count exactly. */
export function isRevision(text: unknown): text is string {
  return typeof text === "string" && /^[1-9]\d{0,14}$/.test(text);
}

/** Checks what a swap expects. */
export function checkExpected(expected: unknown): void {
  if (expected === undefined || isRevision(expected)) return;
  throw malformed("expected is the revision of a record, as a store gave it, or undefined where there is none yet");
}
