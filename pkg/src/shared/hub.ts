/**
 * The observers of one document: JavaScript callbacks by the numbers of their wasm observers.
 *
 * User code runs only inside `dispatch`, which the facade calls after a commit, when nothing in wasm is borrowed. So an
 * observer may read and write as it likes; what it writes is another transaction.
 */

import { HeadwaterError, reportUncaught } from "../errors.js";
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
  #byType = new WeakMap<AnySharedType, Map<boolean, Subscription>>();

  /** One for each document: `hub = new ObserverHub(this)` in the class that implements {@link DocHost}. */
  constructor(host: DocHost) {
    this.#host = host;
  }

  /** Adds a callback; adding the same one twice changes nothing. */
  subscribe(type: AnySharedType, deep: boolean, callback: Callback): void {
    // Asked for first: where the document is over it throws, also for a type that is watched already.
    const { handle } = this.#host;
    const ofType = this.#byType.get(type) ?? new Map<boolean, Subscription>();
    this.#byType.set(type, ofType);
    let subscription = ofType.get(deep);
    if (subscription === undefined) {
      const id = handle.observe(type.token, deep);
      subscription = { type, deep, callbacks: new Set(), id };
      ofType.set(deep, subscription);
      this.#byId.set(id, subscription);
    }
    subscription.callbacks.add(callback);
  }

  /** Removes a callback; one that is not there changes nothing. */
  unsubscribe(type: AnySharedType, deep: boolean, callback: Callback): void {
    const ofType = this.#byType.get(type);
    const subscription = ofType?.get(deep);
    if (!subscription?.callbacks.delete(callback) || subscription.callbacks.size > 0) return;
    ofType?.delete(deep);
    this.#byId.delete(subscription.id);
    this.#host.handle.unobserve(subscription.id);
  }

  /**
   * Calls the callbacks for what `handle.takeEvents()` answered. One that throws does not keep the others from being
   * called; its error goes where uncaught ones go.
   */
  dispatch(events: readonly unknown[]): void {
    for (const batch of events as readonly RawBatch[]) {
      const subscription = this.#byId.get(batch.observer);
      if (subscription !== undefined) this.#call(subscription, this.#argument(subscription, batch.events));
    }
  }

  /** Calls every callback: the document was made anew, and nothing says what changed. */
  reset(): void {
    for (const subscription of [...this.#byId.values()]) {
      const { type, deep } = subscription;
      const event = new SharedEvent({
        target: type,
        currentTarget: type,
        path: [],
        local: false,
        isReset: true,
        keys: new Map(),
        delta: [],
      });
      this.#call(subscription, deep ? [event] : event);
    }
  }

  /** The document was made anew in another instance: whoever watches a type that is known there goes on watching. */
  renew(): void {
    const subscriptions = [...this.#byId.values()];
    this.#byId.clear();
    for (const subscription of subscriptions) {
      if (subscription.type.isLapsed) {
        subscription.callbacks.clear();
        this.#byType.delete(subscription.type);
        continue;
      }
      subscription.id = this.#host.handle.observe(subscription.type.token, subscription.deep);
      this.#byId.set(subscription.id, subscription);
    }
  }

  /** Forgets all callbacks: the document is over, and nothing is there any more to be unsubscribed from. */
  end(): void {
    for (const { callbacks } of this.#byId.values()) callbacks.clear();
    this.#byId.clear();
    this.#byType = new WeakMap();
  }

  #call(subscription: Subscription, argument: unknown): void {
    for (const callback of [...subscription.callbacks]) {
      // An earlier callback may have removed this one.
      if (!subscription.callbacks.has(callback)) continue;
      try {
        callback(argument as never);
      } catch (error) {
        reportUncaught(error);
      }
    }
  }

  #argument(subscription: Subscription, raw: readonly RawEvent[]): SharedEvent | readonly SharedEvent[] {
    const events = raw.map((event) => this.#event(subscription.type, event));
    if (subscription.deep) return events;
    const [only] = events;
    if (only === undefined) throw new HeadwaterError("INTERNAL", "an observer was called without an event");
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
      isReset: false,
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
