/**
 * The receipt: the handle on one write. It keeps nothing but the write's number; the core knows the stages.
 */

import type { Engine } from "./engine.js";
import { HeadwaterError, malformed } from "./errors.js";
import { checkConcern, timeoutOf } from "./options.js";
import type { Concern, Stage, WaitOptions } from "./types.js";

/** How long `reached` waits unless told otherwise. */
const REACHED_MS = 30_000;

/** Which write it is. */
export interface WriteId {
  readonly origin: bigint;
  readonly seq: bigint;
}

/** The handle on one write. */
export class Receipt {
  /** When the write counts as done. */
  readonly concern: Concern;
  /** What was passed to `transact` to recognise the write by. */
  readonly origin: unknown;
  readonly #engine: Engine;
  /** `undefined` while its transaction is open, `null` if that changed nothing. */
  #write: WriteId | null | undefined;
  #stage: Stage | "rejected" = "applied";
  #error: HeadwaterError | null = null;

  /** Made by the package. */
  constructor(engine: Engine, concern: Concern, origin: unknown, write?: WriteId) {
    this.#engine = engine;
    this.concern = concern;
    this.origin = origin;
    this.#write = write;
  }

  /** @internal The transaction has ended. */
  settle(write: WriteId | null): void {
    this.#write = write;
  }

  /** Names the write among all writes of the database, as `origin:seq`; `null` if the transaction changed nothing. */
  get id(): string | null {
    return this.#write ? `${this.#write.origin.toString(16).padStart(16, "0")}:${this.#write.seq}` : null;
  }

  /** How far the write has come. A transaction that changed nothing has nothing to bring anywhere: it is at `all`. */
  get stage(): Stage | "rejected" {
    if (this.#write === null) return "all";
    if (this.#write === undefined || isFinal(this.#stage)) return this.#stage;
    const { origin, seq } = this.#write;
    try {
      this.#stage = this.#engine.driver.ask((replica) => replica.stage(origin, seq)) as Stage;
    } catch (error) {
      // A dead instance knows nothing new: the last word stands.
      if (this.#engine.death === undefined && error instanceof HeadwaterError) {
        this.#stage = "rejected";
        this.#error = error;
      }
    }
    return this.#stage;
  }

  /** Why the write was rejected; `null` if it was not. */
  get error(): HeadwaterError | null {
    return this.stage === "rejected" ? this.#error : null;
  }

  /**
   * Resolves when the write has come as far as `stage`, by default to its concern. A wait that ends with `TIMEOUT` or
   * `OFFLINE` leaves the write on its way: the outcome is unknown, not failed. It waits 30 seconds by default.
   */
  async reached(stage: Stage = this.concern, options: WaitOptions = {}): Promise<void> {
    checkConcern(stage, "stage");
    const timeoutMs = timeoutOf(options, REACHED_MS);
    // Asked for within its own transaction, which is over by the next microtask.
    if (this.#write === undefined) await null;
    const write = this.#write;
    if (write === undefined) {
      this.#engine.checkOpen();
      throw malformed("the receipt belongs to no transaction");
    }
    if (write === null) return;
    await this.#engine.wait(options.signal, (replica, id, now) => {
      replica.waitStage(id, write.origin, write.seq, stage, timeoutMs, now);
    });
  }

  /** Calls `listener` with each new stage; answers how to stop. */
  on(_event: "stage", listener: (stage: Stage | "rejected") => void): () => void {
    let last = this.stage;
    if (isFinal(last)) return () => undefined;
    const off = this.#engine.emitter.on("changed", () => {
      const stage = this.stage;
      if (stage === last) return;
      last = stage;
      if (isFinal(stage)) off();
      listener(stage);
    });
    return off;
  }
}

function isFinal(stage: Stage | "rejected"): boolean {
  return stage === "all" || stage === "rejected";
}
