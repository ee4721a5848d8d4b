/** The errors that the shared types find by themselves, before anything crosses into wasm. */

import { HeadwaterError } from "../errors.js";

/** Makes an error. */
export function coded(code: "RANGE" | "TYPE" | "DELETED", message: string): HeadwaterError {
  return new HeadwaterError(code, message);
}

/** Checks a position or a length before it crosses into wasm, which would cut it to 32 bits. */
export function wholeNumber(value: number, name: string): number {
  if (Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff) return value;
  throw coded("RANGE", `${name} must be a whole number that is not negative, this is ${value}`);
}

/** Checks a key, a name or a text before it crosses into wasm, which takes its length on trust. */
export function string(value: unknown, name: string): string {
  if (typeof value === "string") return value;
  throw coded("TYPE", `${name} must be a string, this is ${typeof value}`);
}
