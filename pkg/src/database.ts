/** A database as its users have it. It only dresses the engine. */

import type { Document } from "./document.js";
import type { Degraded, Engine } from "./engine.js";
import { Emitter } from "./emitter.js";
import { type HeadwaterError, malformed } from "./errors.js";
import { checkFunction, checkTransact, timeoutOf } from "./options.js";
import type { Receipt } from "./receipt.js";
import { Session } from "./session.js";
import type { DatabaseStatus, TransactOptions, WaitOptions } from "./types.js";

/** How long `doc` waits for local storage unless told otherwise. */
const LOAD_MS = 30_000;

/** Writes that are not settled, of this opening and of earlier ones: no leader, or in a group no quorum, has confirmed them. */
export interface Pending {
  /** How many. */
  readonly count: number;
  /** What they weigh. */
  readonly bytes: number;
  /** When the oldest was written, by the writer's clock. */
  readonly oldest: Date | null;
  /** A receipt for each that is pending when this is called, oldest first. */
  receipts(): Receipt[];
}

/** What a database tells. */
export interface DatabaseEvents {
  /** The phase, the node, the epoch, the storage or the error has changed. Not told: `lag` and `isStored`, which every write moves. */
  status: DatabaseStatus;
  /** The number or the weight of pending writes has changed. */
  pending: Pending;
  /** A wait for a write's concern was content with less, as its {@link Degrade} option allows. */
  degraded: Degraded;
  /** A rejected write was taken back: this document was made anew from what stands. Its types' observers were told. */
  reset: { readonly doc: string };
  /**
   * A document was taken out: it could not be read from storage, or not take in what came. Its reads and writes throw
   * the error; `doc` tries anew. Other documents go on.
   */
  unloadable: { readonly doc: string; readonly error: HeadwaterError };
}

/** An open database: `await open(name, { url })` makes one. */
export class Database {
  /** Its name. */
  readonly name: string;
  readonly #engine: Engine;
  readonly #hasLeader: boolean;
  readonly #emitter = new Emitter<DatabaseEvents>();
  #toldStatus = "";
  #toldPending = "";

  /** Made by `open`. */
  constructor(name: string, engine: Engine, hasLeader: boolean) {
    this.name = name;
    this.#engine = engine;
    this.#hasLeader = hasLeader;
    engine.emitter.on("changed", () => this.#tell());
    engine.emitter.on("degraded", (event) => this.#emitter.emit("degraded", event));
    engine.emitter.on("reset", (event) => this.#emitter.emit("reset", event));
    engine.emitter.on("unloadable", (event) => this.#emitter.emit("unloadable", event));
  }

  /**
   * A document, once its local copy is loaded; the same object each time. It is there at once without a network, empty
   * if nothing of it has been received yet.
   */
  async doc(name: string, options: WaitOptions = {}): Promise<Document> {
    return this.#engine.documents.open(name, timeoutOf(options, LOAD_MS), options.signal);
  }

  /** Runs `f` as one write over all documents that it changes: one receipt, applied together everywhere. */
  transact(f: () => void, options: TransactOptions = {}): Receipt {
    checkFunction(f, "transact");
    checkTransact(options);
    return this.#engine.transactions.transact(f, options);
  }

  /** Begins a session, from a bookmark if it goes on where another one was. */
  session(options: { readonly from?: string | null | undefined } = {}): Session {
    const from = options.from ?? undefined;
    if (from !== undefined && typeof from !== "string") throw malformed("from is a bookmark, which is a string");
    return new Session(this.#engine, from);
  }

  /** Writes that are not settled, as of now. True right after a reload, too. */
  get pending(): Pending {
    const { count, bytes, oldestUnixMs } = this.#engine.pending();
    const oldest = oldestUnixMs === undefined ? null : new Date(oldestUnixMs);
    return { count, bytes, oldest, receipts: () => this.#engine.pendingReceipts() };
  }

  /** Where the database stands, as of now. */
  get status(): DatabaseStatus {
    return this.#engine.status();
  }

  /** Adds a listener; answers how to remove it. */
  on<Name extends keyof DatabaseEvents>(name: Name, listener: (event: DatabaseEvents[Name]) => void): () => void {
    // What has changed while nobody listened is no news, and what changes from here on is, whatever was told before.
    if (!this.#emitter.has(name)) {
      if (name === "status") this.#toldStatus = statusKey(this.status);
      if (name === "pending" && this.#engine.death === undefined) this.#toldPending = pendingKey(this.pending);
    }
    return this.#emitter.on(name, listener);
  }

  /** Closes the connection and opens none until {@link connect}. Reads and writes go on locally. */
  disconnect(): void {
    this.#pause(true);
  }

  /** Connects again after {@link disconnect}, or after `open` with `connect: false`. */
  connect(): void {
    this.#pause(false);
  }

  /**
   * Stores everything, then lets go of everything. What is waited for ends with `CLOSED`. If storage did not take
   * everything it rejects, with `TIMEOUT` after 10 seconds or with what storage said; it is closed then, too.
   */
  close(): Promise<void> {
    return this.#engine.close();
  }

  /** Closes it at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #pause(isPaused: boolean): void {
    this.#engine.checkOpen();
    if (!this.#hasLeader) throw malformed("the database was opened without a url: there is nothing to connect to");
    this.#engine.driver.input((replica, now) => replica.pause(isPaused, now));
  }

  // What is not listened to is not computed: this runs after every commit.
  #tell(): void {
    if (this.#emitter.has("status")) {
      const status = this.status;
      const told = statusKey(status);
      if (told !== this.#toldStatus) {
        this.#toldStatus = told;
        this.#emitter.emit("status", status);
      }
    }
    if (this.#emitter.has("pending") && this.#engine.death === undefined) {
      const { pending } = this;
      const told = pendingKey(pending);
      if (told !== this.#toldPending) {
        this.#toldPending = told;
        this.#emitter.emit("pending", pending);
      }
    }
  }
}

/** What a status event tells of, as text to compare. */
function statusKey({ phase, member, memberRole, epoch, generation, storage, error }: DatabaseStatus): string {
  return JSON.stringify([phase, member, memberRole, epoch, generation, storage, error?.code, error?.message]);
}

function pendingKey({ count, bytes }: Pending): string {
  return `${count}/${bytes}`;
}
