/** What a request for a document asks for, checked. */

import { malformed } from "../errors.js";
import { BOOKMARK_HEADER } from "./http.js";

/** How long a request waits unless it says otherwise. */
const TIMEOUT_MS = 10_000;
/** How long it may ask to wait. */
const TIMEOUT_MS_MAX = 60_000;

/** A read over HTTP. */
export interface DocQuery {
  readonly bookmark: string | undefined;
  readonly isStrong: boolean;
  readonly timeoutMs: number;
  readonly format: "json" | "update";
  /** What to read as of: a bookmark, or a time in unix milliseconds. */
  readonly at?: string | undefined;
}

/** Reads the query string and the headers. */
export function parseDocQuery(url: URL, headers: Headers): DocQuery {
  const parameters = url.searchParams;
  const consistency = parameters.get("consistency") ?? "session";
  if (!["eventual", "session", "strong"].includes(consistency)) {
    throw malformed(`consistency is ${JSON.stringify(consistency)}; it can be eventual, session or strong`);
  }
  const bookmark = headers.get(BOOKMARK_HEADER) ?? parameters.get("bookmark") ?? undefined;
  return {
    // At `eventual` a bookmark is not waited for.
    bookmark: consistency === "eventual" || bookmark === "" ? undefined : bookmark,
    isStrong: consistency === "strong",
    timeoutMs: timeoutOf(parameters.get("timeout")),
    at: atOf(parameters.get("at")),
    format: formatOf(parameters.get("format"), headers.get("accept")),
  };
}

function timeoutOf(text: string | null): number {
  if (text === null) return TIMEOUT_MS;
  const timeoutMs = Number(text);
  if (/^\d+$/.test(text) && timeoutMs <= TIMEOUT_MS_MAX) return timeoutMs;
  throw malformed(`timeout is ${JSON.stringify(text)}; it is 0 to ${TIMEOUT_MS_MAX} milliseconds`);
}

/** A bookmark is never all digits: it begins with a letter. */
function atOf(text: string | null): string | undefined {
  if (text === null || text === "" || /^\d+$/.test(text)) return text || undefined;
  if (!/^\d{4}-\d\d/.test(text)) return text;
  const unixMs = Date.parse(text);
  if (unixMs >= 0) return String(unixMs);
  throw malformed(`at is ${JSON.stringify(text)}; it is a bookmark, a time as in 2026-11-23T10:00:00Z, or unix milliseconds`);
}

function formatOf(format: string | null, accept: string | null): "json" | "update" {
  if (format === null) return accept?.includes("application/octet-stream") ? "update" : "json";
  if (format === "json" || format === "update") return format;
  throw malformed(`format is ${JSON.stringify(format)}; it can be json or update`);
}
