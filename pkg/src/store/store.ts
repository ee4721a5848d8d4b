/**
 * Storage as a replica sees it: tables of ordered binary keys, atomic commits, range scans. An adapter holds no
 * decisions: which rows exist is decided in the core.
 */

import type { Guard, ScanEffect, StoreOp } from "../effects.js";
import { HeadwaterError } from "../errors.js";

/** What storage says of itself. */
export interface StorageInfo {
  /** Where rows are. */
  readonly kind: "indexeddb" | "memory";
  /** Whether the browser promised not to evict them; `null` while not known. */
  readonly persisted: boolean | null;
  /** Bytes this web site uses, as far as the browser tells. */
  readonly usage: number | null;
  /** Bytes this web site may use, as far as the browser tells. */
  readonly quota: number | null;
}

/** Which storage it is. Two that have the same name, one made after the other was deleted, have two lives. */
export interface StoreLife {
  readonly id: string;
  /** How often it was opened, this time too. */
  readonly openings: number;
  /** Whether this opening has made it. */
  readonly isNew: boolean;
}

/** Storage was deleted while it was open: nothing of it is left, and new storage can be had. */
export class StorageLost extends HeadwaterError {
  /** Made by a store. */
  constructor(message: string) {
    super("STORAGE_UNAVAILABLE", message);
  }
}

/** A range of rows, and how many at most. */
export type Range = Pick<ScanEffect, "table" | "from" | "to" | "rows" | "bytes">;

/** One open storage of one database. */
export interface Store {
  /** Whether a commit survives the process. */
  readonly isDurable: boolean;
  /** Which storage it is; `undefined` where it ends with the process. */
  readonly life?: StoreLife;
  /** Called when it finds by itself that it has failed, or is gone. */
  onFailure?: ((error: HeadwaterError) => void) | undefined;

  /**
   * Makes all changes or none; resolves once they are durable. Where the guarded row is there it makes none, and answers false:
   * nobody else changes anything between that look and the changes.
   */
  commit(ops: readonly StoreOp[], guard?: Guard): Promise<boolean>;

  /** Rows in key order, flat: key, value, key, value … */
  scan(range: Range): Promise<Uint8Array[]>;

  /** What it says of itself now. */
  info(): Promise<StorageInfo>;

  /** Ends it. Nothing is called afterwards. */
  close(): void;

  /** Storage that ends with the process: what an instance that died has left, for the next one. */
  reopen?(): Store;
}

/** The tables of a replica. */
export const TABLES = ["meta", "docs", "updates", "outbox", "streams"] as const;

/** Cuts flat rows after the first one that makes them weigh `bytes` or more; one row is always left. */
export function limitBytes(rows: Uint8Array[], bytes: number | undefined): Uint8Array[] {
  if (bytes === undefined) return rows;
  let weight = 0;
  for (let at = 0; at < rows.length; at += 2) {
    weight += (rows[at]?.length ?? 0) + (rows[at + 1]?.length ?? 0);
    if (weight >= bytes) return rows.slice(0, at + 2);
  }
  return rows;
}
