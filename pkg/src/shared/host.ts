/**
 * What the shared types need of the document that they are in. They know nothing of replication, storage or receipts.
 */

import type { DocHandle } from "../generated/replica/glue.js";
import type { ObserverHub } from "./hub.js";

/** A document, as its shared types see it. The facade implements it. */
export interface DocHost {
  /** The document in wasm, behind the guard of its instance. Throws once the document is closed or out of use. */
  readonly handle: DocHandle;

  /** The document's observers: one hub for as long as the document is open. */
  readonly hub: ObserverHub;

  /**
   * Runs `f` inside the current transaction, or in a new one if none is open. The outermost call commits, also when `f`
   * throws, and afterwards dispatches `handle.takeEvents()` to the hub. Throws before anything is run where `handle` throws.
   */
  mutate<T>(f: () => T): T;
}
