/** Everybody who waits for the replica. Deadlines are the core's; here are only the callbacks, and their abortion. */

import { HeadwaterError } from "./errors.js";

/** Called once, with an error or without. */
export type WaitEnd = (error?: HeadwaterError) => void;

/** The waits of one replica, by number. */
export class Waits {
  readonly #ends = new Map<number, WaitEnd>();
  #last = 0;

  /** Enters a wait; answers its number. */
  add(end: WaitEnd): number {
    this.#last += 1;
    this.#ends.set(this.#last, end);
    return this.#last;
  }

  /** Ends a wait; one that has ended already is passed over. */
  end(id: number, error?: HeadwaterError): void {
    const end = this.#ends.get(id);
    this.#ends.delete(id);
    end?.(error);
  }

  /** Ends all of them. */
  endAll(error: HeadwaterError): void {
    for (const id of [...this.#ends.keys()]) this.end(id, error);
  }
}

/** The error of a wait that its caller aborted. */
export function aborted(signal: AbortSignal): HeadwaterError {
  const message = "the caller aborted the wait; the outcome is unknown, not failed";
  return new HeadwaterError("ABORTED", message, { cause: signal.reason });
}

/** Calls `abort` at once or when the signal says so; answers how to stop listening. */
export function onAbort(signal: AbortSignal | undefined, abort: (error: HeadwaterError) => void): () => void {
  if (signal === undefined) return () => undefined;
  const listener = () => abort(aborted(signal));
  if (signal.aborted) {
    listener();
    return () => undefined;
  }
  signal.addEventListener("abort", listener, { once: true });
  return () => signal.removeEventListener("abort", listener);
}
