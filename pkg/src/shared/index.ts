/** Shared types: maps, arrays and texts that converge, in the manners of Yjs. */

import { SharedArray } from "./array.js";
import type { DocHost } from "./host.js";
import { SharedMap } from "./map.js";
import { Kind } from "./marker.js";
import { root } from "./registry.js";
import { SharedText } from "./text.js";

export { SharedArray, type SharedArrayEvent } from "./array.js";
export {
  type ArrayDelta,
  type Attributes,
  type DeepObserver,
  type KeyChange,
  type Observer,
  SharedEvent,
  type TextDelta,
} from "./event.js";
export type { DocHost } from "./host.js";
export { ObserverHub } from "./hub.js";
export { SharedMap, type SharedMapEvent } from "./map.js";
export { renewTypes } from "./registry.js";
export { SharedText, type SharedTextEvent } from "./text.js";
export { type AnySharedType, SharedType } from "./type.js";

/** The root map of this name. A name has one kind. */
export function rootMap<T = any>(host: DocHost, name: string): SharedMap<T> {
  return root(host, Kind.map, name) as SharedMap<T>;
}

/** The root array of this name. A name has one kind. */
export function rootArray<T = any>(host: DocHost, name: string): SharedArray<T> {
  return root(host, Kind.array, name) as SharedArray<T>;
}

/** The root text of this name. A name has one kind. */
export function rootText(host: DocHost, name: string): SharedText {
  return root(host, Kind.text, name) as SharedText;
}
