/** The paths of a node, parsed once. */

import { malformed } from "../errors.js";
import { databaseNameProblem } from "../options.js";

/** What a path asks for. */
export type Target =
  | { readonly kind: "health" }
  | { readonly kind: "sync" | "status"; readonly database: string }
  | { readonly kind: "doc"; readonly database: string; readonly doc: string };

/** What a path asks for; `null` if it is none of ours. Throws for a name that cannot be. */
export function parsePath(pathname: string): Target | null {
  if (pathname === "/healthz") return { kind: "health" };
  const [root, version, rawDatabase, what, ...rest] = pathname.split("/");
  if (root !== "" || version !== "v1" || rawDatabase === undefined) return null;
  const isLeaf = rest.length === 0;
  if (what !== "docs" && !((what === "sync" || what === "status") && isLeaf)) return null;
  const database = decode(rawDatabase);
  const problem = databaseNameProblem(database);
  if (problem !== undefined) throw malformed(problem);
  if (what !== "docs") return { kind: what, database };
  return { kind: "doc", database, doc: rest.map(decode).join("/") };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw malformed(`${part} is not encoded as a part of an address is`);
  }
}
