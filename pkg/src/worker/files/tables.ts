/** What a node knows of files, in tables of its own beside those of its log: made when the first file is heard of. */

import type { EdgeSql } from "../cloudflare.js";

const TABLES = [
  `files (id TEXT PRIMARY KEY, size INTEGER NOT NULL, type TEXT NOT NULL, hashes BLOB NOT NULL, missing INTEGER NOT NULL,
    touched_ms INTEGER NOT NULL, unreferenced_ms INTEGER)`,
  "file_chunks (id TEXT NOT NULL, n INTEGER NOT NULL, value BLOB, PRIMARY KEY (id, n))",
  "file_mentions (id TEXT NOT NULL, doc TEXT NOT NULL, at_ms INTEGER NOT NULL, PRIMARY KEY (id, doc)) WITHOUT ROWID",
  "file_holders (id TEXT NOT NULL, member TEXT NOT NULL, PRIMARY KEY (id, member)) WITHOUT ROWID",
];

/** No file has this id. */
const NOBODY = "";

/** A file, as the table has it. */
export interface NodeFile {
  readonly id: string;
  readonly size: number;
  readonly type: string;
  readonly hashes: Uint8Array<ArrayBuffer>;
  /** How many chunks are missing. */
  readonly missing: number;
  /** When it was last announced, brought or mentioned. */
  readonly touchedMs: number;
  /** When a sweep first found that no document refers to it; `null` if none has. */
  readonly unreferencedMs: number | null;
}

/** The tables of files. */
export class FileTables {
  readonly #sql: EdgeSql;
  #isMade: boolean;
  /** Called when the tables are made: the first time that this storage hears of a file. */
  onMade: () => void = () => undefined;

  /** Makes nothing. */
  constructor(sql: EdgeSql) {
    this.#sql = sql;
    this.#isMade = [...sql.exec("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'file_holders'")].length > 0;
  }

  /** Whether a file was ever heard of here. */
  get isMade(): boolean {
    return this.#isMade;
  }

