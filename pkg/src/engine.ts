/**
 * What the objects of one open database share: the driver, the transactions, the documents, the listeners. Users never
 * see it.
 */

import { Documents } from "./documents.js";
import { Driver, type DriverEvents, type DriverParts } from "./driver.js";
import type { ConflictsEffect, PeerEffect, ReplicaPending, ReplicaStatus } from "./effects.js";
import { Emitter } from "./emitter.js";
import { fromPlain, HeadwaterError } from "./errors.js";
import type { Replica } from "./generated/replica/glue.js";
import type { Instance } from "./instance.js";
import { Peers } from "./peers/peers.js";
import { Receipt } from "./receipt.js";
import type { StorageInfo } from "./store/store.js";
import { Transactions } from "./transactions.js";
import type { Concern, Conflict, DatabaseStatus, Degrade } from "./types.js";

/** How long closing waits for storage. */
const CLOSE_MS_MAX = 10_000;

interface EngineEvents {
  /** Stages, pending writes or the status may have changed. */
  changed: null;
  /** A rejected write was taken back in this document. */
  reset: { readonly doc: string };
  /** A value lost against one that was set without knowing it. */
  conflict: Conflict;
  /** A document was taken out. */
  unloadable: { readonly doc: string; readonly error: HeadwaterError };
  /** Somebody was content with less than a write's concern. */
  degraded: Degraded;
  /** Another client of the node has a message for this one. */
  signalled: { readonly from: bigint; readonly bytes: Uint8Array };
  /** The network or the page may be back. */
  woke: null;
  /** It is closed, or dead. */
  ended: null;
}

/** A wait that was content with less. */
export interface Degraded {
  /** The write's receipt. */
  readonly receipt: Receipt;
  /** What was met. */
  readonly met: Concern;
}

/** What an engine is made of. */
export interface EngineParts extends DriverParts {
  /** The random number of this opening. */
  readonly origin: bigint;
  /** The stage at which writes count as done, unless they say otherwise. */
  readonly concern: Concern;
  /** What they may be content with, unless they say otherwise. */
  readonly degrade: Degrade | null;
}

/** One open database. */
export class Engine implements DriverEvents {
  readonly instance: Instance;
  readonly driver: Driver;
  readonly origin: bigint;
  readonly concern: Concern;
  readonly degrade: Degrade | null;
  readonly transactions = new Transactions(this);
  readonly documents = new Documents(this);
  readonly peers = new Peers(this);
  readonly emitter = new Emitter<EngineEvents>();
  /** What storage said last. */
  storage: StorageInfo | null = null;
  /** Settles when the replica has read its storage. */
  readonly opened: Promise<void>;
  #endOpening: (error?: HeadwaterError) => void = () => undefined;
  #closing: Promise<void> | undefined;
  #isEnded = false;
  #degraded = 0;
  #storageFailure: HeadwaterError | undefined;

  /** Begins to read storage. */
  constructor(parts: EngineParts) {
    this.instance = parts.instance;
    this.origin = parts.origin;
    this.concern = parts.concern;
    this.degrade = parts.degrade;
    this.opened = new Promise((resolve, reject) => {
      this.#endOpening = (error) => (error === undefined ? resolve() : reject(error));
    });
    this.driver = new Driver(parts, this);
  }

  /** Why the instance is dead, if it is. */
  get death(): HeadwaterError | undefined {
    return this.instance.death;
  }

  /** Whether it is closed, or about to be. */
  get isClosed(): boolean {
    return this.#closing !== undefined;
  }

  /** Throws if nothing new may begin. */
  checkOpen(): void {
    if (this.death !== undefined) throw this.death;
    if (this.isClosed) throw closed();
  }

  /** A wait as a promise. */
  async wait(
    signal: AbortSignal | undefined,
    begin: (replica: Replica, id: number, now: number) => void,
  ): Promise<void> {
    this.checkOpen();
    await new Promise<void>((resolve, reject) => {
      this.driver.wait(signal, begin, (error) => (error === undefined ? resolve() : reject(error)));
    });
  }

  /** Unsent writes. */
  pending(): ReplicaPending {
    return this.driver.ask((replica) => replica.pending()) as ReplicaPending;
  }

  /** The receipts of unsent writes, oldest first. */
  pendingReceipts(): Receipt[] {
    const flat = this.driver.ask((replica) => replica.pendingWrites());
    const receipts: Receipt[] = [];
    for (let at = 0; at + 1 < flat.length; at += 2) {
      const write = { origin: flat[at] as bigint, seq: flat[at + 1] as bigint };
      receipts.push(new Receipt(this, {}, write));
    }
    return receipts;
  }

