/** Checks what users pass, once, at the boundary. A name that is not known is an error: it is mostly a misspelt one. */

import { malformed } from "./errors.js";
import type { Consistency, OpenOptions, ReadOptions, Stage, TransactOptions, WaitOptions } from "./types.js";

/** The longest name of a database, in bytes of UTF-8. */
export const DATABASE_NAME_BYTES_MAX = 128;

/** The most nodes that a group has, and addresses that a database is opened with. */
const MEMBERS_MAX = 64;

/** The most peers that a concern can ask for. */
const CONCERN_PEERS_MAX = 256;

const STAGES: readonly Stage[] = ["applied", "local", "leader", "quorum", "all"];
const STAGE_WORDS = STAGES.map((stage) => `"${stage}"`).join(", ");

/** Says why a database cannot have this name, if so. */
export function databaseNameProblem(name: unknown): string | undefined {
  if (typeof name !== "string") return "a database name is a string";
  const bytes = new TextEncoder().encode(name).length;
  // Half of a surrogate pair has no bytes of its own: two such names would be one.
  if (/\p{Cs}/u.test(name)) return "a database name is well-formed Unicode; this one has half of a surrogate pair";
  if (bytes >= 1 && bytes <= DATABASE_NAME_BYTES_MAX && !/\p{Cc}/u.test(name)) {
    // URLs take these for steps between folders, however they are written.
    return name === "." || name === ".." ? "a database cannot be named . or .." : undefined;
  }
  return `a database name has 1 to ${DATABASE_NAME_BYTES_MAX} bytes and no control characters; this one has ${bytes} bytes`;
}

/** Checks what `open` takes. */
export function checkOpen(name: unknown, options: OpenOptions): void {
  for (const each of [name, options.name ?? name]) {
    const problem = databaseNameProblem(each);
    if (problem !== undefined) throw malformed(problem);
  }
  known(options, ["url", "storage", "concern", "degrade", "name", "tabs", "connect", "files", "timeoutMs", "signal"], "open");
  checkWait(options);
  checkUrl(options.url);
  optional(options.connect, "boolean", "connect");
  checkTabs(options.tabs);
  checkConcern(options.concern);
  checkDegrade(options.degrade);
  checkFiles(options.files);
  const { storage } = options;
  if (storage === undefined || storage === "memory") return;
  known(storage, ["durability", "persist"], "storage");
  optional(storage.persist, "boolean", "storage.persist");
  if (storage.durability !== undefined && storage.durability !== "strict") {
    throw malformed(`storage.durability is ${show(storage.durability)}; it can be "strict"`);
  }
}

/** Checks what `transact` takes. */
export function checkTransact(options: TransactOptions): void {
  known(options, ["concern", "timeoutMs", "degrade", "origin"], "transact");
  checkConcern(options.concern);
  checkWait(options);
  checkDegrade(options.degrade);
}

/** Checks what a wait takes; answers the time it has. */
export function timeoutOf(options: WaitOptions, fallback: number, ...more: string[]): number {
  known(options, ["timeoutMs", "signal", ...more], "the options");
  checkWait(options);
  return options.timeoutMs ?? fallback;
}

function checkWait({ timeoutMs, signal }: WaitOptions): void {
  if (timeoutMs !== undefined) milliseconds(timeoutMs, "timeoutMs");
  if (signal !== undefined && typeof signal?.addEventListener !== "function") throw malformed("signal is no AbortSignal");
}

/** Checks what `session.read` takes, but for the wait. */
export function checkRead({ consistency = "session", onTimeout = "throw" }: ReadOptions): void {
  if (onTimeout !== "throw" && onTimeout !== "stale") {
    throw malformed(`onTimeout is ${show(onTimeout)}; it can be "throw" or "stale"`);
  }
  levelOf(consistency);
}

