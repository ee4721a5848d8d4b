/** Writes that come from requests instead of replicas: all of one origin, one commit at a time. */

import { HeadwaterError } from "../errors.js";
import type { NodeHost } from "./host.js";

/** How long to wait for a commit that was begun, or for room for it. */
const APPEND_MS_MAX = 60_000;
/** How long to wait before a node that takes no more now is asked again. */
const BUSY_MS = 50;

/** The writes of one request. */
export class Writer {
  readonly #host: NodeHost;
  readonly #origin: bigint;
  #next = 1;
  /** What its last write is shown by. */
  bookmark: string | undefined;

  /** None yet. */
  constructor(host: NodeHost) {
    this.#host = host;
    [this.#origin] = crypto.getRandomValues(new BigUint64Array(1)) as unknown as [bigint];
  }

  /** Appends updates, each to the document beside it, in one commit or not at all; resolves once they are shown. */
  async append(docs: string[], updates: Uint8Array[]): Promise<string> {
    const until = Date.now() + APPEND_MS_MAX;
    for (;;) {
      try {
        const begun = this.#host.append({ origin: this.#origin, first: this.#next, docs, updates, timeoutMs: APPEND_MS_MAX });
        this.#next = begun.next;
        this.bookmark = (await begun.answer).bookmark;
        return this.bookmark;
      } catch (error) {
        // Others write as well: the node has not taken it, and will have room.
        const isBusy = error instanceof HeadwaterError && error.code === "BUSY";
        if (!isBusy || Date.now() > until) throw error;
        await new Promise((resolve) => setTimeout(resolve, BUSY_MS));
      }
    }
  }
}
