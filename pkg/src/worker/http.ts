/** How answers and errors look over HTTP. It knows no database. */

import type { NodeStatus } from "../effects.js";
import { type ErrorCode, HeadwaterError } from "../errors.js";

/** The header that carries a bookmark in and out. */
export const BOOKMARK_HEADER = "headwater-bookmark";
/** Who of a group answers: its name, its role, and for how long what it shows may have been outdated. */
export const [MEMBER_HEADER, ROLE_HEADER, STALENESS_HEADER] = [
  "headwater-member",
  "headwater-role",
  "headwater-staleness-ms",
] as const;
/** The methods of what only reads. */
const READING = "GET, HEAD, OPTIONS";

const STATUS: Partial<Record<ErrorCode, number>> = {
  ABORTED: 499,
  BOOKMARK_LOST: 410,
  BUSY: 503,
  CLOSED: 503,
  MALFORMED: 400,
  NOT_FOUND: 404,
  // Sent to a member that cannot do it, and the message says who can.
  NOT_LEADER: 421,
  OFFLINE: 503,
  QUOTA: 507,
  RESUME: 503,
  STORAGE_UNAVAILABLE: 503,
  STRONG_UNAVAILABLE: 503,
  TIMEOUT: 504,
  TOO_LARGE: 413,
  TYPE: 409,
  VERSION: 400,
};

const CORS: Readonly<Record<string, string>> = {
  "access-control-allow-origin": "*",
  "access-control-expose-headers": [BOOKMARK_HEADER, MEMBER_HEADER, ROLE_HEADER, STALENESS_HEADER].join(", "),
};

/** An answer that pages of any site may read, and that nobody keeps. */
export function respond(body: BodyInit | null, status: number, headers: Record<string, string>): Response {
  return new Response(body, { status, headers: { ...CORS, "cache-control": "no-store", ...headers } });
}

/** Plain data as JSON. */
export function json(value: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return respond(JSON.stringify(value), status, { "content-type": "application/json", ...headers });
}

/** The headers that say who of a group answers. */
export function groupHeaders(group: NodeStatus["group"]): Record<string, string> {
  if (group === undefined) return {};
  const { me, role, stalenessMs } = group;
  const headers = { [MEMBER_HEADER]: me, [ROLE_HEADER]: role };
  return stalenessMs === undefined ? headers : { ...headers, [STALENESS_HEADER]: String(stalenessMs) };
}

/** An error as `{ code, message }`, with a fitting status. */
export function failure(error: unknown, otherStatus?: number): Response {
  const known = error instanceof HeadwaterError ? error : new HeadwaterError("INTERNAL", "the node failed; try again");
  const { code, message } = known;
  const status = otherStatus ?? STATUS[code] ?? 500;
  return json({ code, message }, status, status === 503 ? { "retry-after": "1" } : {});
}

/** The answer to a request with a method that the path does not know, or to the question which ones it knows. */
export function otherMethod(method: string, allow = READING): Response {
  if (method === "OPTIONS") {
    return respond(null, 204, {
      allow,
      "access-control-allow-methods": allow,
      "access-control-allow-headers": BOOKMARK_HEADER,
      "access-control-max-age": "86400",
    });
  }
  return json({ code: "MALFORMED", message: `${method} is not known here; use ${allow}` }, 405, { allow });
}

/** The same answer without its body, for HEAD. */
export function withoutBody(response: Response): Response {
  return new Response(null, response);
}
