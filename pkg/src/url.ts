/** Where a database's sockets are, from what the user says of its nodes. */

import { malformed } from "./errors.js";

const SECURE: Readonly<Record<string, string>> = { "http:": "ws:", "https:": "wss:", "ws:": "ws:", "wss:": "wss:" };

/** The addresses of the sync sockets, one for each node. */
export function syncUrls(url: string | readonly string[], database: string): string[] {
  return (typeof url === "string" ? [url] : url).map((each) => syncUrl(each, database));
}

/** In a browser `url` may be relative to the page. Where one address serves several nodes, `?member=` picks one. */
function syncUrl(url: string, database: string): string {
  const page = (globalThis as { location?: { href?: string } }).location?.href;
  const parsed = parse(url, page?.startsWith("http") ? page : undefined);
  const protocol = SECURE[parsed.protocol];
  if (protocol === undefined) throw malformed(`url is ${JSON.stringify(url)}; it begins with https:, wss:, http: or ws:`);
  const query = [...parsed.searchParams.keys()];
  if (query.length > 1 || (query[0] ?? "member") !== "member" || parsed.hash !== "") {
    throw malformed("url has no fragment, and no query but ?member=");
  }
  const path = parsed.pathname.replace(/\/+$/, "");
  return `${protocol}//${parsed.host}${path}/v1/${encodeURIComponent(database)}/sync${parsed.search}`;
}

function parse(url: string, base: string | undefined): URL {
  try {
    return new URL(url, base);
  } catch (cause) {
    throw Object.assign(malformed(`url is ${JSON.stringify(url)}, which is no address`), { cause });
  }
}
