/** The open documents of one database, and those who wait for them to be loaded. */

import { Document } from "./document.js";
import type { Engine } from "./engine.js";
import { HeadwaterError, malformed } from "./errors.js";
import { onAbort } from "./waits.js";

interface Entry {
  readonly doc: Document;
  isLoaded: boolean;
  readonly waiting: Set<(error?: HeadwaterError) => void>;
}

/** The open documents of one database. */
export class Documents {
  readonly #engine: Engine;
  readonly #entries = new Map<string, Entry>();

  /** One for each database. */
  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Opens a document; resolves once its local copy is loaded. */
  async open(name: string, timeoutMs: number, signal: AbortSignal | undefined): Promise<Document> {
    this.#engine.checkOpen();
    if (typeof name !== "string") throw malformed("a document's name is a string");
    const entry = this.#entries.get(name) ?? this.#begin(name);
    if (!entry.isLoaded) await waitForLoad(entry, timeoutMs, signal);
    return entry.doc;
  }

  /** An open and loaded document. */
  get(name: string): Document | undefined {
    const entry = this.#entries.get(name);
    return entry?.isLoaded ? entry.doc : undefined;
  }

  /** A document is loaded. */
  loaded(name: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    entry.isLoaded = true;
    for (const end of [...entry.waiting]) end();
  }

  /** Those that are not loaded will not be; or only this one. */
  fail(error: HeadwaterError, only?: string): void {
    for (const [name, entry] of this.#entries) {
      if (entry.isLoaded || (only !== undefined && name !== only)) continue;
      this.#entries.delete(name);
      for (const end of [...entry.waiting]) end(error);
    }
  }

  /** Lets go of a document. */
  close(doc: Document): void {
    if (this.#entries.get(doc.name)?.doc !== doc || this.#engine.isClosed) return;
    this.#entries.delete(doc.name);
    this.#engine.driver.input((replica, now) => replica.closeDoc(doc.name, now));
  }

  /** Whether this is the document that is open under its name. */
  has(doc: Document): boolean {
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
    const timer = setTimeout(() => end(new HeadwaterError("TIMEOUT", message)), timeoutMs);
    entry.waiting.add(end);
    unlisten = onAbort(signal, end);
  });
}
