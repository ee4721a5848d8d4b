/**
 * What all shared types have in common: being preliminary first and part of a document later, and being observed.
 *
 * A preliminary type keeps its content here in JavaScript until it is set or inserted somewhere; from then on the
 * content is in wasm only, and nothing of it is kept twice.
 */

import type { HeadwaterError } from "../errors.js";
import type { DocHandle } from "../generated/replica/glue.js";
import { coded } from "./error.js";
import type { DeepObserver, Observer, SharedEvent } from "./event.js";
import type { DocHost } from "./host.js";
import { kindOf, type Kind, type Preliminary, PRELIMINARY, type Token } from "./marker.js";
import { remember } from "./registry.js";

/** Any of the shared types. */
export type AnySharedType = SharedType<any>;

interface Place {
  readonly host: DocHost;
  readonly token: Token;
}

/** The base of {@link SharedMap}, {@link SharedArray} and {@link SharedText}. */
export abstract class SharedType<E extends SharedEvent> {
  #place: Place | undefined;
  #lapse: HeadwaterError | undefined;
  #waitingChanges: (() => void)[] = [];
  #waitingObservers: ((host: DocHost) => void)[] = [];

  /** @internal */
  abstract readonly kind: Kind;
  /** @internal The name of a root type. */
  rootName: string | undefined;

  /** Whether it is part of a document; a preliminary one is not yet. */
  get attached(): boolean {
    return this.#place !== undefined;
  }

  /** The content as plain data, in one crossing. */
  abstract toJSON(): unknown;

  /** Calls `callback` after each commit that changed this type itself. */
  observe(callback: Observer<E>): void {
    this.#watch((host) => host.hub.subscribe(this, false, callback));
  }

  /** Ends {@link observe} for this callback. */
  unobserve(callback: Observer<E>): void {
    this.#watch((host) => host.hub.unsubscribe(this, false, callback));
  }

  /** Calls `callback` after each commit that changed this type or anything within it, with all those changes. */
  observeDeep(callback: DeepObserver): void {
    this.#watch((host) => host.hub.subscribe(this, true, callback));
  }

  /** Ends {@link observeDeep} for this callback. */
  unobserveDeep(callback: DeepObserver): void {
    this.#watch((host) => host.hub.unsubscribe(this, true, callback));
  }

  /** @internal Makes it part of a document: it already is in wasm, under this token. */
  attach(host: DocHost, token: Token): void {
    if (this.#place !== undefined) throw coded("TYPE", "a shared type can be placed once only");
    if (kindOf(token) !== this.kind) throw coded("TYPE", "something else has taken the place of this shared type");
    this.#place = { host, token };
    remember(host, token, this);
    this.attachChildren();
    const changes = this.#waitingChanges;
    const observers = this.#waitingObservers;
    this.#waitingChanges = [];
    this.#waitingObservers = [];
    for (const change of changes) change();
    for (const watch of observers) watch(host);
  }

  /** @internal The document was made anew in another instance, and this is its number there. */
  renew(token: Token): void {
    if (this.#place !== undefined) this.#place = { ...this.#place, token };
  }

  /** @internal The document was made anew in another instance, and it is not known which of its types this was. */
  lapse(error: HeadwaterError): void {
    this.#lapse = error;
  }

  /** @internal */
  get isLapsed(): boolean {
    return this.#lapse !== undefined;
  }

  /** @internal Attaches preliminary types within this one, and lets go of the preliminary content. */
  protected abstract attachChildren(): void;

  /** @internal What a preliminary type begins with. */
  protected abstract content(): readonly unknown[];

  /** @internal The host, where it is attached. */
  protected get host(): DocHost | undefined {
    return this.#place?.host;
  }

  /** @internal The wasm document, for calls with {@link token}. */
  protected get handle(): DocHandle {
    return this.#placed().host.handle;
  }

  /** @internal The number by which wasm knows it. */
  get token(): Token {
    return this.#placed().token;
  }

  /** @internal Runs a change now, or for a preliminary type when it is placed. */
  protected change(f: (handle: DocHandle, token: Token) => void): void {
    if (this.#place === undefined) {
      this.#waitingChanges.push(() => this.change(f));
    } else {
      this.#place.host.mutate(() => f(this.handle, this.token));
    }
  }

  /** @internal Whether changes wait for the type to be placed. */
  protected get changesWait(): boolean {
    return this.#waitingChanges.length > 0;
  }

  /** @internal This type as wasm takes in a new one. */
  toPreliminary(): Preliminary {
    if (this.attached) throw coded("TYPE", "this shared type already is part of a document and cannot be placed again");
    return { [PRELIMINARY]: this.kind, content: this.content() };
  }

  #placed(): Place {
    if (this.#lapse !== undefined) throw this.#lapse;
    if (this.#place === undefined) throw coded("TYPE", "place this shared type in a document first");
    return this.#place;
  }

  #watch(f: (host: DocHost) => void): void {
    if (this.#place === undefined) {
      this.#waitingObservers.push(f);
    } else {
      f(this.#place.host);
    }
  }
}

/** @internal A value as wasm takes it in. */
export function toWasm(value: unknown): unknown {
  return value instanceof SharedType ? value.toPreliminary() : value;
}
