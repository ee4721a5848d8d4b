/** A document's past, as its nodes tell it over HTTP. The replica itself keeps none. */

import { type ErrorCode, HeadwaterError, malformed } from "./errors.js";
import type { WaitOptions } from "./types.js";

const TIMEOUT_MS = 30_000;
const BOOKMARK_HEADER = "headwater-bookmark";

/** A moment of a database's past: a bookmark, or a time by the node's clock. */
export type Moment = string | Date | number;

/** A document as it was. */
export interface Past {
  /** Everything as plain data. */
  readonly value: Record<string, unknown>;
  /** The position that was taken: for a time, the last one before it. */
  readonly bookmark: string;
}

/** What a restoration did. */
export interface Restored {
  /** The position that was restored. */
  readonly at: string;
  /** A session that begins from it shows the restored document. */
  readonly bookmark: string;
  /** Whether anything differed. */
  readonly isChanged: boolean;
}

/** The past of one document: `db.history(name)`. */
export class History {
  readonly #urls: readonly string[];
  readonly #doc: string;

  /** Made by the database. The addresses are those of its sync sockets. */
  constructor(syncUrls: readonly string[], doc: string) {
    if (typeof doc !== "string") throw malformed("a document's name is a string");
    if (syncUrls.length === 0) throw malformed("the database was opened without a url: nodes keep the history, and there is none");
    this.#urls = syncUrls;
    this.#doc = doc;
  }

  /** The document as it was: at a bookmark exactly, at a time as the node showed it then or up to a second before. */
  async at(moment: Moment, options: WaitOptions = {}): Promise<Past> {
    const response = await this.#ask("docs", moment, "GET", options);
    return { value: await response.json(), bookmark: response.headers.get(BOOKMARK_HEADER) ?? "" };
  }

  /** The same as one update in encoding v1, for `Y.applyUpdate`. */
  async updateAt(moment: Moment, options: WaitOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    const response = await this.#ask("docs", moment, "GET", options, { accept: "application/octet-stream" });
    return new Uint8Array(await response.arrayBuffer());
  }

  /**
   * Brings the document back to what it showed then, by a new write that says only what differs: what others write
   * meanwhile merges with it, and nothing of what came since is lost from the history.
   */
  async restore(moment: Moment, options: WaitOptions = {}): Promise<Restored> {
    return (await this.#ask("restore", moment, "POST", options)).json();
  }

  async #ask(
    what: "docs" | "restore",
    moment: Moment,
    method: string,
    { timeoutMs = TIMEOUT_MS, signal }: WaitOptions,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    let failure = new HeadwaterError("OFFLINE", "no node is reached");
    for (const syncUrl of this.#urls) {
      const url = new URL(syncUrl.replace(/^ws/, "http"));
      const path = this.#doc.split("/").map(encodeURIComponent).join("/");
      url.pathname = url.pathname.replace(/sync$/, `${what}/${path}`);
      url.searchParams.set("at", momentOf(moment));
      const late = AbortSignal.timeout(timeoutMs);
      try {
        const response = await fetch(url, { method, headers, signal: signal === undefined ? late : AbortSignal.any([late, signal]) });
        if (response.ok) return response;
        failure = await failureOf(response);
        if (failure.code !== "NOT_LEADER" && failure.code !== "BUSY") throw failure;
      } catch (error) {
        if (error instanceof HeadwaterError) throw error;
        if (signal?.aborted) throw new HeadwaterError("ABORTED", "the caller gave up", { cause: error });
        if (late.aborted) throw new HeadwaterError("TIMEOUT", `the node did not answer within ${timeoutMs} ms`, { cause: error });
        failure = new HeadwaterError("OFFLINE", `no node is reached at ${url.origin}`, { cause: error });
      }
    }
    throw failure;
  }
}

/** What the query says of it. */
function momentOf(moment: Moment): string {
  if (typeof moment === "string" && moment !== "") return moment;
  const unixMs = Number(moment);
  if (typeof moment !== "string" && Number.isSafeInteger(Math.trunc(unixMs)) && unixMs >= 0) return String(Math.trunc(unixMs));
  throw malformed("a moment is a bookmark, a Date, or unix milliseconds");
}

async function failureOf(response: Response): Promise<HeadwaterError> {
  const { code, message } = (await response.json().catch(() => ({}))) as { code?: ErrorCode; message?: string };
  return new HeadwaterError(code ?? "INTERNAL", message ?? `the node answered ${response.status}`);
}
