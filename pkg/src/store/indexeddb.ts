/**
 * Storage in IndexedDB: one database per replica, one object store per table, binary keys. It knows how browsers lose
 * connections, and nothing of what the rows mean.
 */

import type { Guard, StoreOp } from "../effects.js";
import { HeadwaterError, toHeadwaterError } from "../errors.js";
import { browserStorage } from "./persistence.js";
import { limitBytes, type Range, type StorageInfo, type Store, StorageLost, type StoreLife, TABLES } from "./store.js";

/** 1: the tables. 2: {@link LIFE} besides. */
const VERSION = 2;
/** Which making of this storage it is, under `id`, and how often it was opened, under `openings`. */
const LIFE = "life";
/** How long opening may take; a browser that blocks it does so for as long as another page holds on. */
const OPEN_MS_MAX = 10_000;
/** The pauses between attempts to open it again, which double, from the first to the last. */
const REOPEN_PAUSE_MS = 50;
const REOPEN_PAUSE_MS_MAX = 1_600;
const ADVICE = 'pass storage: "memory" to open() to go on without it, knowing that nothing survives the page';
/** How browsers name what happens to a connection that they closed by force, and to a transaction of a page that was frozen. */
const LOST = new Set(["InvalidStateError", "AbortError", "UnknownError", "TimeoutError"]);
const QUOTA = "QuotaExceededError";

interface Connected {
  readonly connection: IDBDatabase;
  readonly life: StoreLife;
}

/** Storage in IndexedDB. */
export class IndexedDbStore implements Store {
  readonly isDurable = true;
  readonly life: StoreLife;
  onFailure: ((error: HeadwaterError) => void) | undefined;
  readonly #name: string;
  #connection: IDBDatabase | undefined;
  #reopening: Promise<void> | undefined;
  #isClosed = false;

  private constructor(name: string, { connection, life }: Connected) {
    this.#name = name;
    this.life = life;
    this.#adopt(connection);
  }

  /** Opens the storage of this name, and makes it where there is none. */
  static async open(name: string): Promise<IndexedDbStore> {
    return new IndexedDbStore(name, await connect(name, undefined));
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
    this.#isClosed = true;
    this.#connection?.close();
    this.#connection = undefined;
  }

