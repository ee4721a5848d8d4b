/**
 * The observers of one document: JavaScript callbacks by the numbers of their wasm observers.
 *
 * User code runs only inside `dispatch`, which the facade calls after a commit, when nothing in wasm is borrowed. So an
 * observer may read and write as it likes; what it writes is another transaction.
 */

import type { DocHandle } from "../generated/glue.js";
import { SharedEvent, type KeyChange } from "./event.js";
import type { DocHost } from "./host.js";
import { fromWasm, resolve } from "./registry.js";
import type { AnySharedType } from "./type.js";

/** What wasm says of one observer and one commit. */
interface RawBatch {
  readonly observer: number;
  readonly events: readonly RawEvent[];
}

interface RawEvent {
  readonly target: number;
  readonly path: readonly (string | number)[];
  readonly local: boolean;
  readonly keys?: readonly (readonly [string, KeyChange])[];
  readonly delta?: readonly object[];
}

type Callback = (argument: never) => void;

/** All callbacks of one type and one depth share one wasm observer, so that an event crosses once. */
interface Subscription {
  readonly type: AnySharedType;
  readonly deep: boolean;
  readonly callbacks: Set<Callback>;
  id: number;
}

/** The observers of one document. */
export class ObserverHub {
  readonly #host: DocHost;
  readonly #byId = new Map<number, Subscription>();
  readonly #byType = new WeakMap<AnySharedType, Map<boolean, Subscription>>();
  #handle: DocHandle | undefined;

  /** One for each document: `hub = new ObserverHub(this)` in the class that implements {@link DocHost}. */
  constructor(host: DocHost) {
    this.#host = host;
  }

  /** Adds a callback; adding the same one twice changes nothing. */
  subscribe(type: AnySharedType, deep: boolean, callback: Callback): void {
    this.#renew();
    const ofType = this.#byType.get(type) ?? new Map<boolean, Subscription>();
    this.#byType.set(type, ofType);
    let subscription = ofType.get(deep);
    if (subscription === undefined) {
      const id = this.#host.handle.observe(type.token, deep);
      subscription = { type, deep, callbacks: new Set(), id };
      ofType.set(deep, subscription);
      this.#byId.set(id, subscription);
    }
    subscription.callbacks.add(callback);
  }

  /** Removes a callback; one that is not there changes nothing. */
  unsubscribe(type: AnySharedType, deep: boolean, callback: Callback): void {
    this.#renew();
    const ofType = this.#byType.get(type);
    const subscription = ofType?.get(deep);
    if (!subscription?.callbacks.delete(callback) || subscription.callbacks.size > 0) return;
    ofType?.delete(deep);
    this.#byId.delete(subscription.id);
    this.#host.handle.unobserve(subscription.id);
  }

  /**
   * Calls the callbacks for what `handle.takeEvents()` answered. One that throws does not keep the others from being
   * called; the first error is reported afterwards, where uncaught errors go.
   */
  dispatch(events: readonly unknown[]): void {
    const failures: unknown[] = [];
    for (const batch of events as readonly RawBatch[]) {
      const subscription = this.#byId.get(batch.observer);
      if (subscription === undefined) continue;
      const argument = this.#argument(subscription, batch.events);
      for (const callback of [...subscription.callbacks]) {
        // An earlier callback may have removed this one.
        if (!subscription.callbacks.has(callback)) continue;
        try {
          callback(argument as never);
        } catch (failure) {
          failures.push(failure);
        }
      }
    }
    if (failures.length > 0) report(failures[0]);
  }

  /**
   * Watches again in a document that was made anew after a trap. Root types go on; nested ones are gone with the old
   * document, and so are their observers. The facade calls it once the new handle is in place.
   */
  rebind(): void {
    this.#renew();
  }

  #renew(): void {
    const handle = this.#host.handle;
    if (this.#handle === handle) return;
    const before = [...this.#byId.values()];
    const first = this.#handle === undefined;
    this.#handle = handle;
    if (first) return;
    this.#byId.clear();
    for (const subscription of before) {
      if (subscription.type.rootName === undefined) {
        this.#byType.get(subscription.type)?.delete(subscription.deep);
        continue;
      }
      subscription.id = handle.observe(subscription.type.token, subscription.deep);
      this.#byId.set(subscription.id, subscription);
    }
  }

  #argument(subscription: Subscription, raw: readonly RawEvent[]): SharedEvent | readonly SharedEvent[] {
    const events = raw.map((event) => this.#event(subscription.type, event));
    if (subscription.deep) return events;
    const [only] = events;
    if (only === undefined) throw new Error("an observer was called without an event");
    return only;
  }

  #event(currentTarget: AnySharedType, raw: RawEvent): SharedEvent {
    const host = this.#host;
    const keys = (raw.keys ?? []).map(([key, { action, oldValue }]): [string, KeyChange] => {
      return [key, { action, oldValue: fromWasm(host, oldValue) }];
    });
    return new SharedEvent({
      target: resolve(host, raw.target),
      currentTarget,
      path: raw.path,
      local: raw.local,
      keys: new Map(keys),
      delta: (raw.delta ?? []).map((step) => withSharedTypes(host, step)),
    });
  }
}

function withSharedTypes(host: DocHost, step: object): object {
  if (!("insert" in step)) return step;
  const insert = step.insert;
  // An array's step brings a list of values; a plain array embedded in a text holds no shared types.
  return { ...step, insert: Array.isArray(insert) ? insert.map((value) => fromWasm(host, value)) : fromWasm(host, insert) };
}

function report(failure: unknown): void {
  const { reportError } = globalThis as { reportError?: (failure: unknown) => void };
  if (typeof reportError === "function") {
    queueMicrotask(() => reportError(failure));
  } else {
    queueMicrotask(() => {
      throw failure;
    });
  }
}
