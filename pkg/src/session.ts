/**
 * A session: the scope in which reads and writes keep their order. Its frontier is in the core; here a read waits, and
 * then reads and notes what it has seen in one turn.
 */

import type { Document } from "./document.js";
import type { ReadNote } from "./effects.js";
import type { Engine } from "./engine.js";
import { HeadwaterError, malformed } from "./errors.js";
import { checkFunction, checkRead, levelOf, timeoutOf } from "./options.js";
import type { Consistency, ReadOptions, ReadResult } from "./types.js";

/** How long `read` waits unless told otherwise. */
const READ_MS = 10_000;

/** The scope in which a client never reads behind what it has written and read. */
export class Session {
  readonly #engine: Engine;
  readonly #id: number;
  readonly #life: number;

  /** Made by `db.session()`. */
  constructor(engine: Engine, from: string | undefined) {
    engine.checkOpen();
    this.#engine = engine;
    this.#life = engine.life;
    this.#id = engine.driver.input((replica) => replica.beginSession(from));
  }

  /** What others must wait for to see what this session has written and read: text for a URL, a header or a cookie. */
  bookmark(): string {
    this.#checkLife();
    return this.#engine.driver.ask((replica) => replica.bookmark(this.#id));
  }

  /**
   * Waits until the local copy of a document is as consistent as asked, then calls `f` with it at once, and answers
   * what `f` answered and what it was worth. `f` reads and does not write. It waits 10 seconds by default.
   */
  async read<T>(docName: string, f: (doc: Document) => T, options: ReadOptions = {}): Promise<ReadResult<T>> {
    checkFunction(f, "read");
    this.#checkLife();
    const timeoutMs = timeoutOf(options, READ_MS, "consistency", "onTimeout");
    checkRead(options);
    const { consistency = "session", onTimeout = "throw", signal } = options;
    const [level, maxStalenessMs] = levelOf(consistency);
    const begin = performance.now();
    const doc = await this.#engine.documents.open(docName, timeoutMs, signal);
    const remainingMs = Math.max(timeoutMs - (performance.now() - begin), 0);
    this.#engine.checkOpen();
    this.#checkLife();
    return new Promise((resolve, reject) => {
      this.#engine.driver.wait(
        signal,
        (replica, id, now) =>
          replica.waitRead(id, this.#id, docName, level, maxStalenessMs, remainingMs, now),
        (error) => {
          if (error !== undefined && !(onTimeout === "stale" && isOver(error))) return reject(error);
          try {
            // In the turn in which the wait ended: the bookmark covers what `f` sees, and nothing else.
            resolve(this.#readNow(doc, f, consistency, error === undefined ? consistency : "eventual"));
          } catch (failure) {
            reject(failure);
          }
        },
      );
    });
  }

  /** Ends it. */
  close(): void {
    if (this.#engine.isClosed || this.#engine.death !== undefined || this.#engine.life !== this.#life) return;
    this.#engine.driver.input((replica) => replica.endSession(this.#id));
  }

  /** Ends it, at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** What it had written and read was known to the instance that it began in, and to no other. */
  #checkLife(): void {
    this.#engine.checkOpen();
    if (this.#engine.life === this.#life) return;
    const message = "the session ended when the database was made anew from storage; begin another one, from its last bookmark";
    throw new HeadwaterError("CLOSED", message);
  }

  #readNow<T>(doc: Document, f: (doc: Document) => T, asked: Consistency, met: Consistency): ReadResult<T> {
    const { driver, transactions } = this.#engine;
    const value = transactions.reading(() => f(doc));
    if (typeof (value as { then?: unknown } | null | undefined)?.then === "function") {
      throw malformed("read takes a function that is done when it returns; this one returned a promise");
    }
    const note = driver.input((replica, now) => replica.noteRead(this.#id, doc.name, now)) as ReadNote;
    return {
      value,
      meta: {
        asked,
        met,
        bookmark: note.bookmark,
        lag: { entries: note.entries, ms: note.staleness ?? null },
        servedBy: "local",
        pending: this.#engine.pending().count,
      },
    };
  }
}

function isOver(error: HeadwaterError): boolean {
  return error.code === "TIMEOUT" || error.code === "OFFLINE";
}
