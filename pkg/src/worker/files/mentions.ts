/**
 * Hears which files documents refer to, from the rows of the log and of contents as they are committed. What it writes goes into the commit
 * of the row itself. It decodes nothing: the core tells documents and references apart.
 */

import type { StoreOp } from "../../effects.js";
import type { FileTables } from "./tables.js";

const PREFIX = new TextEncoder().encode("hw-file:");
const LAST = PREFIX.length - 1;

/** Looks at the rows of a commit that is about to be made. `parse` is the core's: document, id, document, id … */
export function noteMentions(
  ops: readonly StoreOp[],
  tables: FileTables,
  parse: (table: string, key: Uint8Array, row: Uint8Array) => string[],
): void {
  for (const { table, key, value } of ops) {
    if (value === undefined || !mayMention(value)) continue;
    const flat = parse(table, key, value);
    for (let at = 0; at + 1 < flat.length; at += 2) tables.mention(flat[at + 1] as string, flat[at] as string, Date.now());
  }
}

/** Whether there is a reference anywhere: hardly any row has one, and every row is looked at. */
export function mayMention(bytes: Uint8Array): boolean {
  // By its last byte, which is the rarest.
  for (let at = bytes.indexOf(PREFIX[LAST] as number, LAST); at >= 0; at = bytes.indexOf(PREFIX[LAST] as number, at + 1)) {
    if (PREFIX.every((byte, n) => bytes[at - LAST + n] === byte)) return true;
  }
  return false;
}
