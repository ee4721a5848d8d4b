/** What was asked of the machine and is not answered yet, by number. It knows neither questions nor answers. */

import { HeadwaterError, toHeadwaterError } from "../errors.js";
import { onAbort } from "../waits.js";

interface Waiting<T> {
  resolve(answer: T): void;
  reject(error: HeadwaterError): void;
}

/** How many may wait at once, who they are to those who are one too many, and what is done when somebody gives up. */
export interface PendingOptions {
  readonly max: number;
  readonly what: string;
  readonly cancel?: (id: number) => void;
}

/** Questions under way. */
export class Pending<T> {
  readonly #options: PendingOptions;
  readonly #waiting = new Map<number, Waiting<T>>();
  #last = 0;

  /** None yet. */
  constructor(options: PendingOptions) {
    this.#options = options;
  }

  /** Asks, unless too many wait already. The signal says that nobody waits any more. */
  begin(start: (id: number) => void, signal?: AbortSignal): Promise<T> {
    const { max, what, cancel } = this.#options;
    if (this.#waiting.size >= max) {
      const message = `${max} ${what} are under way at this node; try again in a moment`;
      return Promise.reject(new HeadwaterError("BUSY", message));
    }
    this.#last += 1;
    const id = this.#last;
    return new Promise((resolve, reject) => {
      let unlisten = () => {};
      const over = <V>(settle: (value: V) => void) => (value: V) => {
        this.#waiting.delete(id);
        unlisten();
        settle(value);
      };
      const waiting: Waiting<T> = { resolve: over(resolve), reject: over(reject) };
      this.#waiting.set(id, waiting);
      try {
        start(id);
      } catch (error) {
        return waiting.reject(toHeadwaterError(error, "INTERNAL", "it could not begin"));
      }
      unlisten = onAbort(signal, (error) => {
        waiting.reject(error);
        cancel?.(id);
      });
    });
  }

  /** Ends one with its answer; nobody may be waiting for it any more. */
  resolve(id: number, answer: T): void {
    this.#waiting.get(id)?.resolve(answer);
  }

  /** Ends one with an error. */
  reject(id: number, error: HeadwaterError): void {
    this.#waiting.get(id)?.reject(error);
  }

  /** Ends all of them. */
  fail(error: HeadwaterError): void {
    for (const { reject } of [...this.#waiting.values()]) reject(error);
  }
}
