/** The open documents of one database, and those who wait for them to be loaded. */

import { Document } from "./document.js";
import type { Engine } from "./engine.js";
import { HeadwaterError, malformed } from "./errors.js";
import type { DocHandle } from "./generated/replica/glue.js";
import { onAbort, TIMER_MS_MAX } from "./waits.js";

interface Entry {
  readonly doc: Document;
  isLoaded: boolean;
  readonly waiting: Set<(error?: HeadwaterError) => void>;
}

/** The open documents of one database. */
export class Documents {
  readonly #engine: Engine;
  readonly #entries = new Map<string, Entry>();
  /** Those that the open transaction closes when it ends. */
  readonly #closing = new Set<Document>();

  /** One for each database. */
  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Opens a document; resolves once its local copy is loaded. */
  async open(name: string, timeoutMs: number, signal: AbortSignal | undefined): Promise<Document> {
    this.#engine.checkOpen();
    if (typeof name !== "string") throw malformed("a document's name is a string");
    // Half of a surrogate pair has no bytes of its own: two such names would be one.
    if (/\p{Cs}/u.test(name)) throw malformed("a document's name is well-formed Unicode");
    const found = this.#entries.get(name);
    // The transaction that closes it is over by the next microtask.
    if (found !== undefined && this.#closing.has(found.doc)) {
      await null;
      this.#engine.checkOpen();
    }
    const entry = this.#entries.get(name) ?? this.#begin(name);
    if (!entry.isLoaded) await waitForLoad(entry, timeoutMs, signal);
    return entry.doc;
  }

  /** An open and loaded document. */
  get(name: string): Document | undefined {
    const entry = this.#entries.get(name);
    return entry?.isLoaded ? entry.doc : undefined;
  }

  /** Those that are open and loaded. */
  *names(): Generator<string> {
    for (const [name, { isLoaded }] of this.#entries) if (isLoaded) yield name;
  }

  /** A document is loaded. */
  loaded(name: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    entry.isLoaded = true;
    for (const end of [...entry.waiting]) end();
  }

  /** Another instance has nothing loaded: has it load everything that was. */
  renew(begin: (name: string) => DocHandle): void {
    for (const [name, entry] of this.#entries) {
      entry.isLoaded = false;
      entry.doc.adopt(begin(name));
    }
  }

  /** Whether everything is loaded that is open. */
  get areLoaded(): boolean {
    return [...this.#entries.values()].every(({ isLoaded }) => isLoaded);
  }

  /** Those that are open. */
  all(): Document[] {
    return [...this.#entries.values()].map(({ doc }) => doc);
  }

  /** Those that are not loaded will not be. */
  fail(error: HeadwaterError): void {
    for (const [name, entry] of this.#entries) if (!entry.isLoaded) this.unload(name, error);
  }

  /** This one cannot be had, or not any longer, whether it was loaded or not. Opening it again tries anew. */
  unload(name: string, error: HeadwaterError): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    this.#entries.delete(name);
    entry.doc.end(error);
    for (const end of [...entry.waiting]) end(error);
  }

  /** Lets go of a document; at the end of the transaction, if one is open: what it wrote must not be lost. */
  close(doc: Document): void {
    if (!this.#has(doc) || this.#engine.death !== undefined) return;
    this.#closing.add(doc);
    this.#engine.transactions.atEnd(() => this.#close(doc));
  }

  #close(doc: Document): void {
    this.#closing.delete(doc);
    if (!this.#has(doc) || this.#engine.death !== undefined) return;
    const message = `document ${JSON.stringify(doc.name)} was closed; open it again with db.doc()`;
    this.unload(doc.name, new HeadwaterError("CLOSED", message));
    this.#engine.driver.input((replica, now) => replica.closeDoc(doc.name, now));
  }

  /** Whether this is the document that is open under its name. */
  #has(doc: Document): boolean {
    return this.#entries.get(doc.name)?.doc === doc;
  }

  #begin(name: string): Entry {
    const handle = this.#engine.driver.input((replica, now) => replica.openDoc(name, now));
    const entry: Entry = { doc: new Document(this.#engine, name, handle), isLoaded: false, waiting: new Set() };
    this.#entries.set(name, entry);
    return entry;
  }
}

function waitForLoad(entry: Entry, timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    let unlisten = () => {};
    const end = (error?: HeadwaterError) => {
      clearTimeout(timer);
      unlisten();
      entry.waiting.delete(end);
      if (error === undefined) resolve();
      else reject(error);
    };
    const message = `document ${JSON.stringify(entry.doc.name)} was not read from local storage within ${timeoutMs} ms`;
    const timer = setTimeout(() => end(new HeadwaterError("TIMEOUT", message)), Math.min(timeoutMs, TIMER_MS_MAX));
    entry.waiting.add(end);
    unlisten = onAbort(signal, end);
  });
}
