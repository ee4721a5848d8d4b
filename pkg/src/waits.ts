/** Everybody who waits for the replica. Deadlines are the core's; here are only the callbacks, and their abortion. */

import { HeadwaterError } from "./errors.js";

/** The longest span that timers of all hosts understand: a longer one would be over at once. */
export const TIMER_MS_MAX = 2 ** 31 - 1;

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

/** One time for several steps, after which, or after their caller's abortion, whichever is under way is given up. */
export class Deadline {
  readonly #over: Promise<never>;
  #step = "";
  #stop: () => void = () => undefined;

  /** The time begins now. */
  constructor(timeoutMs: number, signal: AbortSignal | undefined) {
    this.#over = new Promise((_, reject) => {
      const message = () => `${this.#step} took longer than was left of ${timeoutMs} ms`;
      const expire = () => reject(new HeadwaterError("TIMEOUT", message()));
      const timer = setTimeout(expire, Math.min(timeoutMs, TIMER_MS_MAX));
      const unlisten = onAbort(signal, reject);
      this.#stop = () => {
        clearTimeout(timer);
        unlisten();
      };
    });
    // It may be over while nobody is in a step.
    this.#over.catch(() => undefined);
  }

  /** What the step answers, in time. What it answers later is handed to `discard`. */
  async step<T>(what: string, begin: () => Promise<T>, discard: (late: T) => void = () => undefined): Promise<T> {
    this.#step = what;
    const answer = begin();
    try {
      return await Promise.race([this.#over, answer]);
    } catch (error) {
      answer.then(discard, () => undefined);
      throw error;
    }
  }

  /** All steps are over. */
  end(): void {
    this.#stop();
  }
}
