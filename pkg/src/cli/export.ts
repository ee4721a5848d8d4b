/** `headwater export`: a database or a document into a file. */

import { createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import type { Writable } from "node:stream";
import { finished } from "node:stream/promises";

import { type BackupTotals, partsOf, readBackup } from "../backup/format.js";
import { malformed } from "../errors.js";
import { stream, urlsOf, URL_OPTION } from "./ask.js";
import type { Command } from "./command.js";
import { Progress, sizeOf } from "./progress.js";
import { SECRET_OPTION, secretOf } from "./secret.js";

/** The command. */
export const exportCommand: Command = {
  name: "export",
  operands: ["DATABASE"],
  summary: "Writes a database as a backup, all documents as of one moment.",
  options: {
    ...URL_OPTION,
    ...SECRET_OPTION,
    out: { value: "FILE", help: "where to; standard output unless that is a terminal" },
    doc: { value: "NAME", help: "only this document" },
    at: { value: "WHEN", help: "as of a bookmark or a time (2026-11-23T10:00:00Z, unix milliseconds) instead of now" },
    json: { help: "says what was written as one line of JSON" },
  },
  more: `The file is checked while it is written, and has its name only once it is whole. docs/backup.md describes it.
A single document as one Yjs update: \`headwater history DATABASE DOCUMENT --update --out FILE\`.`,
  async run(given) {
    const [database, secret, file] = [given.operand(0), secretOf(given), given.text("out")];
    if (file === undefined && process.stdout.isTTY) throw malformed("a backup is no text for a terminal: name a file with --out");
    if (file === undefined && given.has("json")) throw malformed("--json says on standard output what is in a file: name it with --out");
    const query = new URLSearchParams();
    for (const name of ["doc", "at"]) if (given.text(name) !== undefined) query.set(name, given.text(name) as string);
    const path = `/v1/${encodeURIComponent(database)}/export${query.size > 0 ? `?${query}` : ""}`;
    const response = await stream(urlsOf(given), path, { headers: { authorization: `Bearer ${secret}` } });
    const part = `${file}.part`;
    const out = file === undefined ? process.stdout : createWriteStream(part);
    const progress = new Progress(given.has("json"));
    let totals: BackupTotals | undefined;
    try {
      totals = await copy(partsOf(response.body as ReadableStream<Uint8Array>), out, progress);
      if (file !== undefined) {
        out.end();
        await finished(out);
        await rename(part, file);
      }
    } catch (error) {
      out.destroy();
      if (file !== undefined) await rm(part, { force: true });
      throw error;
    } finally {
      progress.end();
    }
    const bookmark = response.headers.get("headwater-bookmark");
    if (given.has("json")) console.log(JSON.stringify({ ...totals, bookmark, file }));
    else console.error(`${totals.documents} documents, ${sizeOf(totals.bytes)}, as of ${bookmark}`);
    return 0;
  },
};

/** Writes what comes, and reads it as it passes: what is cut off on its way must not be taken for a backup. */
async function copy(parts: AsyncIterable<Uint8Array>, out: Writable, progress: Progress): Promise<BackupTotals> {
  const totals = { documents: 0, bytes: 0 };
  for await (const part of readBackup(passing(parts, out))) {
    if (part.kind !== "document") continue;
    totals.documents += 1;
    totals.bytes += part.update.length;
    progress.tell(`${totals.documents} documents, ${sizeOf(totals.bytes)}: ${part.name}`);
  }
  return totals;
}

async function* passing(parts: AsyncIterable<Uint8Array>, out: Writable): AsyncGenerator<Uint8Array> {
  let failure: Error | undefined;
  out.once("error", (error: Error) => (failure = error));
  for await (const part of parts) {
    if (!out.write(part)) await new Promise((resolve) => out.once("drain", resolve).once("error", resolve));
    if (failure !== undefined) throw failure;
    yield part;
  }
}