  /** Makes the tables. */
  make(): void {
    if (this.#isMade) return;
    for (const table of TABLES) this.#sql.exec(`CREATE TABLE IF NOT EXISTS ${table}`);
    this.#isMade = true;
    this.onMade();
  }

  /** A file. */
  find(id: string): NodeFile | undefined {
    if (!this.#isMade) return undefined;
    const [row] = this.#sql.exec<Row>(`SELECT ${COLUMNS} FROM files WHERE id = ?`, id);
    return row && fileOf(row);
  }

  /** How many there are, and what they weigh. */
  totals(): { count: number; bytes: number } {
    if (!this.#isMade) return { count: 0, bytes: 0 };
    const [totals] = this.#sql.exec<{ count: number; bytes: number }>(
      "SELECT COUNT(*) AS count, COALESCE(SUM(size), 0) AS bytes FROM files",
    );
    return totals ?? { count: 0, bytes: 0 };
  }

  /** Enters a file of which nothing is here. */
  insert(file: Omit<NodeFile, "unreferencedMs">): void {
    this.make();
    this.#sql.exec(
      "INSERT OR IGNORE INTO files (id, size, type, hashes, missing, touched_ms) VALUES (?, ?, ?, ?, ?, ?)",
      file.id, file.size, file.type, file.hashes, file.missing, file.touchedMs,
    );
  }

  /** It was announced, brought or mentioned. */
  touch(id: string, nowMs: number): void {
    this.#sql.exec("UPDATE files SET touched_ms = ?, unreferenced_ms = NULL WHERE id = ?", nowMs, id);
  }

  /** A chunk came, or went. */
  missing(id: string, change: number): void {
    this.#sql.exec("UPDATE files SET missing = missing + ? WHERE id = ?", change, id);
  }

  /** No document was found to refer to it. */
  unreferenced(id: string, nowMs: number): void {
    this.#sql.exec("UPDATE files SET unreferenced_ms = COALESCE(unreferenced_ms, ?) WHERE id = ?", nowMs, id);
  }

  /** Takes a file out, but for its chunks. */
  remove(id: string): void {
    for (const table of ["files", "file_mentions", "file_holders"]) this.#sql.exec(`DELETE FROM ${table} WHERE id = ?`, id);
  }

  /** Files that nothing has happened to since then, the longest first. */
  quietSince(unixMs: number, rows: number): NodeFile[] {
    if (!this.#isMade) return [];
    const quiet = "MAX(touched_ms, COALESCE(unreferenced_ms, 0))";
    const query = `SELECT ${COLUMNS} FROM files WHERE ${quiet} <= ? ORDER BY ${quiet} LIMIT ?`;
    return [...this.#sql.exec<Row>(query, unixMs, rows)].map(fileOf);
  }

  /** Since when nothing has happened to the file to which nothing has happened for longest. */
  get quietestMs(): number | undefined {
    if (!this.#isMade) return undefined;
    const [row] = this.#sql.exec<{ ms: number | null }>(
      "SELECT MIN(MAX(touched_ms, COALESCE(unreferenced_ms, 0))) AS ms FROM files",
    );
    return row?.ms ?? undefined;
  }

  /** A document refers to it, whether it is here already or not. */
  mention(id: string, doc: string, nowMs: number): void {
    this.make();
    this.#sql.exec("INSERT OR REPLACE INTO file_mentions (id, doc, at_ms) VALUES (?, ?, ?)", id, doc, nowMs);
    this.touch(id, nowMs);
  }

  /** The documents that have ever referred to it and were not found to have ceased to, with the times at which they did. */
  mentions(id: string): { doc: string; atMs: number }[] {
    if (!this.#isMade) return [];
    const query = "SELECT doc, at_ms FROM file_mentions WHERE id = ?";
    return [...this.#sql.exec<{ doc: string; at_ms: number }>(query, id)].map(({ doc, at_ms }) => ({ doc, atMs: at_ms }));
  }

  /** The document does not refer to it any more, unless it was said since. */
  unmention(id: string, doc: string, atMs: number): void {
    this.#sql.exec("DELETE FROM file_mentions WHERE id = ? AND doc = ? AND at_ms <= ?", id, doc, atMs);
  }

  /** Mentions of files that are not here, older than that, are of no use. */
  forgetMentions(unixMs: number): void {
    if (!this.#isMade) return;
    this.#sql.exec("DELETE FROM file_mentions WHERE at_ms <= ? AND id NOT IN (SELECT id FROM files)", unixMs);
  }

  /** A member holds all of it durably. */
  held(id: string, member: string): void {
    this.#sql.exec("INSERT OR IGNORE INTO file_holders (id, member) VALUES (?, ?)", id, member);
  }

  /** The other members that hold all of it. */
  holders(id: string): string[] {
    if (!this.#isMade) return [];
    return [...this.#sql.exec<{ member: string }>("SELECT member FROM file_holders WHERE id = ?", id)].map(({ member }) => member);
  }

  /** Whether all members have heard that this storage began without files. */
  get isTold(): boolean {
    return this.holders(NOBODY).length > 0;
  }

  /** They have. */
  told(): void {
    this.held(NOBODY, "all");
  }

  /** A member has lost its storage. */
  forgetHolder(member: string): void {
    if (this.#isMade) this.#sql.exec("DELETE FROM file_holders WHERE member = ?", member);
  }

  /** Files that are whole here and that a member is not known to hold. */
  unheldBy(member: string, rows: number): NodeFile[] {
    if (!this.#isMade) return [];
    const query = `SELECT ${COLUMNS} FROM files WHERE missing = 0 AND id NOT IN
      (SELECT id FROM file_holders WHERE member = ?) ORDER BY touched_ms LIMIT ?`;
    return [...this.#sql.exec<Row>(query, member, rows)].map(fileOf);
  }
}

interface Row {
  readonly id: string;
  readonly size: number;
  readonly type: string;
  readonly hashes: ArrayBuffer;
  readonly missing: number;
  readonly touched_ms: number;
  readonly unreferenced_ms: number | null;
}

const COLUMNS = "id, size, type, hashes, missing, touched_ms, unreferenced_ms";

function fileOf({ id, size, type, hashes, missing, touched_ms, unreferenced_ms }: Row): NodeFile {
  const bytes = new Uint8Array(hashes);
  return { id, size, type, hashes: bytes, missing, touchedMs: touched_ms, unreferencedMs: unreferenced_ms };
}
