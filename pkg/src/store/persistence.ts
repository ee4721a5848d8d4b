/** What the browser says of this site's storage as a whole. It knows no database. */

import type { StorageInfo } from "./store.js";

let asked: Promise<boolean> | undefined;

/** Asks once for each page that nothing be evicted. Some browsers ask the user, so it is not awaited before use. */
export function requestPersistence(): void {
  asked ??= storageManager()?.persist?.().catch(() => false) ?? Promise.resolve(false);
}

/** Whether storage is safe from eviction, and how much of it there is. */
export async function browserStorage(): Promise<Omit<StorageInfo, "kind">> {
  const manager = storageManager();
  const persisted = (asked ?? manager?.persisted?.())?.catch(() => null);
  const estimate = manager?.estimate?.().catch(() => undefined);
  return {
    persisted: (await persisted) ?? null,
    usage: (await estimate)?.usage ?? null,
    quota: (await estimate)?.quota ?? null,
  };
}

function storageManager(): StorageManager | undefined {
  // Not there in pages that are not a secure context.
  return (globalThis.navigator as Navigator | undefined)?.storage;
}