  /** Where the database stands. */
  status(): DatabaseStatus {
    const { death, storage } = this;
    const base = { role: "replica", storage, degraded: this.#degraded } as const;
    if (death !== undefined) {
      const node = { member: null, memberRole: null, epoch: null };
      const unknown = { ...node, generation: null, lag: { entries: 0, ms: null }, isStored: false, tab: null };
      return { ...base, ...unknown, phase: "fatal", error: death };
    }
    const status = this.#status();
    return {
      ...base,
      phase: this.#isEnded ? "closed" : status.phase,
      member: status.member ?? null,
      memberRole: status.memberRole ?? null,
      epoch: status.epoch === undefined ? null : Number(status.epoch),
      generation: status.generation === 0n ? null : status.generation.toString(16).padStart(16, "0"),
      lag: { entries: status.entries, ms: status.staleness ?? null },
      // What a failed commit held counts as handed over in the core.
      isStored: status.isStored && this.#storageFailure === undefined,
      tab: this.#isEnded ? null : status.tab,
      error: status.error === undefined ? null : fromPlain(status.error),
    };
  }

  /** Counts a wait that was content with less, and tells of it. */
  tellDegraded(degraded: Degraded): void {
    this.#degraded += 1;
    this.emitter.emit("degraded", degraded);
  }

  /** Stores everything, then ends everything, also when storing did not succeed: then it rejects afterwards. */
  close(timeoutMs = CLOSE_MS_MAX): Promise<void> {
    this.#closing ??= this.#close(timeoutMs);
    return this.#closing;
  }

  /** @internal */
  ready(): void {
    this.#endOpening();
    this.changed();
  }

  /** @internal */
  loaded(doc: string): void {
    this.documents.loaded(doc);
  }

  /** @internal */
  unloadable(doc: string, error: HeadwaterError): () => void {
    this.documents.unload(doc, error);
    return () => this.emitter.emit("unloadable", { doc, error });
  }

  /** @internal */
  applied(docs: readonly string[]): void {
    for (const name of new Set(docs)) this.#docChanged(name, false);
  }

  /** @internal */
  atPeer(effect: PeerEffect): (() => void) | undefined {
    return this.peers.execute(effect);
  }

  /** @internal */
  signalled(from: bigint, bytes: Uint8Array): void {
    this.emitter.emit("signalled", { from, bytes });
  }

  /** @internal */
  rebuilt(doc: string): void {
    this.#docChanged(doc, true);
    this.emitter.emit("reset", { doc });
  }

  /** @internal */
  conflicts({ doc, conflicts }: ConflictsEffect): void {
    // After the observers, and after what those write.
    this.transactions.tell(() => {
      for (const found of conflicts) {
        const conflict = { doc, ...found };
        this.documents.get(doc)?.conflicted(conflict);
        this.emitter.emit("conflict", conflict);
      }
    });
  }

  /** Has conflicts told from now on. Nobody who does not ask for them pays for them. */
  tellConflicts(): void {
    if (this.death === undefined && !this.isClosed) this.driver.ask((replica) => replica.tellConflicts());
  }

  /** @internal */
  changed(): void {
    this.emitter.emit("changed", null);
  }

  /** @internal */
  storageFailed(error: HeadwaterError): void {
    this.#storageFailure ??= error;
    this.#endOpening(error);
    this.documents.fail(error);
  }

  /** @internal */
  died(cause: HeadwaterError): void {
    this.#endOpening(cause);
    this.documents.fail(cause);
    this.peers.end(cause);
    this.emitter.emit("changed", null);
    this.emitter.emit("ended", null);
  }

  async #close(timeoutMs: number): Promise<void> {
    // The microtask lets `close` be remembered first: nothing new begins while this waits.
    await null;
    let failure: HeadwaterError | undefined;
    if (this.death === undefined) {
      this.driver.tell((replica, now) => replica.leave(now));
      failure = await this.#stored(timeoutMs);
    }
    this.driver.stop(closed());
    this.documents.fail(closed());
    this.peers.end(null);
    this.#isEnded = true;
    this.emitter.emit("changed", null);
    this.emitter.emit("ended", null);
    if (failure !== undefined) throw failure;
  }

  /** Why not everything could be stored, if so. A death was told already. */
  #stored(timeoutMs: number): Promise<HeadwaterError | undefined> {
    return new Promise((resolve) => {
      const message = `local storage did not take everything within ${timeoutMs} ms; what the leader has not got may be lost`;
      const timer = setTimeout(() => end(new HeadwaterError("TIMEOUT", message)), timeoutMs);
      const look = () => {
        if (this.death !== undefined || this.#storageFailure !== undefined) end(this.#storageFailure);
        else if (this.#status().isStored) end();
      };
      const off = this.emitter.on("changed", look);
      const end = (failure?: HeadwaterError) => {
        clearTimeout(timer);
        off();
        resolve(failure);
      };
      look();
    });
  }

  #status(): ReplicaStatus {
    return this.driver.ask((replica, now) => replica.status(now)) as ReplicaStatus;
  }

  #docChanged(name: string, isReset: boolean): void {
    const doc = this.documents.get(name);
    if (doc !== undefined) this.transactions.tell(doc.changed(isReset));
  }
}

/** The error of whatever comes after the end. */
export function closed(): HeadwaterError {
  return new HeadwaterError("CLOSED", "the database was closed; open it again");
}
