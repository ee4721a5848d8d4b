/** Random numbers from a seed that is printed, so that a run can be had again: `HEADWATER_SEED=…`. */

import { randomBytes } from "node:crypto";

/** A generator (SplitMix64). */
export class Random {
  #state;

  /** @param {bigint} seed */
  constructor(seed) {
    this.#state = seed;
  }

  /** The run's generator; tells its seed. @param {string} suite */
  static ofRun(suite) {
    const seed = BigInt(process.env.HEADWATER_SEED ?? `0x${randomBytes(6).toString("hex")}`);
    console.log(`${suite}: HEADWATER_SEED=${seed}`);
    return new Random(seed);
  }

  /** 64 bits. */
  bits() {
    this.#state = BigInt.asUintN(64, this.#state + 0x9e3779b97f4a7c15n);
    let z = this.#state;
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    return z ^ (z >> 31n);
  }

  /** A whole number from 0 to below `limit`; 0 if that leaves none. @param {number} limit */
  below(limit) {
    return Math.floor((Number(this.bits() >> 11n) / 2 ** 53) * Math.max(limit, 0));
  }

  /** A whole number from `low` to `high`. @param {number} low @param {number} high */
  between(low, high) {
    return low + this.below(high - low + 1);
  }

  /** One of several. @template T @param {readonly T[]} items @returns {T} */
  pick(items) {
    return /** @type {T} */ (items[this.below(items.length)]);
  }

  /** So many bytes. @param {number} length */
  bytes(length) {
    return Uint8Array.from({ length }, () => this.below(256));
  }
}
