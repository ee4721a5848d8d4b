/** Arrays: values in an order that concurrent inserts extend and never scramble. */

import { coded, wholeNumber } from "./error.js";
import type { ArrayDelta, SharedEvent } from "./event.js";
import { Kind, tokenIn } from "./marker.js";
import { fromWasm, register } from "./registry.js";
import { SharedType, toWasm } from "./type.js";

/** What an array's observers receive. */
export type SharedArrayEvent<T = any> = SharedEvent<SharedArray<T>, ArrayDelta<T>, T>;

/**
 * An array that is shared: values in order, which are plain data or further shared types.
 *
 * ```ts
 * const list = doc.getArray<string>("list");
 * list.push(["one", "three"]);
 * list.insert(1, ["two"]);
 * ```
 */
export class SharedArray<T = any> extends SharedType<SharedArrayEvent<T>> {
  /** @internal */
  readonly kind = Kind.array;
  #preliminary: T[];

  /** A preliminary array, to be set or inserted somewhere. */
  constructor(values: Iterable<T> = []) {
    super();
    this.#preliminary = [...values];
  }

  /** A preliminary array of these values. */
  static from<T>(values: Iterable<T>): SharedArray<T> {
    return new SharedArray(values);
  }

  /** Inserts values before `index`, which may be the length. */
  insert(index: number, values: readonly T[]): void {
    wholeNumber(index, "index");
    if (!this.attached) {
      this.#checkPreliminary(index, 0);
      this.#preliminary.splice(index, 0, ...values);
      return;
    }
    this.change((handle, token) => {
      handle.arrayInsert(token, index, values.map(toWasm));
      this.#attachFrom(index, values);
    });
  }

  /** Appends values. */
  push(values: readonly T[]): void {
    this.insert(this.length, values);
  }

  /** Puts values in front. */
  unshift(values: readonly T[]): void {
    this.insert(0, values);
  }

  /** Deletes `length` values from `index` on. */
  delete(index: number, length = 1): void {
    wholeNumber(index, "index");
    wholeNumber(length, "length");
    if (!this.attached) {
      this.#checkPreliminary(index, length);
      this.#preliminary.splice(index, length);
      return;
    }
    this.change((handle, token) => handle.arrayDelete(token, index, length));
  }

  /** The value at `index`, or `undefined` past the end. */
  get(index: number): T | undefined {
    wholeNumber(index, "index");
    const { host } = this;
    return host === undefined ? this.#preliminary[index] : fromWasm(host, this.handle.arrayGet(this.token, index));
  }

  /** How many values there are. */
  get length(): number {
    return this.attached ? this.handle.arrayLength(this.token) : this.#preliminary.length;
  }

  /** The values from `start` up to `end`; negative positions count from the end, as with `Array`. */
  slice(start?: number, end?: number): T[] {
    return this.toArray().slice(start, end);
  }

  /** All values, as they are now. */
  toArray(): T[] {
    const { host } = this;
    if (host === undefined) return [...this.#preliminary];
    return this.handle.arrayValues(this.token).map((value) => fromWasm(host, value));
  }

  /** What `f` makes of each value. */
  map<R>(f: (value: T, index: number, array: SharedArray<T>) => R): R[] {
    return this.toArray().map((value, index) => f(value, index, this));
  }

  /** Calls `f` for each value, as they are now. */
  forEach(f: (value: T, index: number, array: SharedArray<T>) => void): void {
    this.toArray().forEach((value, index) => f(value, index, this));
  }

  /** The values, as they are now. */
  [Symbol.iterator](): IterableIterator<T> {
    return this.toArray().values();
  }

  /** The array and everything in it as plain data. */
  toJSON(): any[] {
    if (this.attached) return this.handle.arrayToJSON(this.token);
    return this.#preliminary.map((value) => (value instanceof SharedType ? value.toJSON() : value));
  }

  /** @internal */
  protected content(): readonly unknown[] {
    return this.#preliminary.map(toWasm);
  }

  /** @internal */
  protected attachChildren(): void {
    const values = this.#preliminary;
    this.#preliminary = [];
    this.#attachFrom(0, values);
  }

  #attachFrom(index: number, values: readonly unknown[]): void {
    const { host } = this;
    if (host === undefined) return;
    values.forEach((value, offset) => {
      if (!(value instanceof SharedType)) return;
      const token = tokenIn(this.handle.arrayGet(this.token, index + offset));
      if (token !== undefined) value.attach(host, token);
    });
  }

  #checkPreliminary(index: number, count: number): void {
    const { length } = this.#preliminary;
    if (index + count > length) throw coded("RANGE", `${count} from index ${index} reaches past the length ${length}`);
  }
}

register(Kind.array, SharedArray);
