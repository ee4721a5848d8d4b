/** A document back to what it was at a position or a time, as a new write: what came since stays in the log. */

import { malformed } from "../errors.js";
import type { DocQuery } from "./doc-query.js";
import type { NodeHost } from "./host.js";
import { Writer } from "./host-writer.js";
import { BOOKMARK_HEADER, json } from "./http.js";

/** Restores it; answers the position that was taken and the bookmark of the write. */
export async function restoreDocument(host: NodeHost, doc: string, query: DocQuery, signal: AbortSignal): Promise<Response> {
  if (query.at === undefined) throw malformed("at is missing: the bookmark or the time of what is to be restored");
  const then = await host.query(doc, { ...query, format: "update" }, signal);
  const now = await host.query(doc, { ...query, bookmark: then.bookmark, format: "update", at: undefined }, signal);
  const update = host.restoration(now.update as Uint8Array, then.update as Uint8Array);
  const bookmark = update === undefined ? now.bookmark : await new Writer(host).append([doc], [update]);
  return json({ at: then.bookmark, bookmark, isChanged: update !== undefined }, 200, { [BOOKMARK_HEADER]: bookmark });
}
