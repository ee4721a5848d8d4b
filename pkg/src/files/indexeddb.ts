/**
 * Local copies of files in an IndexedDB of their own, so that the replica's storage and its layout know nothing of them.
 * Tabs share it. It decides nothing.
 */

import { HeadwaterError, toHeadwaterError } from "../errors.js";
import type { Chunk, FileRow, FileStore } from "./store.js";

const VERSION = 1;
const LOST = new Set(["InvalidStateError", "AbortError", "UnknownError", "TimeoutError"]);

type Ask<T> = (files: IDBObjectStore, chunks: IDBObjectStore, done: (answer: T) => void) => void;

/** Copies in IndexedDB. */
export class IndexedDbFileStore implements FileStore {
  readonly isDurable = true;
  readonly #name: string;
  #connection: Promise<IDBDatabase | undefined> | undefined;
  #isClosed = false;

  private constructor(name: string) {
    this.#name = name;
  }

  /** Opens the copies of this name; without `isMade` answers `undefined` where there are none yet. */
  static async open(name: string, isMade: boolean): Promise<IndexedDbFileStore | undefined> {
    const store = new IndexedDbFileStore(name);
    const connection = await store.#connect(isMade);
    return connection === undefined ? undefined : store;
  }

  rows(): Promise<FileRow[]> {
    return this.#run("readonly", (files, _, done) => answer(files.getAll(), done));
  }

  find(id: string): Promise<FileRow | undefined> {
    return this.#run("readonly", (files, _, done) => answer(files.index("id").get(id), done));
  }

  put(row: FileRow, dropped: readonly string[] = []): Promise<void> {
    return this.#change((files, chunks) => {
      for (const key of dropped) remove(files, chunks, key);
      files.put(row);
    });
  }

  update(key: string, change: Partial<FileRow>): Promise<void> {
    return this.#change((files) => {
      answer<FileRow | undefined>(files.get(key), (row) => row && void files.put({ ...row, ...change }));
    });
  }

  add(key: string, added: readonly Chunk[]): Promise<boolean> {
    return this.#run("readwrite", (files, chunks, done) => {
      answer<FileRow | undefined>(files.get(key), (row) => {
        if (row === undefined) return done(false);
        let { heldBytes } = row;
        let rest = added.length;
        if (rest === 0) return done(true);
        for (const [n, bytes] of added) {
          // Two tabs may receive the same chunk; it weighs once.
          answer(chunks.count([key, n]), (count) => {
            if (count === 0) heldBytes += bytes.length;
            chunks.put(bytes, [key, n]);
            rest -= 1;
            if (rest === 0) files.put({ ...row, heldBytes });
          });
        }
        files.transaction.oncomplete = () => done(true);
      });
    });
  }

  held(key: string): Promise<number[]> {
    return this.#run("readonly", (_, chunks, done) => {
      answer(chunks.getAllKeys(all(key)), (keys) => done(keys.map((each) => (each as [string, number])[1])));
    });
  }

  chunk(key: string, n: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    return this.#run("readonly", (_, chunks, done) => answer(chunks.get([key, n]), done));
  }

  dropChunk(key: string, n: number, bytes: number): Promise<void> {
    return this.#change((files, chunks) => {
      chunks.delete([key, n]);
      answer<FileRow | undefined>(files.get(key), (row) => {
        if (row !== undefined) files.put({ ...row, heldBytes: row.heldBytes - bytes, isWhole: false });
      });
    });
  }

  drop(keys: readonly string[]): Promise<void> {
    return this.#change((files, chunks) => {
      for (const key of keys) remove(files, chunks, key);
    });
  }

  close(): void {
    this.#isClosed = true;
    const connection = this.#connection;
    this.#connection = undefined;
    void connection?.then((each) => each?.close());
  }

  #change(ask: (files: IDBObjectStore, chunks: IDBObjectStore) => void): Promise<void> {
    return this.#run("readwrite", (files, chunks, done) => {
      files.transaction.oncomplete = () => done();
      ask(files, chunks);
    });
  }

  /** Browsers close connections when they please; one that is found closed is opened again, once. */
  async #run<T>(mode: IDBTransactionMode, ask: Ask<T>): Promise<T> {
    try {
      return await this.#attempt(mode, ask);
    } catch (error) {
      if (this.#isClosed || !(error instanceof DOMException && LOST.has(error.name))) throw coded(error);
    }
    const lost = this.#connection;
    this.#connection = undefined;
    void lost?.then((each) => each?.close(), () => undefined);
    try {
      return await this.#attempt(mode, ask);
    } catch (error) {
      throw coded(error);
    }
  }

  async #attempt<T>(mode: IDBTransactionMode, ask: Ask<T>): Promise<T> {
    if (this.#isClosed) throw new HeadwaterError("CLOSED", "the database was closed; open it again");
    const connection = await this.#connect(true);
    return new Promise((resolve, reject) => {
      if (connection === undefined) throw new DOMException("the connection is closed", "InvalidStateError");
      const transaction = connection.transaction(["files", "chunks"], mode, { durability: "strict" });
      transaction.onabort = () => reject(transaction.error ?? new DOMException("the transaction aborted", "AbortError"));
      ask(transaction.objectStore("files"), transaction.objectStore("chunks"), resolve);
    });
  }

  #connect(isMade: boolean): Promise<IDBDatabase | undefined> {
    this.#connection ??= connect(this.#name, isMade).then((connection) => {
      if (connection === undefined || this.#isClosed) {
        connection?.close();
        this.#connection = undefined;
        return undefined;
      }
      const forget = () => void (this.#connection = undefined);
      connection.onclose = forget;
      connection.onversionchange = () => {
        connection.close();
        forget();
      };
      return connection;
    });
    return this.#connection;
  }
}

function connect(name: string, isMade: boolean): Promise<IDBDatabase | undefined> {
  const { indexedDB } = globalThis;
  if (indexedDB === undefined) return Promise.reject(new HeadwaterError("STORAGE_UNAVAILABLE", "this host has no IndexedDB"));
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, VERSION);
    let isMissing = false;
    request.onupgradeneeded = () => {
      if (!isMade) {
        isMissing = true;
        return request.transaction?.abort();
      }
      request.result.createObjectStore("files", { keyPath: "key" }).createIndex("id", "id");
      request.result.createObjectStore("chunks");
    };
    request.onerror = () => (isMissing ? resolve(undefined) : reject(coded(request.error)));
    request.onsuccess = () => resolve(request.result);
  });
}

function answer<T>(request: IDBRequest<T>, done: (answer: T) => void): void {
  request.onsuccess = () => done(request.result);
}

function remove(files: IDBObjectStore, chunks: IDBObjectStore, key: string): void {
  files.delete(key);
  chunks.delete(all(key));
}

/** All chunks of a copy: a list sorts after every number. */
function all(key: string): IDBKeyRange {
  return IDBKeyRange.bound([key, 0], [key, []]);
}

function coded(error: unknown): HeadwaterError {
  if (error instanceof DOMException && error.name === "QuotaExceededError") {
    return new HeadwaterError("QUOTA", "the browser gives this site no more storage for files", { cause: error });
  }
  return toHeadwaterError(error, "STORAGE_UNAVAILABLE", "IndexedDB failed");
}
