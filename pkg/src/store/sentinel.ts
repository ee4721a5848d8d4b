/**
 * What is remembered of a storage outside of it, so that its loss is noticed: browsers evict IndexedDB without a word, and
 * people put older copies of it back. It lies in `localStorage`, which is small and never evicted alone.
 */

import type { StorageIncident } from "../types.js";
import type { StoreLife } from "./store.js";

/** What was remembered when a storage was open last. */
export interface Memo {
  readonly id: string;
  readonly openings: number;
  /** Unsent writes, as of the last time that it was noted. */
  readonly unsent: number;
}

/** What is remembered of one storage. */
export class Sentinel {
  readonly #storage: Storage;
  readonly #name: string;
  readonly #life: StoreLife;
  #told = -1;

  /** What is remembered of the storage of this name. Asked before it is opened: each opening is counted before it is noted. */
  static memo(name: string): Memo | undefined {
    return readMemo(localStorageOf(), name);
  }

  /** `undefined` where nothing can be remembered: workers have no `localStorage`, and some pages may not use it. */
  static of(name: string, life: StoreLife | undefined): Sentinel | undefined {
    const storage = localStorageOf();
    return storage === undefined || life === undefined ? undefined : new Sentinel(storage, name, life);
  }

  private constructor(storage: Storage, name: string, life: StoreLife) {
    this.#storage = storage;
    this.#name = name;
    this.#life = life;
  }

  /** What became of the storage since it was open last, if it is not what it was. Afterwards it is remembered as it is now. */
  judge(memo: Memo | undefined): StorageIncident | undefined {
    const { id, openings } = this.#life;
    if (memo === undefined) return this.#note(0);
    const isOther = memo.id !== id;
    const isOlder = !isOther && openings <= memo.openings;
    this.#note(isOther || isOlder ? 0 : memo.unsent);
    if (!isOther && !isOlder) return undefined;
    const lost = memo.unsent === 0 ? null : { writes: memo.unsent };
    return { cause: isOther ? "evicted" : "rolled-back", doc: null, lost, error: null, at: new Date() };
  }

  /**
   * Notes how many writes are unsent: when that begins or ends, and when it has doubled, since a note costs as much as a write
   * to disk. With `isLast` exactly.
   */
  unsent(count: number, isLast = false): void {
    const told = this.#told;
    const isNews = (count === 0) !== (told === 0) || count > told * 2;
    if (told < 0 || isNews || (isLast && count !== told)) this.#note(count);
  }

  #note(unsent: number): undefined {
    this.#told = unsent;
    const { id, openings } = this.#life;
    const known = readMemo(this.#storage, this.#name);
    const latest = known?.id === id ? Math.max(known.openings, openings) : openings;
    try {
      this.#storage.setItem(this.#name, JSON.stringify({ id, openings: latest, unsent } satisfies Memo));
    } catch {
      // Full: then there is no sentinel.
    }
  }
}

function readMemo(storage: Storage | undefined, name: string): Memo | undefined {
  try {
    return JSON.parse(storage?.getItem(name) ?? "null") ?? undefined;
  } catch {
    return undefined;
  }
}

function localStorageOf(): Storage | undefined {
  try {
    return globalThis.localStorage;
  } catch {
    return undefined;
  }
}
