/** Where a node's chunks are: in its SQLite, or in a bucket beside it. It knows numbers and bytes, and checks nothing. */

import type { EdgeSql } from "../cloudflare.js";

/** As much of an R2 bucket as is used. */
export interface Bucket {
  put(key: string, value: Uint8Array): Promise<unknown>;
  get(key: string): Promise<{ arrayBuffer(): Promise<ArrayBuffer> } | null>;
  delete(keys: string[]): Promise<void>;
}

/** As many keys as a bucket deletes at once. */
const KEYS_MAX = 1000;

/** Where the bytes of chunks are. That a chunk is held, the table says, which also has the bytes if there is no bucket. */
export class Chunks {
  readonly #sql: EdgeSql;
  readonly #bucket: Bucket | undefined;
  readonly #prefix: string;

  /** `prefix` sets this node's objects apart from those of others in the same bucket. */
  constructor(sql: EdgeSql, bucket: Bucket | undefined, prefix: string) {
    this.#sql = sql;
    this.#bucket = bucket;
    this.#prefix = prefix;
  }

  /** Brings bytes where they survive, where that is not the table; call {@link enter} afterwards. */
  async store(id: string, n: number, bytes: Uint8Array): Promise<void> {
    await this.#bucket?.put(this.#key(id, n), bytes);
  }

  /** Enters a chunk; answers whether it was not there. In the same turn as what depends on it. */
  enter(id: string, n: number, bytes: Uint8Array): boolean {
    if (this.isHeld(id, n)) return false;
    const value = this.#bucket === undefined ? bytes : null;
    this.#sql.exec("INSERT INTO file_chunks (id, n, value) VALUES (?, ?, ?)", id, n, value);
    return true;
  }

  /** Whether it is held. */
  isHeld(id: string, n: number): boolean {
    return [...this.#sql.exec("SELECT 1 FROM file_chunks WHERE id = ? AND n = ?", id, n)].length > 0;
  }

  /** The numbers of those that are held, ascending. */
  held(id: string): number[] {
    return [...this.#sql.exec<{ n: number }>("SELECT n FROM file_chunks WHERE id = ? ORDER BY n", id)].map(({ n }) => n);
  }

  /** The bytes of one, if it is held. */
  async read(id: string, n: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const query = "SELECT value FROM file_chunks WHERE id = ? AND n = ?";
    const [row] = this.#sql.exec<{ value: ArrayBuffer | null }>(query, id, n);
    if (row === undefined) return undefined;
    const value = row.value ?? (await (await this.#bucket?.get(this.#key(id, n)))?.arrayBuffer());
    return new Uint8Array(value ?? new ArrayBuffer(0));
  }

  /** Takes one out. */
  drop(id: string, n: number): void {
    this.#sql.exec("DELETE FROM file_chunks WHERE id = ? AND n = ?", id, n);
  }

  /** Takes all of a file out of the table; answers what is left in the bucket, for {@link sweep}. */
  dropAll(id: string): string[] {
    const keys = this.#bucket === undefined ? [] : this.held(id).map((n) => this.#key(id, n));
    this.#sql.exec("DELETE FROM file_chunks WHERE id = ?", id);
    return keys;
  }

  /** Takes objects out of the bucket. */
  async sweep(keys: readonly string[]): Promise<void> {
    for (let at = 0; at < keys.length; at += KEYS_MAX) await this.#bucket?.delete(keys.slice(at, at + KEYS_MAX));
  }

  #key(id: string, n: number): string {
    return `${this.#prefix}/${id}/${n}`;
  }
}
