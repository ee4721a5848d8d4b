/**
 * How shared types cross into wasm and back: as objects with one symbol property, which plain data never has. The Rust
 * side is `crate/wasm/src/value.rs`.
 */

/** Marks a shared type on its way out; the property is its token. */
export const SHARED: unique symbol = Symbol.for("headwater.shared") as never;

/** Marks a new shared type on its way in; the property is its kind, and `content` says what it begins with. */
export const PRELIMINARY: unique symbol = Symbol.for("headwater.preliminary") as never;

/** The kinds of shared types, by the numbers that wasm uses. */
export const Kind = { map: 0, array: 1, text: 2 } as const;

/** One of the numbers in {@link Kind}. */
export type Kind = (typeof Kind)[keyof typeof Kind];

/** The number by which wasm names a shared type: its place in the document's table, and its kind in the low two bits. */
export type Token = number;

/** The kind that a token carries. */
export function kindOf(token: Token): Kind {
  return (token & 3) as Kind;
}

/** A new shared type on its way in. */
export interface Preliminary {
  /** Its kind. */
  readonly [PRELIMINARY]: Kind;
  /** Entries of a map, values of an array, or a delta of inserts of a text. */
  readonly content: readonly unknown[];
}

/** The token in a value that came out of wasm, if the value stands for a shared type. */
export function tokenIn(value: unknown): Token | undefined {
  return typeof value === "object" && value !== null ? (value as { readonly [SHARED]?: Token })[SHARED] : undefined;
}
