/**
 * The one loop around a replica in wasm: inputs go in, one drain for all of a turn, effects are executed in their
 * order, one timer. It decides nothing, and it runs user code only when nothing else is left to do.
 */

import type { ConflictsEffect, DamagedEffect, PeerEffect, PersistEffect, ReplicaEffect, ScanEffect } from "./effects.js";
import { fromPlain, HeadwaterError, reportUncaught, toHeadwaterError } from "./errors.js";
import type { Replica } from "./generated/replica/glue.js";
import type { Instance } from "./instance.js";
import type { WebSocketClass } from "./platform/platform.js";
import { Socket } from "./socket.js";
import { type Store, StorageLost } from "./store/store.js";
import type { Tabs } from "./tabs/tabs.js";
import { onAbort, TIMER_MS_MAX, type WaitEnd, Waits } from "./waits.js";

/** What a driver works with. */
export interface DriverParts {
  readonly instance: Instance;
  readonly replica: Replica;
  readonly store: Store;
  /** Where its nodes are, at least one, unless there is none to sync with. */
  readonly leader: { readonly urls: readonly string[]; readonly WebSocket: WebSocketClass } | undefined;
  /** The other tabs on the same storage, unless it works alone. */
  readonly tabs: Tabs | undefined;
  readonly now: () => number;
}

/** What it tells. Called after all effects of a drain were executed, outside of wasm. */
export interface DriverEvents {
  ready(): void;
  loaded(doc: string): void;
  /** A document cannot be had, or not any longer. Called at once and runs no user code; answers how to tell of it. */
  unloadable(doc: string, error: HeadwaterError): () => void;
  /** Rows did not read back. */
  damaged(effect: DamagedEffect): void;
  applied(docs: readonly string[]): void;
  /** A part of a large document has arrived. */
  progress(doc: string, received: number, total: number): void;
  /** Something is to be done at a peer's port. Called at once and runs no user code; answers what is to be told. */
  atPeer(effect: PeerEffect): (() => void) | undefined;
  /** Another client of the node has a message for this one. */
  signalled(from: bigint, bytes: Uint8Array): void;
  rebuilt(doc: string): void;
  /** After `applied` of what brought them. */
  conflicts(found: ConflictsEffect): void;
  /** Stages, pending writes or the status may have changed. */
  changed(): void;
  /** Storage was deleted while it was open. The core waits until it is told what becomes of it. */
  storageLost(error: StorageLost): void;
  /** Storage has failed; the core goes on in memory. */
  storageFailed(error: HeadwaterError): void;
  died(cause: HeadwaterError): void;
}

/** Drives a replica. */
export class Driver {
  readonly #parts: DriverParts;
  readonly #events: DriverEvents;
  readonly #waits = new Waits();
  #socket: Socket | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerDue: number | undefined;
  #isScheduled = false;
  #isStopped = false;
  #written = 0n;
  #stored = 0n;

  /** Begins to drive. */
  constructor(parts: DriverParts, events: DriverEvents) {
    this.#parts = parts;
    this.#events = events;
    parts.store.onFailure = (error) => this.#storageFailed(error);
    parts.instance.onDeath = (cause) => {
      this.stop(cause);
      events.died(cause);
    };
    parts.tabs?.begin({
      // Browsers hold back the timers of hidden pages, not their messages: what is due is done when a visible tab speaks.
      heard: (bytes) =>
        this.tell((replica, now) => {
          replica.tab(bytes, now);
          replica.tick(now);
        }),
      hold: () => this.tell((replica, now) => replica.hold(now)),
      unhold: () => this.tell((replica, now) => replica.unhold(now)),
      gone: (origin) => this.tell((replica, now) => replica.tabGone(origin, now)),
    });
    this.#schedule();
  }

