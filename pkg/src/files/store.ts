/** Local copies of files, as storage keeps them: rows, and chunks by number. It decides nothing. */

import type { PlainError } from "../errors.js";
import type { Stage } from "../types.js";

/** One local copy. */
export interface FileRow {
  /** Its own, since a stream's id is known at its end only. */
  readonly key: string;
  /** The file's id; `null` while it is being put. */
  readonly id: string | null;
  readonly size: number;
  readonly hashes: Uint8Array<ArrayBuffer>;
  readonly name: string;
  readonly type: string;
  /** Whether every chunk is here. */
  readonly isWhole: boolean;
  /** What the chunks that are here weigh. */
  readonly heldBytes: number;
  /** How far it has come; of a file that was received, as far as is known. */
  readonly stage: Stage | "rejected";
  /** Whether the leader's side keeps it, so that it need not be sent and may be evicted. */
  readonly isSafe: boolean;
  readonly error: PlainError | null;
  readonly addedAtMs: number;
  readonly usedAtMs: number;
}

/** A chunk with its number. */
export type Chunk = readonly [n: number, bytes: Uint8Array<ArrayBuffer>];

/** Where copies are kept. Every change is durable when its promise resolves. */
export interface FileStore {
  /** Whether it survives the process. */
  readonly isDurable: boolean;
  /** All rows. */
  rows(): Promise<FileRow[]>;
  /** The row of a file, if there is one. */
  find(id: string): Promise<FileRow | undefined>;
  /** Writes a row, and lets go of other copies, all or nothing. */
  put(row: FileRow, dropped?: readonly string[]): Promise<void>;
  /** Changes some fields of a row; one that is gone stays gone. */
  update(key: string, change: Partial<FileRow>): Promise<void>;
  /** Adds chunks, and their weight to the row; answers whether the row is there. */
  add(key: string, chunks: readonly Chunk[]): Promise<boolean>;
  /** The numbers of the chunks that are here, ascending. */
  held(key: string): Promise<number[]>;
  /** One chunk. */
  chunk(key: string, n: number): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Takes a damaged chunk out. */
  dropChunk(key: string, n: number, bytes: number): Promise<void>;
  /** Lets go of copies. */
  drop(keys: readonly string[]): Promise<void>;
  /** Ends it. */
  close(): void;
}

/** Copies in memory, for hosts and openings without storage. */
export class MemoryFileStore implements FileStore {
  readonly isDurable = false;
  readonly #rows = new Map<string, FileRow>();
  readonly #chunks = new Map<string, Map<number, Uint8Array<ArrayBuffer>>>();

  async rows(): Promise<FileRow[]> {
    return [...this.#rows.values()];
  }

  async find(id: string): Promise<FileRow | undefined> {
    return [...this.#rows.values()].find((row) => row.id === id);
  }

  async put(row: FileRow, dropped: readonly string[] = []): Promise<void> {
    await this.drop(dropped);
    this.#rows.set(row.key, row);
  }

  async update(key: string, change: Partial<FileRow>): Promise<void> {
    const row = this.#rows.get(key);
    if (row !== undefined) this.#rows.set(key, { ...row, ...change });
  }

  async add(key: string, chunks: readonly Chunk[]): Promise<boolean> {
    const row = this.#rows.get(key);
    if (row === undefined) return false;
    const held = this.#chunks.get(key) ?? new Map<number, Uint8Array<ArrayBuffer>>();
    this.#chunks.set(key, held);
    let { heldBytes } = row;
    for (const [n, bytes] of chunks) {
      if (!held.has(n)) heldBytes += bytes.length;
      held.set(n, bytes);
    }
    this.#rows.set(key, { ...row, heldBytes });
    return true;
  }

  async held(key: string): Promise<number[]> {
    return [...(this.#chunks.get(key)?.keys() ?? [])].sort((left, right) => left - right);
  }

  async chunk(key: string, n: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    return this.#chunks.get(key)?.get(n);
  }

  async dropChunk(key: string, n: number, bytes: number): Promise<void> {
    const row = this.#rows.get(key);
    if (row === undefined || this.#chunks.get(key)?.delete(n) !== true) return;
    this.#rows.set(key, { ...row, heldBytes: row.heldBytes - bytes, isWhole: false });
  }

  async drop(keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      this.#rows.delete(key);
      this.#chunks.delete(key);
    }
  }

  close(): void {
    this.#rows.clear();
    this.#chunks.clear();
  }
}