/** A consistency as wasm takes it: a word, and a span for the word that needs one. */
export function levelOf(consistency: Consistency): readonly [word: string, maxStalenessMs: number] {
  switch (consistency) {
    case "eventual":
    case "session":
    case "strong":
      return [consistency, 0];
  }
  const span: unknown = (consistency as { maxStalenessMs?: unknown } | null)?.maxStalenessMs;
  if (span === undefined) {
    throw malformed(
      `consistency is ${show(consistency)}; it can be "eventual", "session", "strong" or { maxStalenessMs }`,
    );
  }
  return ["staleness", milliseconds(span, "maxStalenessMs")];
}

/** Checks a concern. Whether there are such members is the group's to say. */
export function checkConcern(concern: unknown): void {
  if (concern === undefined || isStage(concern) || isCount(concern, MEMBERS_MAX)) return;
  if (typeof concern === "object" && concern !== null) {
    const { any, first, n, peers, ...rest } = concern as Record<string, unknown>;
    if (isCount(peers, CONCERN_PEERS_MAX) && Object.keys(concern).length === 1) return;
    const names = any ?? first;
    const isEither = (any === undefined) !== (first === undefined) && peers === undefined && Object.keys(rest).length === 0;
    if (isEither && isListOfText(names) && isCount(n, names.length)) return;
  }
  throw malformed(
    `concern is ${show(concern)}; it can be ${STAGE_WORDS}, a number of members, { any: names, n }, { first: names, n } or { peers: n }`,
  );
}

function checkDegrade(degrade: TransactOptions["degrade"]): void {
  if (degrade === undefined || degrade === null) return;
  known(degrade, ["to", "afterMs"], "degrade");
  if (!isStage(degrade.to)) throw malformed(`degrade.to is ${show(degrade.to)}; it can be ${STAGE_WORDS}`);
  milliseconds(degrade.afterMs, "degrade.afterMs");
}

function checkUrl(url: unknown): void {
  if (url === undefined || typeof url === "string" || isListOfText(url)) return;
  throw malformed(`url is ${show(url)}; it is a string, or 1 to ${MEMBERS_MAX} of them`);
}

function checkFiles(files: OpenOptions["files"]): void {
  if (files === undefined) return;
  known(files, ["quotaBytes"], "files");
  const { quotaBytes = 0 } = files;
  if (Number.isSafeInteger(quotaBytes) && quotaBytes >= 0) return;
  throw malformed(`files.quotaBytes is ${show(quotaBytes)}; it is a whole number of bytes, zero or more`);
}

function checkTabs(tabs: unknown): void {
  if (tabs === undefined || tabs === "shared" || tabs === "alone") return;
  throw malformed(`tabs is ${show(tabs)}; it can be "shared" or "alone"`);
}

function isStage(value: unknown): value is Stage {
  return STAGES.includes(value as Stage);
}

function isCount(value: unknown, max: number): boolean {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= max;
}

function isListOfText(value: unknown): value is string[] {
  if (!Array.isArray(value) || !isCount(value.length, MEMBERS_MAX)) return false;
  return value.every((text) => typeof text === "string");
}

/** Checks that it is a function. */
export function checkFunction(f: unknown, where: string): void {
  if (typeof f !== "function") throw malformed(`${where} takes a function, not ${show(f)}`);
}

function milliseconds(value: unknown, name: string): number {
  if (typeof value === "number" && Number.isFinite(value) && value >= 0) return value;
  throw malformed(`${name} is ${show(value)}; it is a finite number of milliseconds, zero or more`);
}

/** Checks that options are an object with no names but these. */
export function known(options: object, names: readonly string[], where: string): void {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw malformed(`${where}: options are an object`);
  }
  const unknown = Object.keys(options).find((name) => !names.includes(name));
  if (unknown !== undefined) throw malformed(`${where} knows no option ${show(unknown)}; it knows ${names.join(", ")}`);
}

/** Checks that an option, if given, is of this type. */
export function optional(value: unknown, type: "string" | "boolean", name: string): void {
  if (value !== undefined && typeof value !== type) throw malformed(`${name} is ${show(value)}; it is a ${type}`);
}

function show(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
