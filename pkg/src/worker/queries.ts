/** Reads over HTTP that wait for the node's answer. */

import type { AnswerEffect } from "../effects.js";
import { fromPlain, HeadwaterError } from "../errors.js";

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

/** The queries of one node, by number. */
export class Queries {
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;

  /** Begins a query. */
  begin(start: (id: number) => void): Promise<Answer> {
    this.#last += 1;
    const id = this.#last;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      try {
        start(id);
      } catch (error) {
        this.#waiting.delete(id);
        reject(error);
      }
    });
  }

  /** Ends a query. */
  answer({ id, error, bookmark, json, update }: AnswerEffect): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
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
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
