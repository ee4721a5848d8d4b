/** Checks what users pass, once, at the boundary. A name that is not known is an error: it is mostly a misspelt one. */

import { malformed } from "./errors.js";
import type { Concern, Consistency, OpenOptions, ReadOptions, TransactOptions, WaitOptions } from "./types.js";

/** The longest name of a database, in bytes of UTF-8. */
export const DATABASE_NAME_BYTES_MAX = 128;

const STAGES: readonly Concern[] = ["applied", "local", "leader", "quorum", "all"];

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
  known(options, ["url", "storage", "concern", "name", "connect", "timeoutMs", "signal"], "open");
  checkWait(options);
  optional(options.url, "string", "url");
  optional(options.connect, "boolean", "connect");
  checkConcern(options.concern);
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
  known(options, ["concern", "origin"], "transact");
  checkConcern(options.concern);
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

/** Checks a stage. */
export function checkConcern(concern: unknown, name = "concern"): void {
  if (concern === undefined || STAGES.includes(concern as Concern)) return;
  throw malformed(`${name} is ${show(concern)}; it can be ${STAGES.map((stage) => `"${stage}"`).join(", ")}`);
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
  if (typeof options !== "object" || options === null) throw malformed(`${where}: options are an object`);
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
