/** One alarm for several who want to be woken: the platform keeps a single one for each object. */

import { TIMER_MS_MAX } from "../waits.js";
import type { EdgeContext } from "./cloudflare.js";

/** What is further away than this is left to the platform's alarm, so that the object may sleep meanwhile. */
export const AWAKE_MS_MAX = 120_000;

/** The alarms of one instance. After the object slept whoever wants one sets it anew. */
export class Alarms {
  readonly #storage: EdgeContext["storage"];
  readonly #wanted = new Map<string, number>();
  #set: number | undefined;

  /** None yet. */
  constructor(storage: EdgeContext["storage"]) {
    this.#storage = storage;
  }

  /** The time at which somebody wants to be woken, in place of the one before. */
  set(who: string, unixMs: number): void {
    this.#wanted.set(who, unixMs);
    this.#arm();
  }

  /** It went off: those whose time it was are not waited for any more. */
  rang(): void {
    this.#set = undefined;
    for (const [who, unixMs] of this.#wanted) if (unixMs <= Date.now()) this.#wanted.delete(who);
    this.#arm();
  }

  #arm(): void {
    const next = Math.min(...this.#wanted.values());
    if (next === this.#set || next === Infinity) return;
    this.#set = next;
    this.#storage.setAlarm(next).catch((error: unknown) => console.error("headwater: no alarm:", error));
  }
}

/** One moment to come: by a timer if it is near, by the alarm if the object may sleep until then. */
export class Due {
  readonly #who: string;
  readonly #alarms: Alarms;
  readonly #run: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #unixMs = Infinity;

  /** None yet. `run` is called once for each time that is set and reached. */
  constructor(who: string, alarms: Alarms, run: () => void) {
    this.#who = who;
    this.#alarms = alarms;
    this.#run = run;
  }

  /** Sets it, unless an earlier one is set. */
  at(unixMs: number): void {
    if (unixMs >= this.#unixMs) return;
    this.#unixMs = unixMs;
    clearTimeout(this.#timer);
    const delayMs = Math.max(unixMs - Date.now(), 0) + 1;
    if (delayMs > AWAKE_MS_MAX) return this.#alarms.set(this.#who, unixMs + 1);
    this.#timer = setTimeout(() => this.look(), Math.min(delayMs, TIMER_MS_MAX));
  }

  /** Runs what is due, if it is. */
  look(): void {
    if (Date.now() < this.#unixMs) return;
    this.stop();
    this.#run();
  }

  /** Takes it back. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#unixMs = Infinity;
  }
}
