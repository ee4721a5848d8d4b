/** A database as a backup: document by document, each as of one position. No more than one of them is in memory. */

import { BackupWriter } from "../backup/format.js";
import type { DocQuery } from "./doc-query.js";
import type { NodeHost } from "./host.js";
import { BOOKMARK_HEADER, respond } from "./http.js";

/** An update that says nothing: no operations, no deletions. */
const EMPTY_BYTES = 2;

/** What backups are called on the way. */
export const BACKUP_TYPE = "application/vnd.headwater.backup";

/** Answers with the backup as it is made. `docs` are those that were asked for; none stands for all. */
export async function exportDatabase(
  host: NodeHost,
  database: string,
  query: DocQuery,
  docs: readonly string[],
  signal: AbortSignal,
): Promise<Response> {
  const { bookmark } = await host.query(undefined, query, signal);
  const parts = backup(host, database, bookmark, docs, query.timeoutMs);
  let isCancelled = false;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await parts.next();
        if (isCancelled) return;
        if (done === true) controller.close();
        else controller.enqueue(value);
      } catch (error) {
        if (isCancelled) return;
        console.error("headwater: an export ended early:", error);
        // It has no end, which tells whoever reads it.
        controller.error(error);
      }
    },
    async cancel() {
      isCancelled = true;
      await parts.return(undefined);
    },
  });
  return respond(body, 200, {
    "content-type": BACKUP_TYPE,
    "content-disposition": `attachment; filename*=UTF-8''${encodeURIComponent(database)}.hwbackup`,
    [BOOKMARK_HEADER]: bookmark,
  });
}

async function* backup(
  host: NodeHost,
  database: string,
  at: string,
  docs: readonly string[],
  timeoutMs: number,
): AsyncGenerator<Uint8Array> {
  const writer = new BackupWriter();
  const generation = host.status().generation.toString(16).padStart(16, "0");
  yield await writer.begin({ database, generation, bookmark: at, createdAt: new Date().toISOString() });
  for await (const name of docs.length > 0 ? docs : namesOf(host, at)) {
    const query: DocQuery = { bookmark: undefined, isStrong: false, timeoutMs, format: "update", at };
    const { update } = await host.query(name, query);
    // One of which only later entries exist was empty then.
    if (update !== undefined && update.length > EMPTY_BYTES) yield* writer.document({ name, update });
  }
  yield await writer.end();
}

async function* namesOf(host: NodeHost, at: string): AsyncGenerator<string> {
  let after: string | undefined;
  do {
    const names: readonly string[] = await host.listDocs(after, at);
    yield* names;
    after = names.at(-1);
  } while (after !== undefined);
}
