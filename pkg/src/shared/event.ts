/** What observers receive. An event is plain data about a commit that is over; reading it touches no document. */

import type { AnySharedType } from "./type.js";

/** Formatting of a piece of text. A `null` value takes formatting away. */
export type Attributes = Record<string, unknown>;

/** One step of a change to a text. Lengths count UTF-16 units; an embedded value counts one. */
export type TextDelta =
  | { readonly insert: unknown; readonly attributes?: Attributes }
  | { readonly retain: number; readonly attributes?: Attributes }
  | { readonly delete: number };

/** One step of a change to an array. */
export type ArrayDelta<T = any> =
  | { readonly insert: readonly T[] }
  | { readonly retain: number }
  | { readonly delete: number };

/** What happened to one entry of a map. */
export interface KeyChange<T = any> {
  /** What happened. */
  readonly action: "add" | "update" | "delete";
  /** What stood there before; `undefined` for an added entry. A shared type that stood there is deleted by now. */
  readonly oldValue: T | undefined;
}

/**
 * What one commit did to one shared type; or, if {@link isReset}, the news that a rejected write was taken back and the
 * document made anew from what stands. Such an event goes to every observer of the document, names the observed type
 * itself and no change: read the type again. One that only the rejected write had made answers `DELETED`.
 */
export class SharedEvent<S extends AnySharedType = AnySharedType, D = any, T = any> {
  /** The type that changed. */
  readonly target: S;
  /** The type whose observer is called: the target itself, or for a deep observer a type around it. */
  readonly currentTarget: AnySharedType;
  /** The way from `currentTarget` to `target`: keys into maps, indexes into arrays. */
  readonly path: readonly (string | number)[];
  /** Whether the change was made through this document, and not received. */
  readonly local: boolean;
  /** Whether the document was made anew: there are no `keys` and no `delta`, and what was read before may be gone. */
  readonly isReset: boolean;
  /** The entries of a map that changed; empty for other types. */
  readonly keys: ReadonlyMap<string, KeyChange<T>>;
  /** The steps from the old sequence to the new; empty for maps. */
  readonly delta: readonly D[];

  /** Made by the hub. */
  constructor(parts: {
    target: S;
    currentTarget: AnySharedType;
    path: readonly (string | number)[];
    local: boolean;
    isReset: boolean;
    keys: ReadonlyMap<string, KeyChange<T>>;
    delta: readonly D[];
  }) {
    this.target = parts.target;
    this.currentTarget = parts.currentTarget;
    this.path = parts.path;
    this.local = parts.local;
    this.isReset = parts.isReset;
    this.keys = parts.keys;
    this.delta = parts.delta;
  }

  /** The keys of the entries that changed. */
  get keysChanged(): ReadonlySet<string> {
    return new Set(this.keys.keys());
  }

  /** Both forms of the change in one object, as Yjs has it. */
  get changes(): { readonly keys: ReadonlyMap<string, KeyChange<T>>; readonly delta: readonly D[] } {
    return { keys: this.keys, delta: this.delta };
  }
}

/** Called with what happened to the observed type itself. */
export type Observer<E> = (event: E) => void;

/** Called with what happened to the observed type and everything within it, outer types first. */
export type DeepObserver = (events: readonly SharedEvent[]) => void;
