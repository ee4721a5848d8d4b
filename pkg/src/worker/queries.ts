/** Reads over HTTP that wait for the node's answer. */

import type { AnswerEffect } from "../effects.js";
import { fromPlain, HeadwaterError, toHeadwaterError } from "../errors.js";
import { onAbort } from "../waits.js";

/** What a query answers. */
export interface Answer {
  readonly bookmark: string;
  readonly json?: string;
  readonly update?: Uint8Array<ArrayBuffer>;
}

interface Waiting {
  resolve(answer: Answer): void;
  reject(error: HeadwaterError): void;
}

/** How many queries may be under way at once: each holds a document in memory until it is answered. */
const QUERIES_MAX = 128;

/** The queries of one node, by number. */
export class Queries {
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;

  /** Begins a query, unless too many are under way. `cancel` is called if the signal says that nobody waits any more. */
  begin(
    start: (id: number) => void,
    cancel: (id: number) => void,
    signal: AbortSignal | undefined,
  ): Promise<Answer> {
    if (this.#waiting.size >= QUERIES_MAX) {
      const message = `${QUERIES_MAX} reads are under way at this node; try again in a moment`;
      return Promise.reject(new HeadwaterError("BUSY", message));
    }
    this.#last += 1;
    const id = this.#last;
    return new Promise((resolve, reject) => {
      let unlisten = () => {};
      const over = <T>(settle: (value: T) => void) => (value: T) => {
        this.#waiting.delete(id);
        unlisten();
        settle(value);
      };
      const waiting: Waiting = { resolve: over(resolve), reject: over(reject) };
      this.#waiting.set(id, waiting);
      try {
        start(id);
      } catch (error) {
        return waiting.reject(toHeadwaterError(error, "INTERNAL", "the read could not begin"));
      }
      unlisten = onAbort(signal, (error) => {
        waiting.reject(error);
        cancel(id);
      });
    });
  }

  /** Ends a query; one that was cancelled is passed over. */
  answer({ id, error, bookmark, json, update }: AnswerEffect): void {
    const waiting = this.#waiting.get(id);
    if (error !== undefined) return waiting?.reject(fromPlain(error));
    if (bookmark === undefined) return waiting?.reject(new HeadwaterError("INTERNAL", "an answer without a bookmark"));
    waiting?.resolve({
      bookmark,
      ...(json === undefined ? {} : { json }),
      ...(update === undefined ? {} : { update }),
    });
  }

  /** Ends all of them. */
  fail(error: HeadwaterError): void {
    for (const { reject } of [...this.#waiting.values()]) reject(error);
  }
}
