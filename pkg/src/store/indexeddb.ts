/**
 * Storage in IndexedDB: one database per replica, one object store per table, binary keys. It knows how browsers lose
 * connections, and nothing of what the rows mean.
 */

import type { Guard, StoreOp } from "../effects.js";
import { HeadwaterError, toHeadwaterError } from "../errors.js";
import { browserStorage } from "./persistence.js";
import { limitBytes, type Range, type StorageInfo, type Store, TABLES } from "./store.js";

const VERSION = 1;
/** How long opening may take; a browser that blocks it does so for as long as another page holds on. */
const OPEN_MS_MAX = 10_000;
const ADVICE = 'pass storage: "memory" to open() to go on without it, knowing that nothing survives the page';
/** How browsers name what happens to a connection that they closed by force, and to a transaction of a page that was frozen. */
const LOST = new Set(["InvalidStateError", "AbortError", "UnknownError", "TimeoutError"]);

/** Storage in IndexedDB. */
export class IndexedDbStore implements Store {
  readonly isDurable = true;
  readonly #name: string;
  #connection: IDBDatabase | undefined;

  private constructor(name: string, connection: IDBDatabase) {
    this.#name = name;
    this.#adopt(connection);
  }

  /** Opens the storage of this name, and makes it where there is none. */
  static async open(name: string): Promise<IndexedDbStore> {
    return new IndexedDbStore(name, await connect(name, "create"));
  }

  // Everything is asked for at once, and nothing waits for an answer: a page may freeze at any moment, and a transaction that
  // waits for it holds up every other tab.
  async commit(ops: readonly StoreOp[], guard?: Guard): Promise<boolean> {
    const tables = new Set(ops.map((op) => op.table));
    if (guard !== undefined) tables.add(guard.table);
    try {
      await this.#run<void>([...tables], "readwrite", (transaction, done) => {
        if (guard !== undefined) {
          // Adding a row that is there aborts the transaction.
          const store = transaction.objectStore(guard.table);
          store.add(new Uint8Array(0), guard.key);
          store.delete(guard.key);
        }
        for (const { table, key, value, to } of ops) {
          const store = transaction.objectStore(table);
          if (to !== undefined) store.delete(IDBKeyRange.bound(key, to, false, true));
          else if (value === undefined) store.delete(key);
          else store.put(value, key);
        }
        transaction.oncomplete = () => done();
      });
    } catch (error) {
      if (guard !== undefined && isConstraint((error as HeadwaterError).cause)) return false;
      throw error;
    }
    return true;
  }

  async scan({ table, from, to, rows, bytes }: Range): Promise<Uint8Array[]> {
    const range = to === undefined ? IDBKeyRange.lowerBound(from) : IDBKeyRange.bound(from, to, false, true);
    return this.#run([table], "readonly", (transaction, done) => {
      const store = transaction.objectStore(table);
      // Two questions in one transaction see the same rows.
      const keys = store.getAllKeys(range, rows);
      const values = store.getAll(range, rows);
      // Not when it is complete: Chromium says so while a large answer is still on its way to the page.
      values.onsuccess = () => {
        const flat = keys.result.flatMap((key, at) => [
          new Uint8Array(key as ArrayBuffer),
          values.result[at] as Uint8Array,
        ]);
        done(limitBytes(flat, bytes));
      };
    });
  }

  async info(): Promise<StorageInfo> {
    return { kind: "indexeddb", ...(await browserStorage()) };
  }

  close(): void {
    this.#connection?.close();
    this.#connection = undefined;
  }

  /** Browsers close connections when they please; one that is found closed is opened again, once. */
  async #run<T>(
    tables: string[],
    mode: IDBTransactionMode,
    ask: (transaction: IDBTransaction, done: (answer: T) => void) => void,
  ): Promise<T> {
    try {
      return await this.#attempt(tables, mode, ask);
    } catch (error) {
      if (!isConnectionLost(error)) throw coded(error);
    }
    try {
      this.close();
      this.#adopt(await connect(this.#name, "reopen"));
      return await this.#attempt(tables, mode, ask);
    } catch (error) {
      throw coded(error);
    }
  }

  #attempt<T>(
    tables: string[],
    mode: IDBTransactionMode,
    ask: (transaction: IDBTransaction, done: (answer: T) => void) => void,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#connection === undefined) throw new DOMException("the connection is closed", "InvalidStateError");
      const transaction = this.#connection.transaction(tables, mode, { durability: "strict" });
      transaction.onabort = () => reject(transaction.error ?? new DOMException("the transaction aborted", "AbortError"));
      ask(transaction, resolve);
      // Without it the browser waits whether the page asks for more.
      transaction.commit();
    });
  }

  #adopt(connection: IDBDatabase): void {
    this.#connection = connection;
    const forget = () => {
      if (this.#connection === connection) this.#connection = undefined;
    };
    connection.onclose = forget;
    // Somebody wants to delete or upgrade the database: it must not wait for us.
    connection.onversionchange = () => {
      connection.close();
      forget();
    };
  }
}

/**
 * Opens a connection. At `reopen` a database that is not there any more is not made anew: what this replica knows to
 * be stored is gone with it, and an empty one in its place would hold frontiers without their data.
 */
function connect(name: string, purpose: "create" | "reopen"): Promise<IDBDatabase> {
  const { indexedDB } = globalThis;
  if (indexedDB === undefined) throw unavailable(`this host has no IndexedDB; ${ADVICE}`);
  return new Promise((resolve, reject) => {
    let isOver = false;
    const end = (error: unknown) => {
      isOver = true;
      clearTimeout(timer);
      reject(error);
    };
    const timer = setTimeout(() => {
      end(unavailable(`IndexedDB did not open ${name} within ${OPEN_MS_MAX} ms; close other tabs of this site, or ${ADVICE}`));
    }, OPEN_MS_MAX);
    let request: IDBOpenDBRequest;
    try {
      request = indexedDB.open(name, VERSION);
    } catch (error) {
      return end(coded(error));
    }
    request.onupgradeneeded = () => {
      if (purpose === "reopen") request.transaction?.abort();
      else for (const table of TABLES) request.result.createObjectStore(table);
    };
    // `onblocked` needs no answer: either the other page lets go, or the time is over.
    request.onerror = () => {
      const isGone = purpose === "reopen" && request.error?.name === "AbortError";
      end(isGone ? unavailable(`the storage ${name} was deleted while it was open; open the database again`) : coded(request.error));
    };
    request.onsuccess = () => {
      if (isOver) return request.result.close();
      clearTimeout(timer);
      resolve(request.result);
    };
  });
}

function isConnectionLost(error: unknown): boolean {
  return error instanceof DOMException && LOST.has(error.name);
}

function isConstraint(error: unknown): boolean {
  return error instanceof DOMException && error.name === "ConstraintError";
}

function coded(error: unknown): HeadwaterError {
  if (error instanceof DOMException && error.name === "QuotaExceededError") {
    const message = "the browser gives this site no more storage; what is written from now on is kept in memory only";
    return new HeadwaterError("QUOTA", message, { cause: error });
  }
  return toHeadwaterError(error, "STORAGE_UNAVAILABLE", "IndexedDB failed, as it does in some private windows");
}

function unavailable(message: string): HeadwaterError {
  return new HeadwaterError("STORAGE_UNAVAILABLE", message);
}
