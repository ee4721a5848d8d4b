/**
 * The other tabs on the same storage, as a driver sees them: a channel to all of them, one lock that one of them holds, and
 * a lock of its own for each, by which the others notice its end. What is said and who should hold is decided in the core.
 */

/** One tab's place among those that share a storage. */
export interface Tabs {
  /** Listens from now on, and queues for the lock. Called once. */
  begin(events: TabsEvents): void;

  /** Tells all other tabs. They hear it in the order in which this one tells it. */
  tell(bytes: Uint8Array<ArrayBuffer>): void;

  /** Takes the lock from whoever holds it. */
  steal(): void;

  /** Has `gone` called once that tab does not exist any more. */
  watch(origin: bigint): void;

  /** Lets go of everything. Nothing is told afterwards. */
  close(): void;
}

/** What a tab is told. */
export interface TabsEvents {
  /** Another tab has told something. */
  heard(bytes: Uint8Array): void;
  /** The lock is ours. */
  hold(): void;
  /** The lock is not ours any more: somebody has stolen it, or the browser has taken it. */
  unhold(): void;
  /** That tab is closed or dead. */
  gone(origin: bigint): void;
}
