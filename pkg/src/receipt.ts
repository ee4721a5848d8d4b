/**
 * The receipt: the handle on one write. It keeps nothing but the write's number; the core knows the stages.
 */

import type { Engine } from "./engine.js";
import { HeadwaterError, malformed } from "./errors.js";
import type { Replica } from "./generated/replica/glue.js";
import { checkConcern, timeoutOf } from "./options.js";
import type { Concern, Degrade, Stage, TransactOptions, WaitOptions } from "./types.js";
import { onAbort, TIMER_MS_MAX } from "./waits.js";

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
  readonly #timeoutMs: number;
  readonly #degrade: Degrade | null;
  #met: Concern | null = null;
  /** `undefined` while its transaction is open, `null` if that changed nothing. */
  #write: WriteId | null | undefined;
  #stage: Stage | "rejected" = "applied";
  #error: HeadwaterError | null = null;

  /** Made by the package. */
  constructor(engine: Engine, options: TransactOptions, write?: WriteId) {
    this.#engine = engine;
    this.concern = options.concern ?? engine.concern;
    this.origin = options.origin;
    this.#timeoutMs = options.timeoutMs ?? REACHED_MS;
    this.#degrade = options.degrade === undefined ? engine.degrade : options.degrade;
    this.#write = write;
  }

  /** @internal The transaction has ended. */
  settle(write: WriteId | null): void {
    this.#write = write;
  }

  /** @internal The instance died before the transaction was over: what it wrote is nowhere. */
  lose(error: HeadwaterError): void {
    this.#stage = "rejected";
    this.#error = error;
    this.#write = undefined;
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
    // What is known to be at a leader is not lost, whatever became of this copy.
    const loss = this.#stage === "applied" || this.#stage === "local" ? this.#engine.lossOf(this.#write) : undefined;
    if (loss !== undefined) {
      this.#stage = "rejected";
      this.#error = loss;
      return this.#stage;
    }
    try {
      this.#stage = this.#engine.driver.ask((replica) => replica.stage(origin, seq)) as Stage;
    } catch (error) {
      // A dead instance knows nothing new: the last word stands.
      if (this.#engine.death === undefined && error instanceof HeadwaterError) {
        // What an instance before this one had stored, and is not pending, is settled.
        const isSettled = error.code === "NOT_FOUND" && this.#engine.isOfEarlierLife(origin);
        this.#stage = isSettled ? "quorum" : "rejected";
        this.#error = isSettled ? null : error;
      }
    }
    return this.#stage;
  }

  /** Why the write was rejected; `null` if it was not. */
  get error(): HeadwaterError | null {
    return this.stage === "rejected" ? this.#error : null;
  }

  /** What the last wait was met with; `null` before. It is less than what was waited for only as {@link Degrade} allows. */
  get met(): Concern | null {
    return this.#met;
  }

  /**
   * Resolves when `concern` is met, by default the write's own, with what was met. Only a wait for the write's own concern
   * may be content with less, and only if the write or its database says so: see {@link Degrade}. A wait that ends with
   * `TIMEOUT` or `OFFLINE` leaves the write on its way: the outcome is unknown, not failed.
   */
  async reached(concern?: Concern, options: WaitOptions = {}): Promise<Concern> {
    checkConcern(concern);
    const timeoutMs = timeoutOf(options, this.#timeoutMs);
    const { signal } = options;
    const asked = concern ?? this.concern;
    // Asked for within its own transaction, which is over by the next microtask.
    if (this.#write === undefined) await null;
    const write = this.#write;
    if (write === undefined) {
      this.#engine.checkOpen();
      if (this.#error !== null) throw this.#error;
      throw malformed("the receipt belongs to no transaction");
    }
    if (write !== null) {
      const degrade = concern === undefined ? this.#degrade : null;
      const met = await (degrade === null
        ? this.#wait(write, asked, timeoutMs, signal)
        : this.#waitOrDegrade(write, degrade, timeoutMs, signal));
      this.#met = met;
      if (met !== asked) this.#engine.tellDegraded({ receipt: this, met });
    } else this.#met = asked;
    return this.#met;
  }

  async #wait(write: WriteId, concern: Concern, timeoutMs: number, signal: AbortSignal | undefined): Promise<Concern> {
    this.#engine.checkOpen();
    if (this.#engine.isOfEarlierLife(write.origin)) {
      if (this.stage === "rejected" && this.#error !== null) throw this.#error;
      if (this.#stage === "quorum" && concern !== "all" && typeof concern === "string") return concern;
    }
    const begin = (replica: Replica, id: number, now: number) => beginWait(replica, id, write, concern, timeoutMs, now);
    await this.#engine.wait(signal, begin);
    return concern;
  }

  /** After a while two waits are under way, and the first one that is met counts. Only the full one can fail. */
  async #waitOrDegrade(
    write: WriteId,
    { to, afterMs }: Degrade,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<Concern> {
    const over = new AbortController();
    const unlisten = onAbort(signal, (error) => over.abort(error.cause));
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      return await new Promise((resolve, reject) => {
        this.#wait(write, this.concern, timeoutMs, over.signal).then(resolve, reject);
        const weaker = () => this.#wait(write, to, timeoutMs, over.signal).then(resolve, () => undefined);
        timer = setTimeout(weaker, Math.min(afterMs, TIMER_MS_MAX));
      });
    } finally {
      clearTimeout(timer);
      unlisten();
      over.abort();
    }
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

function beginWait(replica: Replica, id: number, write: WriteId, concern: Concern, timeoutMs: number, now: number): void {
  const { origin, seq } = write;
  if (typeof concern === "string") return replica.waitStage(id, origin, seq, concern, timeoutMs, now);
  if (typeof concern === "object" && "peers" in concern) {
    return replica.waitPeers(id, origin, seq, concern.peers, timeoutMs, now);
  }
  const [kind, names, n] =
    typeof concern === "number"
      ? (["count", [], concern] as const)
      : "any" in concern
        ? (["any", concern.any, concern.n] as const)
        : (["first", concern.first, concern.n] as const);
  replica.waitConcern(id, origin, seq, kind, [...names], n, timeoutMs, now);
}