  /** Browsers close connections when they please: one that is found closed is opened again, and what it was for tried again, once. */
  async #run<T>(
    tables: string[],
    mode: IDBTransactionMode,
    ask: (transaction: IDBTransaction, done: (answer: T) => void) => void,
  ): Promise<T> {
    try {
      return await this.#attempt(tables, mode, ask);
    } catch (error) {
      if (this.#isClosed || !isWorthAnotherTry(error)) throw coded(error);
      // What aborts for want of space leaves the connection as it is.
      if ((error as DOMException).name !== QUOTA) this.#forget(this.#connection);
    }
    try {
      if (this.#connection === undefined) await this.#reopen();
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

  #reopen(): Promise<void> {
    this.#reopening ??= this.#connectAgain()
      .then(({ connection }) => {
        if (this.#isClosed) connection.close();
        else this.#adopt(connection);
      })
      .finally(() => {
        this.#reopening = undefined;
      });
    return this.#reopening;
  }

  /** While a browser clears storage it closes what is being opened, too. */
  async #connectAgain(): Promise<Connected> {
    for (let pauseMs = REOPEN_PAUSE_MS; ; pauseMs *= 2) {
      try {
        return await connect(this.#name, this.life);
      } catch (error) {
        const isPassing = isWorthAnotherTry(error) || isWorthAnotherTry((error as Error).cause);
        if (!isPassing || this.#isClosed || pauseMs > REOPEN_PAUSE_MS_MAX) throw error;
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
  }

  #adopt(connection: IDBDatabase): void {
    this.#connection = connection;
    // Looked after at once: that storage is gone is told now, and not with the next write.
    const look = () => {
      this.#forget(connection);
      if (!this.#isClosed) this.#reopen().catch((error: unknown) => this.#isClosed || this.onFailure?.(coded(error)));
    };
    connection.onclose = look;
    // Somebody wants to delete or upgrade the database: it must not wait for us. Opening it anew waits for that.
    connection.onversionchange = look;
  }

  #forget(connection: IDBDatabase | undefined): void {
    connection?.close();
    if (this.#connection === connection) this.#connection = undefined;
  }
}

/**
 * Opens a connection. With `life` it must be the same storage as before: one that was deleted is not made anew, and one that
 * another page has made anew is not used, since what this replica knows to be stored is not in it.
 */
async function connect(name: string, life: StoreLife | undefined): Promise<Connected> {
  const { connection, isNew } = await request(name, life !== undefined);
  try {
    const found = await readLife(connection, isNew, life === undefined);
    if (life !== undefined && found.id !== life.id) throw lost(name);
    return { connection, life: found };
  } catch (error) {
    connection.close();
    throw error;
  }
}

function request(name: string, mustExist: boolean): Promise<{ connection: IDBDatabase; isNew: boolean }> {
  const indexedDB = factory();
  if (indexedDB === undefined) throw unavailable(`this host has no IndexedDB; ${ADVICE}`);
  return new Promise((resolve, reject) => {
    let isOver = false;
    let isNew = false;
    let isBlocked = false;
    const end = (error: unknown) => {
      isOver = true;
      clearTimeout(timer);
      reject(error);
    };
    const timer = setTimeout(() => {
      const why = isBlocked ? "another tab has it open with an older version of this site" : "the browser did not answer";
      end(unavailable(`IndexedDB did not open ${name} within ${OPEN_MS_MAX} ms: ${why}; close other tabs of this site, or ${ADVICE}`));
    }, OPEN_MS_MAX);
    let request: IDBOpenDBRequest;
    try {
      request = indexedDB.open(name, VERSION);
    } catch (error) {
      return end(coded(error));
    }
    request.onupgradeneeded = ({ oldVersion }) => {
      isNew = oldVersion === 0;
      // Who has given up by now must not leave anything behind.
      if (isOver || (isNew && mustExist)) return request.transaction?.abort();
      const { result } = request;
      const missing = [...TABLES, LIFE].filter((table) => !result.objectStoreNames.contains(table));
      for (const table of missing) result.createObjectStore(table);
      if (missing.includes(LIFE)) request.transaction?.objectStore(LIFE).put(crypto.randomUUID(), "id");
    };
    // Either the other page lets go, or the time is over.
    request.onblocked = () => {
      isBlocked = true;
    };
    request.onerror = () => {
      const isGone = mustExist && isNew && request.error?.name === "AbortError";
      end(isGone ? lost(name) : coded(request.error));
    };
    request.onsuccess = () => {
      if (isOver) return request.result.close();
      clearTimeout(timer);
      resolve({ connection: request.result, isNew });
    };
  });
}

/** Which storage it is; an opening is counted. */
function readLife(connection: IDBDatabase, isNew: boolean, counts: boolean): Promise<StoreLife> {
  return new Promise((resolve, reject) => {
    const transaction = connection.transaction(LIFE, counts ? "readwrite" : "readonly", { durability: "strict" });
    const store = transaction.objectStore(LIFE);
    const id = store.get("id");
    const openings = store.get("openings");
    openings.onsuccess = () => {
      if (counts) store.put((openings.result ?? 0) + 1, "openings");
    };
    transaction.onabort = () => reject(coded(transaction.error));
    transaction.oncomplete = () =>
      resolve({ id: id.result, openings: (openings.result ?? 0) + (counts ? 1 : 0), isNew });
  });
}

/** Pages of an opaque origin are refused the property itself. */
function factory(): IDBFactory | undefined {
  try {
    return globalThis.indexedDB;
  } catch (error) {
    throw coded(error);
  }
}

function isWorthAnotherTry(error: unknown): boolean {
  return error instanceof DOMException && (LOST.has(error.name) || error.name === QUOTA);
}

function isConstraint(error: unknown): boolean {
  return error instanceof DOMException && error.name === "ConstraintError";
}

function coded(error: unknown): HeadwaterError {
  if (error instanceof DOMException && error.name === "VersionError") {
    const message = "local storage was written by a newer version of headwater than this page has; reload the page, or update it";
    return new HeadwaterError("VERSION", message, { cause: error });
  }
  if (error instanceof DOMException && error.name === QUOTA) {
    const message = "the browser gives this site no more storage; what is written from now on is kept in memory only";
    return new HeadwaterError("QUOTA", message, { cause: error });
  }
  return toHeadwaterError(error, "STORAGE_UNAVAILABLE", "IndexedDB failed, as it does in some private windows");
}

function unavailable(message: string): HeadwaterError {
  return new HeadwaterError("STORAGE_UNAVAILABLE", message);
}

function lost(name: string): StorageLost {
  return new StorageLost(`the storage ${name} was deleted while it was open`);
}
