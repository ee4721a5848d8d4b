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
 * Everything in a database. Keys and values that are no bytes are told as JSON after an equals sign.
 * @param {string} name
 * @returns {Promise<Dump>}
 */
export const dump = async (name) => {
  const text = (/** @type {any} */ value) =>
    value instanceof ArrayBuffer || value instanceof Uint8Array
      ? btoa(Array.from(new Uint8Array(value), (byte) => String.fromCharCode(byte)).join(""))
      : `=${JSON.stringify(value)}`;
  const answer = (/** @type {IDBRequest} */ request) =>
    new Promise((resolve, reject) => Object.assign(request, { onsuccess: () => resolve(request.result), onerror: () => reject(request.error) }));
  const db = await answer(indexedDB.open(name));
  /** @type {Dump} */
  const found = { version: db.version, stores: {} };
  for (const store of [...db.objectStoreNames].sort()) {
    const rows = db.transaction(store).objectStore(store);
    const [keys, values] = await Promise.all([answer(rows.getAllKeys()), answer(rows.getAll())]);
    found.stores[store] = keys.map((/** @type {any} */ key, /** @type {number} */ at) => [text(key), text(values[at])]);
  }
  db.close();
  return found;
};

/**
 * Makes a database of what was dumped.
 * @param {{ name: string, from: Dump }} what
 */
export const restore = async ({ name, from }) => {
  const bytes = (/** @type {string} */ text) =>
    text.startsWith("=") ? JSON.parse(text.slice(1)) : Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
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

/**
 * Changes rows: each that `store` has becomes what `damage` makes of it.
 * @param {{ name: string, store: string, how: "cut" | "garble" | "empty" }} what
 */
export const damage = async ({ name, store, how }) => {
  const db = await new Promise((resolve, reject) => {
    const request = indexedDB.open(name);
    Object.assign(request, { onsuccess: () => resolve(request.result), onerror: () => reject(request.error) });
  });
  const transaction = db.transaction(store, "readwrite");
  const rows = transaction.objectStore(store);
  let count = 0;
  rows.openCursor().onsuccess = (/** @type {any} */ { target: { result: cursor } }) => {
    if (cursor === null) return;
    const value = /** @type {Uint8Array} */ (cursor.value);
    const changed = how === "empty" ? new Uint8Array(0) : how === "cut" ? value.slice(0, value.length - 1) : value.slice();
    // The bytes of the last update in it, whose length stays.
    if (how === "garble") changed.fill(0xff, changed.length - 8);
    cursor.update(changed);
    count += 1;
    cursor.continue();
  };
  await new Promise((resolve) => Object.assign(transaction, { oncomplete: resolve }));
  db.close();
  return count;
};
