/** A node's tables in a Durable Object's SQLite. It knows keys and values, and not what they mean. */

import type { PersistEffect, ScanEffect } from "../effects.js";
import type { EdgeContext, EdgeSql } from "./cloudflare.js";

const TABLES: ReadonlySet<string> = new Set(["meta", "log", "origins", "docs", "contents", "times"]);

/** Whether a node has ever begun here. Asking makes nothing. */
export function hasTables(sql: EdgeSql): boolean {
  return [...sql.exec("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'meta'")].length > 0;
}

/** What is in a table. */
export interface TableSize {
  readonly rows: number;
  /** Of keys and values together. */
  readonly bytes: number;
}

/** A node's storage. */
export class SqlStore {
  readonly #storage: EdgeContext["storage"];
  readonly #sql: EdgeSql;

  /** Makes the tables where they are not there yet. */
  constructor(storage: EdgeContext["storage"]) {
    this.#storage = storage;
    this.#sql = storage.sql;
    for (const table of TABLES) {
      const columns = "key BLOB PRIMARY KEY, value BLOB NOT NULL";
      this.#sql.exec(`CREATE TABLE IF NOT EXISTS ${table} (${columns}) WITHOUT ROWID`);
    }
  }

  /** Makes all changes or none; resolves once they are on disk. */
  async commit(ops: PersistEffect["ops"]): Promise<void> {
    this.#storage.transactionSync(() => {
      for (const { table, key, value, to } of ops) {
        if (to !== undefined) this.#sql.exec(`DELETE FROM ${named(table)} WHERE key >= ? AND key < ?`, key, to);
        else if (value === undefined) this.#sql.exec(`DELETE FROM ${named(table)} WHERE key = ?`, key);
        else this.#sql.exec(`INSERT OR REPLACE INTO ${named(table)} (key, value) VALUES (?, ?)`, key, value);
      }
    });
    await this.#storage.sync();
  }

  /** Rows in key order, flat: key, value, key, value … Reading stops with the row that reaches the weight. */
  scan({ table, from, to, rows, bytes = Infinity }: ScanEffect): Uint8Array[] {
    const bindings: unknown[] = [from];
    let query = `SELECT key, value FROM ${named(table)} WHERE key >= ?`;
    if (to !== undefined) {
      query += " AND key < ?";
      bindings.push(to);
    }
    query += " ORDER BY key";
    if (rows !== undefined) {
      query += " LIMIT ?";
      bindings.push(rows);
    }
    const flat: Uint8Array[] = [];
    let weight = 0;
    for (const { key, value } of this.#sql.exec<{ key: ArrayBuffer; value: ArrayBuffer }>(query, ...bindings)) {
      flat.push(new Uint8Array(key), new Uint8Array(value));
      weight += key.byteLength + value.byteLength;
      if (weight >= bytes) break;
    }
    return flat;
  }

  /** What is in each table. It looks at every row, though not at what is in them: for those who ask, not for every commit. */
  sizes(): Record<string, TableSize> {
    const size = (table: string): TableSize => {
      const query = `SELECT count(*) AS rows, total(length(key) + length(value)) AS bytes FROM ${table}`;
      const [{ rows, bytes } = { rows: 0, bytes: 0 }] = this.#sql.exec<TableSize & object>(query);
      return { rows, bytes };
    };
    return Object.fromEntries([...TABLES].map((table) => [table, size(table)]));
  }

  /** What it takes on disk. */
  get bytes(): number {
    return this.#sql.databaseSize;
  }
}

/** Table names are written into queries, so only known ones are. */
function named(table: string): string {
  if (!TABLES.has(table)) throw new Error(`${table} is no table of a node`);
  return table;
}
