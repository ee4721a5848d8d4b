/** The errors of the shared types, alike in shape with those that come from wasm. */

/** An error with a stable `code`: `RANGE`, `TYPE` or `DELETED`. */
export interface CodedError extends Error {
  /** By what to tell errors apart; it never changes. */
  readonly code: string;
}

/** Makes an error with a code. */
export function coded(code: "RANGE" | "TYPE" | "DELETED", message: string): CodedError {
  return Object.assign(new Error(message), { code });
}

/** Checks a position or a length before it crosses into wasm, which would cut it to 32 bits. */
export function wholeNumber(value: number, name: string): number {
  if (Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff) return value;
  throw coded("RANGE", `${name} must be a whole number that is not negative, this is ${value}`);
}
