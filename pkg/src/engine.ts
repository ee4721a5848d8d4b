/**
 * What the objects of one open database share: the driver, the transactions, the documents, the listeners. Users never
 * see it.
 */

import { Documents } from "./documents.js";
import { Driver, type DriverEvents, type DriverParts } from "./driver.js";
import type { ConflictsEffect, DamagedEffect, PeerEffect, ReplicaPending, ReplicaStatus, StoreOp } from "./effects.js";
import { Emitter } from "./emitter.js";
import { fromPlain, HeadwaterError, toHeadwaterError } from "./errors.js";
import type { Replica } from "./generated/replica/glue.js";
import type { Instance } from "./instance.js";
import { Peers } from "./peers/peers.js";
import { Receipt, type WriteId } from "./receipt.js";
import { Deaths } from "./renewal.js";
import type { Sentinel } from "./store/sentinel.js";
import type { StorageInfo, StorageLost, Store } from "./store/store.js";
import { Transactions } from "./transactions.js";
import type { Concern, Conflict, DatabaseStatus, Degrade, StorageIncident } from "./types.js";

/** How long closing waits for storage. */
const CLOSE_MS_MAX = 10_000;

interface EngineEvents {
  /** Stages, pending writes or the status may have changed. */
  changed: null;
  /** A rejected write was taken back in this document. */
  reset: { readonly doc: string };
  /** A part of a large document has arrived. */
  progress: { readonly doc: string; readonly received: number; readonly total: number };
  /** A value lost against one that was set without knowing it. */
  conflict: Conflict;
  /** A document was taken out. */
  unloadable: { readonly doc: string; readonly error: HeadwaterError };
  /** Somebody was content with less than a write's concern. */
  degraded: Degraded;
  /** Another client of the node has a message for this one. */
  signalled: { readonly from: bigint; readonly bytes: Uint8Array };
  /** Something happened to what is kept. */
  incident: StorageIncident;
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

/** What is made anew when an instance has died. */
export interface Life extends DriverParts {
  /** The random number of this opening. */
  readonly origin: bigint;
  /** What notices the loss of storage, where that can be had. */
  readonly sentinel: Sentinel | undefined;
}

/** What a new life begins with. */
export interface Beginning {
  /** New storage, where the old one is gone, with what to put there. */
  readonly fresh: { readonly store: Store; readonly ops: readonly StoreOp[] } | undefined;
  readonly isPaused: boolean;
}

/** What an engine is made of. */
export interface EngineParts {
  readonly life: Life;
  /** Makes new storage where it was deleted. */
  openStore(): Promise<Store>;
  /** Makes another life, with all that it takes; the one before it is over. */
  renew(beginning: Beginning): Promise<Life>;
  /** The stage at which writes count as done, unless they say otherwise. */
  readonly concern: Concern;
  /** What they may be content with, unless they say otherwise. */
  readonly degrade: Degrade | null;
  /** Whether it begins without a connection. */
  readonly isPaused: boolean;
}

/** One open database. */
export class Engine implements DriverEvents {
  readonly #parts: EngineParts;
  #life: Life;
  #driver: Driver;
  /** How many instances there were before. */
  life = 0;
  readonly concern: Concern;
  readonly degrade: Degrade | null;
  readonly transactions = new Transactions(this);
  readonly documents = new Documents(this);
  readonly peers = new Peers(this);
  readonly emitter = new Emitter<EngineEvents>();
  /** What storage said last. */
  storage: StorageInfo | null = null;
  /** What happened last to what is kept. */
  incident: StorageIncident | null = null;
  /** Settles when the replica has read its storage. */
  readonly opened: Promise<void>;
  #endOpening: (error?: HeadwaterError) => void = () => undefined;
  #closing: Promise<void> | undefined;
  #isEnded = false;
  #degraded = 0;
  #storageFailure: HeadwaterError | undefined;
  readonly #deaths = new Deaths();
  #isReady = false;
  #isPaused: boolean;
  #tellsConflicts = false;
  /** Set from the death of an instance until another one has taken its place. */
  #outage: HeadwaterError | undefined;
  /** What was saved before the instance was ended, since its storage was lost. */
  #saved: { readonly store: Store; readonly ops: readonly StoreOp[]; readonly shown: ReadonlyMap<string, Uint8Array> } | undefined;
  #isReplacing = false;
  /** Writes that died with instances and of which that was not told yet. */
  #lost = 0;
  /** Why there is no other instance. */
  #fatal: HeadwaterError | undefined;

