/**
 * A backup into a database: its documents become writes like any other, some of them in one commit, and a document never in
 * two. Nothing of a document is written before it has proved whole. Whatever ends an import, it can be repeated: what is
 * there already changes nothing.
 */

import { partsOf, readBackup } from "../backup/format.js";
import { HeadwaterError, malformed } from "../errors.js";
import type { NodeHost } from "./host.js";
import { Writer } from "./host-writer.js";
import { BOOKMARK_HEADER, json } from "./http.js";

/** The largest document that one commit takes, which may gather 16 MiB. */
export const DOCUMENT_BYTES_MAX = 15 << 20;
/** What is gathered for one commit. */
const BATCH_BYTES_TARGET = 512 << 10;
const BATCH_DOCS_MAX = 1000;

/** Takes a backup in; answers how much it was once all of it is shown. */
export async function importBackup(host: NodeHost, { body }: Request): Promise<Response> {
  if (body === null) throw malformed("the body is a backup, and there is none");
  const writer = new Writer(host);
  const batch = { docs: [] as string[], updates: [] as Uint8Array[], bytes: 0 };
  const flush = async () => {
    if (batch.docs.length === 0) return;
    await writer.append(batch.docs.splice(0), batch.updates.splice(0));
    batch.bytes = 0;
  };
  const done = { documents: 0, bytes: 0 };
  try {
    for await (const part of readBackup(partsOf(body), { documentBytesMax: DOCUMENT_BYTES_MAX })) {
      if (part.kind !== "document") continue;
      if (batch.bytes + part.update.length > BATCH_BYTES_TARGET || batch.docs.length >= BATCH_DOCS_MAX) await flush();
      batch.docs.push(part.name);
      batch.updates.push(part.update);
      batch.bytes += part.update.length;
      done.documents += 1;
      done.bytes += part.update.length;
    }
    await flush();
  } catch (error) {
    if (!(error instanceof HeadwaterError)) throw error;
    // What is there stays, and is no harm: it is a part of what was asked for.
    const written = done.documents - batch.docs.length;
    const message = `${error.message} (${written} documents were imported before that)`;
    // Not of our storage, but of what was sent.
    if (error.code === "CORRUPT") return json({ code: error.code, message }, 400);
    throw new HeadwaterError(error.code, message, { cause: error });
  }
  const bookmark = writer.bookmark ?? (await host.bookmark());
  return json({ ...done, bookmark }, 200, { [BOOKMARK_HEADER]: bookmark });
}
