/** Storage that ends with the process. Only for those who asked for it: nothing in it ever counts as `local`. */

import type { Guard, StoreOp } from "../effects.js";
import { limitBytes, type Range, type StorageInfo, type Store } from "./store.js";

/** One table: rows by key, and the keys in order. */
class Table {
  readonly #rows = new Map<string, { key: Uint8Array; value: Uint8Array }>();
  #order: string[] | undefined;

  apply(key: Uint8Array, value: Uint8Array | undefined): void {
    const name = nameOf(key);
    if (value === undefined) {
      if (this.#rows.delete(name)) this.#order = undefined;
      return;
    }
    if (!this.#rows.has(name)) this.#order = undefined;
    this.#rows.set(name, { key, value });
  }

  has(key: Uint8Array): boolean {
    return this.#rows.has(nameOf(key));
  }

  removeRange(from: Uint8Array, to: Uint8Array): void {
    const [first, end] = [nameOf(from), nameOf(to)];
    for (const name of this.#rows.keys()) if (name >= first && name < end) this.#rows.delete(name);
    this.#order = undefined;
  }

  scan(from: Uint8Array, to: Uint8Array | undefined, limit: number): Uint8Array[] {
    // Sorted when it is next read: replicas read at the start and then hardly ever.
    this.#order ??= [...this.#rows.keys()].sort();
    const first = nameOf(from);
    const end = to === undefined ? undefined : nameOf(to);
    const found: Uint8Array[] = [];
    for (const name of this.#order) {
      if (end !== undefined && name >= end) break;
      if (found.length >= limit * 2) break;
      const row = name >= first ? this.#rows.get(name) : undefined;
      if (row !== undefined) found.push(row.key, row.value);
    }
    return found;
  }
}

/** Storage in memory. */
export class MemoryStore implements Store {
  readonly isDurable = false;
  readonly #tables: Map<string, Table>;

  /** Empty, or with the tables of an earlier one. */
  constructor(tables = new Map<string, Table>()) {
    this.#tables = tables;
  }

  async commit(ops: readonly StoreOp[], guard?: Guard): Promise<boolean> {
    if (guard !== undefined && this.#table(guard.table).has(guard.key)) return false;
    for (const { table, key, value, to } of ops) {
      if (to === undefined) this.#table(table).apply(key, value);
      else this.#table(table).removeRange(key, to);
    }
    return true;
  }

  async scan({ table, from, to, rows = Infinity, bytes }: Range): Promise<Uint8Array[]> {
    return limitBytes(this.#table(table).scan(from, to, rows), bytes);
  }

  async info(): Promise<StorageInfo> {
    return { kind: "memory", persisted: false, usage: null, quota: null };
  }

  close(): void {}

  reopen(): Store {
    return new MemoryStore(this.#tables);
  }

  #table(name: string): Table {
    const table = this.#tables.get(name) ?? new Table();
    this.#tables.set(name, table);
    return table;
  }
}

/** A key as a string of one character for each byte: strings compare as the bytes do. */
function nameOf(key: Uint8Array): string {
  let name = "";
  for (const byte of key) name += String.fromCharCode(byte);
  return name;
}
