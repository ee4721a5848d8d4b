/** IndexedDB from inside of a page, without the package: what lies in it, and what tests put there. Functions for `page.evaluate`. */

/**
 * The name of a replica's storage.
 * @param {string} database
 * @param {string} [name]
 */
export function storageName(database, name = database) {
  return `headwater/${encodeURIComponent(database)}/${encodeURIComponent(name)}`;
}

/**
 * A database as plain data: its version, and by object store its rows as pairs of base64.
 * @typedef {{ version: number, stores: Record<string, [key: string, value: string][]> }} Dump
 */

/**
 * Everything in a database.
 * @param {string} name
 * @returns {Promise<Dump>}
 */
export const dump = async (name) => {
  const text = (/** @type {ArrayBuffer | Uint8Array} */ bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes)));
  const answer = (/** @type {IDBRequest} */ request) =>
    new Promise((resolve, reject) => Object.assign(request, { onsuccess: () => resolve(request.result), onerror: () => reject(request.error) }));
  const db = await answer(indexedDB.open(name));
  /** @type {Dump} */
  const found = { version: db.version, stores: {} };
  for (const store of [...db.objectStoreNames].sort()) {
    const rows = db.transaction(store).objectStore(store);
    const [keys, values] = await Promise.all([answer(rows.getAllKeys()), answer(rows.getAll())]);
    found.stores[store] = keys.map((/** @type {any} */ key, /** @type {number} */ at) => [
      key instanceof ArrayBuffer ? text(key) : String(key),
      values[at] instanceof Uint8Array ? text(values[at]) : JSON.stringify(values[at]),
    ]);
  }
  db.close();
  return found;
};

/**
 * Makes a database of what was dumped.
 * @param {{ name: string, from: Dump }} what
 */
export const restore = async ({ name, from }) => {
  const bytes = (/** @type {string} */ text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  await new Promise((resolve, reject) => {
    const request = indexedDB.open(name, from.version);
    request.onupgradeneeded = () => {
      for (const [store, rows] of Object.entries(from.stores)) {
        const made = request.result.createObjectStore(store);
        for (const [key, value] of rows) made.put(bytes(value), bytes(key));
      }
    };
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      request.result.close();
      resolve(undefined);
    };
  });
};
