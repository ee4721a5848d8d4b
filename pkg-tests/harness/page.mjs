/**
 * Awaiting what a replica tells, by its events. Runs in pages, as `window.page`, and in Node.js alike; it knows the
 * public API of the package and nothing else.
 */

/**
 * Opens a database and one of its documents.
 * @param {typeof import("headwater")} headwater
 * @param {{ database: string, url?: string, doc?: string, options?: import("headwater").OpenOptions }} what
 */
export async function openDoc(headwater, { database, url, doc: name = "notes", options = {} }) {
  const db = await headwater.open(database, url === undefined ? options : { url, ...options });
  const doc = await db.doc(name);
  return { db, doc };
}

/** Resolves when the database is connected. @param {import("headwater").Database} db */
export function live(db) {
  return phase(db, "live");
}

/** Resolves when the database is in a phase. @param {import("headwater").Database} db @param {string} wanted */
export function phase(db, wanted) {
  return told((look) => db.on("status", look), () => db.status.phase === wanted);
}

/** Resolves when a database is connected to so many peers. @param {import("headwater").Database} db @param {number} count */
export function peered(db, count) {
  const connected = () => db.peers.filter(({ isDirect }) => isDirect).length;
  return told((look) => db.on("peers", look), () => connected() === count);
}

/** Resolves when a mesh is connected to so many members. @param {import("headwater").Mesh} mesh @param {import("headwater").Database} db @param {number} count */
export function meshed(mesh, db, count) {
  return told((look) => both(mesh.on("peer", look), db.on("peers", look)), () => mesh.members.length === count);
}

/** Resolves when the leader has acknowledged everything. @param {import("headwater").Database} db */
export function settled(db) {
  return told((look) => db.on("pending", look), () => db.pending.count === 0);
}

/** Resolves when a document is as wanted. @param {import("headwater").Document} doc @param {() => unknown} isSo */
export function changed(doc, isSo) {
  return told((look) => doc.on("change", look), isSo);
}

/**
 * Has so many macrotasks go by: input, sockets and storage get their turns.
 * @param {number} count
 */
export async function turns(count) {
  for (let turn = 0; turn < count; turn += 1) await macrotask();
}

/** The end of this turn of the loop, without the 4 ms that browsers add to timers. */
export function macrotask() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve(undefined);
    };
    port2.postMessage(undefined);
  });
}

/**
 * Types a stretch of the editing trace, one transaction for each edit, some of them per turn of the loop.
 * @param {import("headwater").Document} doc
 * @param {[number, number, string][]} edits
 * @param {{ from: number, to: number, perTurn?: number, onEdit?: (at: number, receipt: import("headwater").Receipt) => void }} options
 */
export async function type(doc, edits, { from, to, perTurn = 100, onEdit }) {
  const text = doc.getText("text");
  let receipt;
  for (let at = from; at < to; at += 1) {
    const [position, deleted, inserted] = edits[at];
    receipt = doc.transact(() => {
      if (deleted > 0) text.delete(position, deleted);
      if (inserted !== "") text.insert(position, inserted);
    });
    onEdit?.(at, receipt);
    if ((at + 1) % perTurn === 0) await macrotask();
  }
  return receipt;
}

/** @param {(() => void)[]} offs */
function both(...offs) {
  return () => offs.forEach((off) => off());
}

/**
 * Resolves once `isSo` answers truthy, asked at once and at each event.
 * @param {(look: () => void) => () => void} listen
 * @param {() => unknown} isSo
 * @returns {Promise<void>}
 */
function told(listen, isSo) {
  return new Promise((resolve, reject) => {
    let off = () => {};
    const look = () => {
      try {
        if (!isSo()) return false;
        off();
        resolve();
      } catch (error) {
        off();
        reject(error);
      }
      return true;
    };
    if (!look()) off = listen(look);
  });
}
