/** A document as its users have it: shared types by name, transactions, events. Where it is kept is not its matter. */

import { Emitter } from "./emitter.js";
import type { Engine } from "./engine.js";
import type { HeadwaterError } from "./errors.js";
import type { DocHandle } from "./generated/replica/glue.js";
import { checkFunction, checkTransact } from "./options.js";
import type { Receipt } from "./receipt.js";
import {
  type DocHost,
  ObserverHub,
  renewTypes,
  rootArray,
  rootMap,
  rootText,
  type SharedArray,
  type SharedMap,
  type SharedText,
} from "./shared/index.js";
import type { Conflict, TransactOptions } from "./types.js";

/** What a document tells. */
export interface DocumentEvents {
  /** It has changed: by a write made here, by what came from the leader, or by a reset. After its types' observers. */
  change: DocumentChange;
  /** As {@link DatabaseEvents.conflict}, of this document. */
  conflict: Conflict;
}

/** A change of a document. */
export interface DocumentChange {
  /** The receipt of the write that did it, if it was made through this opening of the database. */
  readonly receipt: Receipt | null;
  /** Whether the document was made anew: from what stands, when a rejected write was taken back; or from storage, in another instance. */
  readonly isReset: boolean;
}

/** A document. `db.doc(name)` answers the same one each time. */
export class Document implements DocHost {
  /** Its name. */
  readonly name: string;
  /** @internal */
  readonly hub: ObserverHub = new ObserverHub(this);
  readonly #engine: Engine;
  #handle: DocHandle;
  readonly #emitter = new Emitter<DocumentEvents>();
  #lastReceipt: Receipt | null = null;
  #end: HeadwaterError | undefined;

  /** Made by the package. */
  constructor(engine: Engine, name: string, handle: DocHandle) {
    this.#engine = engine;
    this.name = name;
    this.#handle = engine.instance.guard(handle);
  }

  /** @internal Every read and write asks for it, so that none gets past the end of the document. */
  get handle(): DocHandle {
    this.#checkOpen();
    return this.#handle;
  }

  /** @internal */
  mutate<T>(f: () => T): T {
    this.#checkOpen();
    return this.#engine.transactions.mutate(this, f);
  }

  /** The map of this name, which every document has. */
  getMap<T = any>(name: string): SharedMap<T> {
    return rootMap<T>(this, name);
  }

  /** The array of this name, which every document has. */
  getArray<T = any>(name: string): SharedArray<T> {
    return rootArray<T>(this, name);
  }

  /** The text of this name, which every document has. */
  getText(name: string): SharedText {
    return rootText(this, name);
  }

  /** Everything as plain data. */
  toJSON(): Record<string, unknown> {
    return this.handle.toJSON() as Record<string, unknown>;
  }

  /**
   * Runs `f` as one write, applied at once, and answers its receipt. Inside of another transaction it is a part of
   * that one, with its receipt and its concern. If `f` throws, what it had written stays written, as in Yjs.
   *
   * A change outside of a transaction is a write of its own; its receipt is {@link lastReceipt}.
   */
  transact(f: (doc: this) => void, options: TransactOptions = {}): Receipt {
    checkFunction(f, "transact");
    checkTransact(options);
    this.#checkOpen();
    return this.#engine.transactions.transact(() => f(this), options);
  }

  /** The receipt of the last write to this document that was made through this opening of the database. */
  get lastReceipt(): Receipt | null {
    return this.#lastReceipt;
  }

  /** Adds a listener; answers how to remove it. */
  on<Name extends keyof DocumentEvents>(name: Name, listener: (event: DocumentEvents[Name]) => void): () => void {
    if (name === "conflict") this.#engine.tellConflicts();
    return this.#emitter.on(name, listener);
  }

  /**
   * Lets go of the document. Its content stays in storage; it is not kept up to date until it is opened again. Every
   * read and write through this object then throws `CLOSED`. Within a transaction it takes effect at its end.
   */
  close(): void {
    this.#engine.documents.close(this);
  }

  /** @internal Another instance has it, under this handle. */
  adopt(handle: DocHandle): void {
    this.#handle = this.#engine.instance.guard(handle);
  }

  /** @internal It is loaded in another instance; answers what to tell of it. */
  renewed(): () => void {
    renewTypes(this);
    this.hub.renew();
    return this.#telling({ receipt: null, isReset: true });
  }

  /** @internal Every read and write throws this error from now on. Runs no user code. */
  end(error: HeadwaterError): void {
    this.#end ??= error;
    this.hub.end();
  }

  /** @internal A write of this opening has touched it; answers what to tell of it. */
  committed(receipt: Receipt): () => void {
    this.#lastReceipt = receipt;
    return this.#telling({ receipt, isReset: false });
  }

  /** @internal */
  conflicted(conflict: Conflict): void {
    this.#emitter.emit("conflict", conflict);
  }

  /** @internal Something has changed it from below; answers what to tell of it. */
  changed(isReset: boolean): () => void {
    return this.#telling({ receipt: null, isReset });
  }

  // Events are taken now, and told when nothing is in the way.
  #telling(change: DocumentChange): () => void {
    const events = this.#handle.takeEvents();
    return () => {
      if (this.#end !== undefined) return;
      if (change.isReset) this.hub.reset();
      else this.hub.dispatch(events);
      this.#emitter.emit("change", change);
    };
  }

  #checkOpen(): void {
    const error = this.#engine.death ?? this.#end;
    if (error !== undefined) throw error;
  }
}
