/**
 * Which database an object holds: told by the first request, and kept, since what wakes an object later may be a message
 * that does not say it.
 */

import type { EdgeSql } from "./cloudflare.js";

/** The database's name, if it was ever kept here. Asking makes nothing. */
export function databaseOf(sql: EdgeSql): string | undefined {
  const [table] = sql.exec("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'identity'");
  if (table === undefined) return undefined;
  const [row] = sql.exec<{ database: string }>("SELECT database FROM identity");
  return row?.database;
}

/** Keeps it, once. */
export function keepDatabase(sql: EdgeSql, database: string): void {
  if (database === "" || databaseOf(sql) !== undefined) return;
  sql.exec("CREATE TABLE IF NOT EXISTS identity (id INTEGER PRIMARY KEY, database TEXT NOT NULL)");
  sql.exec("INSERT OR REPLACE INTO identity (id, database) VALUES (1, ?)", database);
}
