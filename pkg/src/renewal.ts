/**
 * What becomes of a database whose instance died: how often it may be made anew, and which writes died with an instance.
 * It makes nothing itself.
 */

import { HeadwaterError } from "./errors.js";
import type { WriteId } from "./receipt.js";

/** So many deaths within so long are too many: whatever kills it is still there. */
const DEATHS_MAX = 3;
const WITHIN_MS = 60_000;

/** The deaths of one database's instances. */
export class Deaths {
  readonly #at: number[] = [];
  /** By the origin of each instance that died: the last write that is not lost, and the error of those after it. */
  readonly #ended = new Map<bigint, { readonly kept: bigint; readonly error: HeadwaterError }>();

  /** Another death; answers whether another instance is made. */
  count(now: number): boolean {
    this.#at.push(now);
    return this.#at.filter((at) => now - at < WITHIN_MS).length < DEATHS_MAX;
  }

  /** An instance is over; answers how many of its writes are gone. */
  end(origin: bigint, { written, stored }: { written: bigint; stored: bigint }, cause: HeadwaterError): number {
    const message = `the write was not in local storage when its instance died; whether the leader has it is not known. ${cause.message}`;
    this.#ended.set(origin, { kept: stored, error: new HeadwaterError("POISONED", message, { cause }) });
    return Number(written - stored);
  }

  /** Whether this was the origin of an instance that died. */
  has(origin: bigint): boolean {
    return this.#ended.has(origin);
  }

  /** Why a write is lost, if it is. */
  lossOf({ origin, seq }: WriteId): HeadwaterError | undefined {
    const ended = this.#ended.get(origin);
    return ended !== undefined && seq > ended.kept ? ended.error : undefined;
  }
}
