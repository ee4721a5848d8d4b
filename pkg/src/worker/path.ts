/** The paths of a node, parsed once. */

import { malformed } from "../errors.js";
import { isFileId } from "../files/manifest.js";
import { databaseNameProblem } from "../options.js";

/** What anybody may ask of a database. */
export type PublicTarget =
  | { readonly kind: "sync" | "status"; readonly database: string }
  | { readonly kind: "doc" | "restore"; readonly database: string; readonly doc: string }
  | FileTarget;

/** A file: what is known of it, the digests of its chunks, or one of them. */
export interface FileTarget {
  readonly kind: "file";
  readonly database: string;
  readonly id: string;
  readonly part: "hashes" | number | undefined;
}

/** What operators may have done. */
const COMMANDS = ["switchover", "promote", "topology"] as const;

/** What members of its group and operators may ask. */
export type PrivateTarget =
  | { readonly kind: "group" | "groupFiles"; readonly database: string }
  | { readonly kind: "admin"; readonly database: string; readonly command: (typeof COMMANDS)[number] };

/** What only operators may ask of the node itself. */
export type OperatorTarget = { readonly kind: "export" | "import"; readonly database: string };

/** What a path asks for. */
export type Target = { readonly kind: "health" | "metrics" } | PublicTarget | PrivateTarget | OperatorTarget;

/** Which methods a path knows, and how that is told where it is not what most do. */
export interface Methods {
  readonly methods: readonly string[];
  readonly allow?: string;
}

const READING: Methods = { methods: ["GET", "HEAD"] };
const POSTING: Methods = { methods: ["POST"], allow: "POST, OPTIONS" };
const METHODS: Partial<Record<Target["kind"], Methods>> = {
  group: POSTING,
  groupFiles: POSTING,
  admin: POSTING,
  import: POSTING,
  restore: POSTING,
  file: { methods: ["GET", "HEAD", "POST"], allow: "GET, HEAD, POST, OPTIONS" },
};

/** What may be asked of it. */
export function methodsOf(target: Target | null): Methods {
  return (target !== null && METHODS[target.kind]) || READING;
}

/** A member of a group as a part of the path, so that clients can be given it as their `url`. */
const MEMBER = /^\/members\/([^/]+)(?=\/v1\/)/;

/** Which member an address names, in its path or in its query. */
export function memberIn({ pathname, searchParams }: URL): string | null {
  const inPath = MEMBER.exec(pathname)?.[1];
  return inPath === undefined ? searchParams.get("member") : decode(inPath);
}

/** What a path asks for, whichever member it names; `null` if it is none of ours. Throws for a name that cannot be. */
export function parsePath(pathname: string): Target | null {
  if (pathname === "/healthz") return { kind: "health" };
  if (pathname === "/metrics") return { kind: "metrics" };
  const [root, version, rawDatabase, what, ...rest] = pathname.replace(MEMBER, "").split("/");
  if (root !== "" || version !== "v1" || rawDatabase === undefined) return null;
  const make = makerOf(what, rest);
  if (make === undefined) return null;
  const database = decode(rawDatabase);
  const problem = databaseNameProblem(database);
  if (problem !== undefined) throw malformed(problem);
  return make(database);
}

function makerOf(what: string | undefined, rest: readonly string[]): ((database: string) => Target) | undefined {
  const [command] = rest;
  switch (what) {
    case "sync":
    case "group":
      if (command === "files" && rest.length === 1) return (database) => ({ kind: "groupFiles", database });
      return rest.length === 0 ? (database) => ({ kind: what, database }) : undefined;
    case "status":
    case "export":
    case "import":
      return rest.length === 0 ? (database) => ({ kind: what, database }) : undefined;
    case "admin":
      return adminOf(rest.length === 1 ? COMMANDS.find((known) => known === command) : undefined);
    case "files":
      return fileOf(rest);
    case "docs":
      return (database) => ({ kind: "doc", database, doc: rest.map(decode).join("/") });
    case "restore":
      return (database) => ({ kind: what, database, doc: rest.map(decode).join("/") });
    default:
      return undefined;
  }
}

function adminOf(command: (typeof COMMANDS)[number] | undefined): ((database: string) => Target) | undefined {
  return command === undefined ? undefined : (database) => ({ kind: "admin", database, command });
}

function fileOf([id, part, ...rest]: readonly string[]): ((database: string) => Target) | undefined {
  if (id === undefined || !isFileId(id) || rest.length > 0) return undefined;
  if (part === undefined || part === "hashes") return (database) => ({ kind: "file", database, id, part });
  if (!/^(0|[1-9]\d{0,5})$/.test(part)) return undefined;
  return (database) => ({ kind: "file", database, id, part: Number(part) });
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw malformed(`${part} is not encoded as a part of an address is`);
  }
}
