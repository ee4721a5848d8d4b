/** Maps: keys to values. The last writer of a key wins, the same one everywhere. */

import { string } from "./error.js";
import type { SharedEvent } from "./event.js";
import { Kind, tokenIn } from "./marker.js";
import { fromWasm, register } from "./registry.js";
import { SharedType, toWasm } from "./type.js";

/** What a map's observers receive. */
export type SharedMapEvent<T = any> = SharedEvent<SharedMap<T>, never, T>;

/**
 * A map that is shared: keys to values, which are plain data or further shared types. Keys come in sorted order, which
 * is the same on every replica.
 *
 * ```ts
 * const cards = doc.getMap("cards");
 * cards.set("a", new SharedMap({ title: "Ship", done: false }));
 * cards.get("a").set("done", true);
 * ```
 */
export class SharedMap<T = any> extends SharedType<SharedMapEvent<T>> {
  /** @internal */
  readonly kind = Kind.map;
  #preliminary = new Map<string, T>();

  /** A preliminary map, to be set or inserted somewhere. */
  constructor(entries?: Iterable<readonly [string, T]> | Readonly<Record<string, T>>) {
    super();
    if (entries === undefined) return;
    const pairs = Symbol.iterator in entries ? entries : Object.entries(entries);
    for (const [key, value] of pairs as Iterable<readonly [string, T]>) this.#preliminary.set(key, value);
  }

  /** Sets `key`, replacing what was there; answers the value. */
  set<V extends T>(key: string, value: V): V {
    string(key, "key");
    if (!this.attached) {
      this.#preliminary.set(key, value);
      return value;
    }
    this.change((handle, token) => {
      handle.mapSet(token, key, toWasm(value));
      this.#attachChild(key, value);
    });
    return value;
  }

  /** The value at `key`, or `undefined`. */
  get(key: string): T | undefined {
    string(key, "key");
    const { host } = this;
    return host === undefined ? this.#preliminary.get(key) : fromWasm(host, this.handle.mapGet(this.token, key));
  }

  /** Whether there is an entry at `key`. */
  has(key: string): boolean {
    string(key, "key");
    return this.attached ? this.handle.mapHas(this.token, key) : this.#preliminary.has(key);
  }

  /** Deletes the entry at `key`, if there is one. */
  delete(key: string): void {
    string(key, "key");
    if (this.attached) {
      this.change((handle, token) => handle.mapDelete(token, key));
    } else {
      this.#preliminary.delete(key);
    }
  }

  /** Deletes every entry. */
  clear(): void {
    if (this.attached) {
      this.change((handle, token) => handle.mapClear(token));
    } else {
      this.#preliminary.clear();
    }
  }

  /** How many entries there are. */
  get size(): number {
    return this.attached ? this.handle.mapSize(this.token) : this.#preliminary.size;
  }

  /** The keys, as they are now. */
  keys(): IterableIterator<string> {
    return (this.attached ? this.handle.mapKeys(this.token) : [...this.#preliminary.keys()].sort()).values();
  }

  /** The values, as they are now. */
  values(): IterableIterator<T> {
    return this.#entries()
      .map(([, value]) => value)
      .values();
  }

  /** The entries, as they are now. */
  entries(): IterableIterator<[string, T]> {
    return this.#entries().values();
  }

  /** The entries, as they are now. */
  [Symbol.iterator](): IterableIterator<[string, T]> {
    return this.entries();
  }

  /** Calls `f` for each entry, as they are now. */
  forEach(f: (value: T, key: string, map: SharedMap<T>) => void): void {
    for (const [key, value] of this.#entries()) f(value, key, this);
  }

  /** The map and everything in it as plain data. */
  toJSON(): Record<string, any> {
    if (this.attached) return this.handle.mapToJSON(this.token);
    const json = this.#entries().map(([key, value]) => [key, value instanceof SharedType ? value.toJSON() : value]);
    return Object.fromEntries(json);
  }

  /** @internal */
  protected content(): readonly unknown[] {
    return this.#entries().map(([key, value]) => [key, toWasm(value)]);
  }

  /** @internal */
  protected attachChildren(): void {
    const entries = this.#preliminary;
    this.#preliminary = new Map();
    for (const [key, value] of entries) this.#attachChild(key, value);
  }

  #attachChild(key: string, value: unknown): void {
    if (!(value instanceof SharedType) || this.host === undefined) return;
    const token = tokenIn(this.handle.mapGet(this.token, key));
    if (token !== undefined) value.attach(this.host, token);
  }

  #entries(): [string, T][] {
    const { host } = this;
    if (host === undefined) return [...this.#preliminary].sort(([left], [right]) => (left < right ? -1 : 1));
    const entries = this.handle.mapEntries(this.token) as [string, unknown][];
    return entries.map(([key, value]) => [key, fromWasm(host, value)]);
  }
}

register(Kind.map, SharedMap);
