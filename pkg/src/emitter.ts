/** Listeners by event name. One that throws does not keep the others from being called. */

import { reportUncaught } from "./errors.js";

/** Listeners of one object. */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(value: never) => void>>();

  /** Adds a listener; answers how to remove it. */
  on<Name extends keyof Events>(name: Name, listener: (value: Events[Name]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    // The same function may listen twice, and each removal removes one.
    const own = (value: Events[Name]) => listener(value);
    listeners.add(own);
    return () => void listeners.delete(own);
  }

  /** Whether anybody listens. */
  has(name: keyof Events): boolean {
    return (this.#listeners.get(name)?.size ?? 0) > 0;
  }

  /** Calls the listeners. */
  emit<Name extends keyof Events>(name: Name, value: Events[Name]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        listener(value as never);
      } catch (error) {
        reportUncaught(error);
      }
    }
  }
}
