/** What hosts without storage of their own say when they are asked for it. */

import { HeadwaterError } from "../errors.js";
import type { Store } from "../store/store.js";

/** The `openStore` of such a host. */
export function memoryOnly(host: string): () => Promise<Store> {
  return async () => {
    const message =
      `in ${host} there is no storage on disk yet: pass storage: "memory" to open(), ` +
      'and count a write as kept at stage "leader", not before';
    throw new HeadwaterError("STORAGE_UNAVAILABLE", message);
  };
}
