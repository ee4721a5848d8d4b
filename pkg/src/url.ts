/** Where a database's socket is, from what the user says of the leader. */

import { malformed } from "./errors.js";

const SECURE: Readonly<Record<string, string>> = { "http:": "ws:", "https:": "wss:", "ws:": "ws:", "wss:": "wss:" };

/** The address of the sync socket. In a browser `url` may be relative to the page. */
export function syncUrl(url: string, database: string): string {
  const page = (globalThis as { location?: { href?: string } }).location?.href;
  const parsed = parse(url, page?.startsWith("http") ? page : undefined);
  const protocol = SECURE[parsed.protocol];
  if (protocol === undefined) throw malformed(`url is ${JSON.stringify(url)}; it begins with https:, wss:, http: or ws:`);
  if (parsed.search !== "" || parsed.hash !== "") throw malformed("url has no query and no fragment");
  const path = parsed.pathname.replace(/\/+$/, "");
  return `${protocol}//${parsed.host}${path}/v1/${encodeURIComponent(database)}/sync`;
}

function parse(url: string, base: string | undefined): URL {
  try {
    return new URL(url, base);
  } catch (cause) {
    throw Object.assign(malformed(`url is ${JSON.stringify(url)}, which is no address`), { cause });
  }
}