  /** Begins to read storage. */
  constructor(parts: EngineParts) {
    this.#parts = parts;
    this.#life = parts.life;
    this.#isPaused = parts.isPaused;
    this.concern = parts.concern;
    this.degrade = parts.degrade;
    this.opened = new Promise((resolve, reject) => {
      this.#endOpening = (error) => (error === undefined ? resolve() : reject(error));
    });
    this.#driver = new Driver(parts.life, this);
  }

  /** The instance of now. */
  get instance(): Instance {
    return this.#life.instance;
  }

  /** What drives it. */
  get driver(): Driver {
    return this.#driver;
  }

  /** The random number of this opening. */
  get origin(): bigint {
    return this.#life.origin;
  }

  /** Why the instance is dead, if it is, or was and is not replaced yet. */
  get death(): HeadwaterError | undefined {
    return this.#outage ?? this.#fatal ?? this.instance.death;
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
    const base = { role: "replica", storage, incident: this.incident, degraded: this.#degraded } as const;
    if (death !== undefined) {
      const node = { member: null, memberRole: null, epoch: null };
      const unknown = { ...node, generation: null, lag: { entries: 0, ms: null }, isStored: false, tab: null };
      const phase = this.#isEnded ? "closed" : this.#outage === undefined ? "fatal" : "restoring";
      return { ...base, ...unknown, phase, error: death };
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

  /** Whether the application wants no connection. */
  pause(isPaused: boolean): void {
    this.driver.input((replica, now) => replica.pause(isPaused, now));
    this.#isPaused = isPaused;
  }

  /** Why a write of an instance that died is lost, if it is. */
  lossOf(write: WriteId): HeadwaterError | undefined {
    return this.#deaths.lossOf(write);
  }

  /** Whether an instance that died had this origin. */
  isOfEarlierLife(origin: bigint): boolean {
    return this.#deaths.has(origin);
  }

  /** Tells what happened to what is kept. */
  tellIncident(incident: StorageIncident): void {
    this.incident = incident;
    this.emitter.emit("incident", incident);
    this.changed();
  }

  /** @internal */
  ready(): void {
    this.#isReady = true;
    if (this.#outage === undefined) this.#endOpening();
    else this.#reload();
    this.changed();
  }

  /** @internal */
  loaded(doc: string): void {
    this.documents.loaded(doc);
    this.#lookRestored();
  }

  /** @internal */
  unloadable(doc: string, error: HeadwaterError): () => void {
    this.documents.unload(doc, error);
    return () => {
      this.emitter.emit("unloadable", { doc, error });
      this.#lookRestored();
    };
  }

  /** @internal */
  damaged({ doc, lostRows, error }: DamagedEffect): void {
    const lost = lostRows === 0 ? null : { writes: lostRows };
    this.tellIncident({ cause: "damaged", doc: doc ?? null, lost, error: fromPlain(error), at: new Date() });
  }

  /** @internal */
  applied(docs: readonly string[]): void {
    for (const name of new Set(docs)) this.#docChanged(name, false);
  }

  /** @internal */
  progress(doc: string, received: number, total: number): void {
    this.emitter.emit("progress", { doc, received, total });
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
    this.#tellsConflicts = true;
    if (this.death === undefined && !this.isClosed) this.driver.ask((replica) => replica.tellConflicts());
  }

  /** @internal */
  changed(): void {
    if (this.#life.sentinel !== undefined && this.#isReady && this.death === undefined) this.#life.sentinel.unsent(this.pending().count);
    this.emitter.emit("changed", null);
  }

  /** @internal The page may be about to go: what is noted of unsent writes is exact. */
  note(): void {
    if (this.#isReady && this.death === undefined) this.#life.sentinel?.unsent(this.pending().count, true);
  }

  /** @internal */
  storageLost(error: StorageLost): void {
    if (!this.#isReady || this.isClosed) return this.driver.storageFailed(error);
    if (!this.#isReplacing && this.death === undefined) void this.#replaceStorage(error);
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
    const isPassing = this.#saved !== undefined || cause.code === "POISONED";
    const goesOn = this.#isReady && !this.isClosed && isPassing && this.#deaths.count(performance.now());
    if (goesOn) void this.#renew(cause);
    else this.#outage = undefined;
    this.emitter.emit("changed", null);
    if (!goesOn) this.emitter.emit("ended", null);
  }

  /** The storage is gone, and what it held is still here: it goes into new storage, which another instance reads. */
  async #replaceStorage(error: StorageLost): Promise<void> {
    this.#isReplacing = true;
    try {
      const store = await this.#parts.openStore();
      if (this.death !== undefined || this.isClosed) return store.close();
      const ops = this.driver.ask((replica) => replica.salvage()) as StoreOp[];
      const shown = new Map<string, Uint8Array>();
      for (const { name } of this.documents.all()) {
        const update = this.driver.ask((replica) => replica.encodeDoc(name));
        if (this.documents.get(name) !== undefined && update !== undefined) shown.set(name, update);
      }
      this.#saved = { store, ops, shown };
    } catch (cause) {
      const failure = toHeadwaterError(cause, "STORAGE_UNAVAILABLE", `${error.message}, and no other could be had`);
      return this.driver.storageFailed(failure);
    } finally {
      this.#isReplacing = false;
    }
    const message = "local storage was deleted, and is being made anew from memory; try again in a moment";
    this.instance.die(new HeadwaterError("BUSY", message, { cause: error }));
  }

  async #renew(cause: HeadwaterError): Promise<void> {
    this.#outage = cause;
    const dead = this.#driver;
    try {
      const life = await this.#parts.renew({ fresh: this.#saved, isPaused: this.#isPaused });
      // What a commit brought that was under way is known by now: storage did one after the other.
      const { written, stored } = dead.writes;
      const kept = this.#saved === undefined ? stored : written;
      this.#lost += this.#deaths.end(this.origin, { written, stored: kept }, cause);
      this.#life = life;
      this.life += 1;
      this.#storageFailure = undefined;
      this.#driver = new Driver(life, this);
    } catch (error) {
      this.#giveUp(toHeadwaterError(error, "STORAGE_UNAVAILABLE", "the database could not be made anew"));
    }
  }

  /** Another instance has read what is stored: it loads what was open. */
  #reload(): void {
    if (this.#tellsConflicts) this.driver.ask((replica) => replica.tellConflicts());
    this.documents.renew((name) => {
      const shown = this.#saved?.shown.get(name);
      if (shown !== undefined) this.driver.ask((replica) => replica.showBefore(name, shown));
      return this.driver.input((replica, now) => replica.openDoc(name, now));
    });
    this.#lookRestored();
  }

  #lookRestored(): void {
    const cause = this.#outage;
    if (cause === undefined || !this.#isReady || this.instance.death !== undefined || !this.documents.areLoaded) return;
    this.#outage = undefined;
    const wasDeleted = this.#saved !== undefined;
    this.#saved = undefined;
    const lost = this.#lost === 0 ? null : { writes: this.#lost };
    this.#lost = 0;
    for (const doc of this.documents.all()) {
      this.transactions.tell(doc.renewed());
      this.emitter.emit("reset", { doc: doc.name });
    }
    this.tellIncident({ cause: wasDeleted ? "deleted" : "trapped", doc: null, lost, error: cause, at: new Date() });
  }

  /** No other instance can be had. */
  #giveUp(error: HeadwaterError): void {
    this.#outage = undefined;
    this.#saved = undefined;
    this.#fatal = error;
    this.documents.fail(error);
    this.emitter.emit("changed", null);
    this.emitter.emit("ended", null);
  }

  async #close(timeoutMs: number): Promise<void> {
    // The microtask lets `close` be remembered first: nothing new begins while this waits.
    await null;
    let failure: HeadwaterError | undefined;
    if (this.#outage !== undefined) await this.#restored(timeoutMs);
    if (this.death === undefined) {
      this.driver.tell((replica, now) => replica.leave(now));
      failure = await this.#stored(timeoutMs);
    }
    this.note();
    this.driver.stop(closed());
    this.documents.fail(closed());
    this.peers.end(null);
    this.#isEnded = true;
    this.emitter.emit("changed", null);
    this.emitter.emit("ended", null);
    if (failure !== undefined) throw failure;
  }

  /** Waits until another instance is there, or will not be. */
  #restored(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      const off = this.emitter.on("changed", () => {
        if (this.#outage !== undefined) return;
        clearTimeout(timer);
        off();
        resolve();
      });
    });
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
    const doc = this.#outage === undefined ? this.documents.get(name) : undefined;
    if (doc !== undefined) this.transactions.tell(doc.changed(isReset));
  }
}

/** The error of whatever comes after the end. */
export function closed(): HeadwaterError {
  return new HeadwaterError("CLOSED", "the database was closed; open it again");
}