  /** The last write of this opening, and the last one that storage or a leader is known to have. Zero is none. */
  get writes(): { readonly written: bigint; readonly stored: bigint } {
    return { written: this.#written, stored: this.#stored };
  }

  /** Ends the open transactions as one write; answers its number, unless nothing changed. */
  commit(): bigint | undefined {
    const seq = this.input((replica) => replica.commit(Date.now()));
    if (seq !== undefined) this.#written = seq;
    return seq;
  }

  /** Passes something to the replica and has its effects executed at the end of the turn. */
  input<T>(f: (replica: Replica, now: number) => T): T {
    const answer = this.ask(f);
    this.#schedule();
    return answer;
  }

  /** An input from an event of the host: there is nobody to whom its error could be thrown. */
  tell(f: (replica: Replica, now: number) => void): void {
    if (this.#isStopped) return;
    try {
      this.input(f);
    } catch (error) {
      if (this.#parts.instance.death === undefined) this.#parts.instance.die(error);
    }
  }

  /** Asks the replica something that has no effects. */
  ask<T>(f: (replica: Replica, now: number) => T): T {
    return this.#parts.instance.call(() => f(this.#parts.replica, this.#parts.now()));
  }

  /**
   * Begins a wait. `end` is called once, in the very turn in which the wait ends, so that what it then reads is what
   * was waited for.
   */
  wait(
    signal: AbortSignal | undefined,
    begin: (replica: Replica, id: number, now: number) => void,
    end: WaitEnd,
  ): void {
    let unlisten = () => {};
    const id = this.#waits.add((error) => {
      unlisten();
      end(error);
    });
    try {
      this.input((replica, now) => begin(replica, id, now));
    } catch (error) {
      return this.#waits.end(id, toHeadwaterError(error, "INTERNAL", "the wait could not begin"));
    }
    unlisten = onAbort(signal, (error) => {
      this.#waits.end(id, error);
      if (!this.#isStopped) this.input((replica, now) => replica.cancel(id, now));
    });
  }

  /** Ends all waits, the socket, the timer, the storage, and then its place among the tabs, which others may take. */
  stop(reason: HeadwaterError): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#socket?.close();
    this.#parts.store.close();
    this.#parts.tabs?.close();
    this.#waits.endAll(reason);
  }

  // A microtask: whatever is written in one turn shares a frame and a commit.
  #schedule(): void {
    if (this.#isScheduled || this.#isStopped) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      if (!this.#isStopped) this.#drain();
    });
  }

  #drain(): void {
    const afterwards: (() => void)[] = [];
    try {
      const effects = this.ask((replica, now) => replica.poll(now)) as ReplicaEffect[];
      for (const effect of effects) this.#execute(effect, afterwards);
      this.#setTimer();
    } catch (error) {
      // Dying has told everybody already.
      if (this.#parts.instance.death === undefined) this.#parts.instance.die(error);
    }
    for (const tell of afterwards) {
      try {
        tell();
      } catch (error) {
        reportUncaught(error);
      }
    }
  }

  #execute(effect: ReplicaEffect, afterwards: (() => void)[]): void {
    switch (effect.type) {
      case "persist":
        return void this.#persist(effect);
      case "scan":
        return void this.#scan(effect);
      case "connect":
        return this.#connect(effect.attempt);
      case "disconnect":
        this.#socket?.close();
        this.#socket = undefined;
        return;
      case "send":
        return this.#socket?.send(effect.bytes);
      case "ping":
        return this.#socket?.ping();
      case "tellTabs":
        return this.#parts.tabs?.tell(effect.bytes);
      case "steal":
        return this.#parts.tabs?.steal();
      case "watchTab":
        return this.#parts.tabs?.watch(effect.origin);
      case "done":
        afterwards.push(() => this.#waits.end(effect.id, effect.error && fromPlain(effect.error)));
        return;
      case "loaded":
      case "rebuilt":
        afterwards.push(() => this.#events[effect.type](effect.doc));
        return;
      case "unloadable":
        // Before anybody is told anything: wasm has let go of it, and would drop what a listener wrote to it.
        afterwards.push(this.#events.unloadable(effect.doc, fromPlain(effect.error)));
        return;
      case "damaged":
        afterwards.push(() => this.#events.damaged(effect));
        return;
      case "applied":
        afterwards.push(() => this.#events.applied(effect.docs));
        return;
      case "progress":
        afterwards.push(() => this.#events.progress(effect.doc, effect.received, effect.total));
        return;
      case "conflicts":
        afterwards.push(() => this.#events.conflicts(effect));
        return;
      case "sendPeer":
      case "closePeer":
      case "askPeer": {
        const tell = this.#events.atPeer(effect);
        if (tell !== undefined) afterwards.push(tell);
        return;
      }
      case "signalled":
        afterwards.push(() => this.#events.signalled(effect.from, effect.bytes));
        return;
      case "ready":
      case "changed":
        afterwards.push(() => this.#events[effect.type]());
        return;
      case "fatal":
        this.#parts.instance.die(fromPlain(effect.error));
    }
  }

  async #persist({ token, ops, guard }: PersistEffect): Promise<void> {
    // A commit takes all that was written before it, but for those that only say which tab stores.
    const through = ops.some(({ table }) => table !== "meta") ? this.#written : 0n;
    let isMade: boolean;
    try {
      isMade = await this.#parts.store.commit(ops, guard);
    } catch (error) {
      return this.#storageFailed(error);
    }
    if (isMade && through > this.#stored) this.#stored = through;
    this.tell((replica, now) => (isMade ? replica.persisted(token, now) : replica.fenced(token, now)));
  }

  async #scan(effect: ScanEffect): Promise<void> {
    let rows: Uint8Array[];
    try {
      rows = await this.#parts.store.scan(effect);
    } catch (error) {
      return this.#storageFailed(error);
    }
    this.tell((replica, now) => replica.scanned(effect.token, rows, now));
  }

  #storageFailed(cause: unknown): void {
    if (this.#isStopped) return;
    if (cause instanceof StorageLost) return this.#events.storageLost(cause);
    this.storageFailed(toHeadwaterError(cause, "STORAGE_UNAVAILABLE", "storage failed"));
  }

  /** Storage has failed for good: the replica goes on in memory. */
  storageFailed(error: HeadwaterError): void {
    this.tell((replica, now) => replica.storageFailed(error.code, error.message, now));
    this.#events.storageFailed(error);
  }

  #connect(attempt: number): void {
    const { leader } = this.#parts;
    const url = leader?.urls[attempt % leader.urls.length];
    if (leader === undefined || url === undefined) return;
    const socket = new Socket(leader.WebSocket, url, {
      opened: () => this.tell((replica, now) => replica.connected(now)),
      frame: (bytes) => this.tell((replica, now) => replica.frame(bytes, now)),
      pong: () => this.tell((replica, now) => replica.pong(now)),
      ended: () => {
        this.#socket = undefined;
        this.tell((replica, now) => replica.disconnected(now));
      },
    });
    this.#socket = socket;
  }

  #setTimer(): void {
    const due = this.#isStopped ? undefined : this.ask((replica) => replica.nextTimeout());
    if (due === this.#timerDue) return;
    clearTimeout(this.#timer);
    this.#timerDue = due;
    if (due === undefined) return;
    const delay = Math.min(Math.max(Math.ceil(due - this.#parts.now()), 0), TIMER_MS_MAX);
    this.#timer = setTimeout(() => {
      this.#timerDue = undefined;
      this.tell((replica, now) => replica.tick(now));
    }, delay);
  }
}
