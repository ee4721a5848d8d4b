/**
 * The transactions of one database. All that is written between the outermost begin and its end, in however many
 * documents, is one write with one receipt; afterwards, and never within wasm, observers are told.
 */

import type { Document } from "./document.js";
import type { Engine } from "./engine.js";
import { malformed, reportUncaught, toHeadwaterError } from "./errors.js";
import { Receipt } from "./receipt.js";
import type { TransactOptions } from "./types.js";

interface Open {
  readonly receipt: Receipt;
  readonly touched: Set<Document>;
  /** What waits for its end, observers included. */
  readonly afterwards: (() => void)[];
}

/** The transactions of one database. */
export class Transactions {
  readonly #engine: Engine;
  readonly #untold: (() => void)[] = [];
  #open: Open | undefined;
  #isReading = false;
  #isTelling = false;

  /** One for each database. */
  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Runs one operation on a document, in a transaction of its own if none is open. */
  mutate<T>(doc: Document, f: () => T): T {
    return this.#within({}, (open) => {
      open.touched.add(doc);
      return f();
    });
  }

  /** Runs a user's function as one transaction, or as a part of the open one, whose receipt it then answers. */
  transact(f: () => unknown, options: TransactOptions): Receipt {
    return this.#within(options, ({ receipt }) => {
      const answer = f();
      if (isThenable(answer)) {
        throw malformed(
          "transact takes a function that is done when it returns; this one returned a promise, and only what it wrote before that is in the transaction",
        );
      }
      return receipt;
    });
  }

  /** Writes what an update has that a document has not; the receipt of the last write it takes, or nothing if all is there. */
  import(doc: Document, update: Uint8Array): Receipt | undefined {
    const { driver, origin } = this.#engine;
    if (this.#open !== undefined || this.#isReading) throw malformed("a transaction is open; import after it");
    this.#engine.checkOpen();
    driver.ask((replica) => replica.checkWritable());
    const seq = driver.input((replica) => replica.importUpdate(doc.name, update, Date.now()));
    if (seq === undefined) return undefined;
    const receipt = new Receipt(this.#engine, {}, { origin, seq });
    this.#untold.push(doc.committed(receipt));
    this.#tellAll();
    return receipt;
  }

  /** Runs a user's function that may only read. */
  reading<T>(f: () => T): T {
    this.#isReading = true;
    try {
      return f();
    } finally {
      this.#isReading = false;
    }
  }

  /** Runs `f` now, or if a transaction is open when that is committed and told. */
  atEnd(f: () => void): void {
    if (this.#open === undefined) f();
    else this.#open.afterwards.push(f);
  }

  /** Has observers told what has happened to a document. */
  tell(tell: () => void): void {
    this.#untold.push(tell);
    this.#tellAll();
  }

  #within<T>(options: TransactOptions, f: (open: Open) => T): T {
    if (this.#open !== undefined) return f(this.#open);
    this.#engine.checkOpen();
    if (this.#isReading) throw malformed("the function of session.read may only read; write before or after it");
    // Before anything is applied: what is applied cannot be taken back.
    this.#engine.driver.ask((replica) => replica.checkWritable());
    const receipt = new Receipt(this.#engine, options);
    const open: Open = { receipt, touched: new Set(), afterwards: [] };
    this.#open = open;
    try {
      return f(open);
    } finally {
      this.#open = undefined;
      // Also when `f` threw: what it had written stays written, as in Yjs.
      this.#commit(open);
    }
  }

  #commit({ receipt, touched, afterwards }: Open): void {
    const { driver, death, origin } = this.#engine;
    // The write ended with the instance.
    if (death !== undefined) return receipt.lose(death);
    let seq: bigint | undefined;
    try {
      seq = driver.commit();
    } catch (error) {
      receipt.lose(toHeadwaterError(error, "INTERNAL", "the transaction could not be committed"));
      throw error;
    }
    receipt.settle(seq === undefined ? null : { origin, seq });
    if (seq !== undefined) for (const doc of touched) this.#untold.push(doc.committed(receipt));
    this.#untold.push(...afterwards);
    this.#tellAll();
  }

  // What observers write is told after what they are being told, never in the middle of it.
  #tellAll(): void {
    if (this.#isTelling || this.#open !== undefined) return;
    this.#isTelling = true;
    try {
      for (let tell = this.#untold.shift(); tell !== undefined; tell = this.#untold.shift()) {
        try {
          tell();
        } catch (error) {
          reportUncaught(error);
        }
      }
    } finally {
      this.#isTelling = false;
    }
  }
}

function isThenable(value: unknown): boolean {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}
