/** Replicas in one process that are joined by channels of messages, and what tests of peers ask of them. */

import { mergeBookmarks, open } from "headwater";

/**
 * @typedef {import("headwater").Database} Database
 * @typedef {import("headwater").Document} Document
 */

/** A replica with the document `notes`. */
export class Replica {
  /** @param {Database} db @param {Document} doc */
  constructor(db, doc) {
    this.db = db;
    this.doc = doc;
    this.writes = 0;
  }

  /**
   * Opens one that keeps nothing on disk, and connects to no leader by itself.
   * @param {import("./cleanup.mjs").Owner} owner
   * @param {string} database
   * @param {string} [url]
   */
  static async open(owner, database, url) {
    const db = await open(database, { storage: "memory", ...(url === undefined ? {} : { url, connect: false }) });
    owner.after(() => db.close());
    return new Replica(db, await db.doc("notes"));
  }

  /** Sets an entry of the map. @param {string} key @param {unknown} value @param {import("headwater").TransactOptions} [options] */
  set(key, value, options) {
    this.writes += 1;
    return this.doc.transact(() => this.doc.getMap("map").set(key, value), options);
  }

  /** Appends to the text. @param {string} text */
  type(text) {
    this.writes += 1;
    const shared = this.doc.getText("text");
    return this.doc.transact(() => shared.insert(shared.length, text));
  }

  /** The map as it is here now. */
  get map() {
    return this.doc.getMap("map").toJSON();
  }

  /** What others have to wait for to see what was written and read here. */
  bookmark() {
    return this.db.session().bookmark();
  }

  /** The whole document, once it holds what the bookmark names. @param {string} from */
  async read(from, timeoutMs = 30_000) {
    const { value } = await this.db.session({ from }).read("notes", (doc) => doc.toJSON(), { timeoutMs });
    return value;
  }
}

/**
 * Joins two replicas; answers the two ends.
 * @param {Replica} left
 * @param {Replica} right
 */
export function join(left, right) {
  const { port1, port2 } = new MessageChannel();
  return [left.db.connectPeer(port1), right.db.connectPeer(port2)];
}

/** Each replica's document, once it holds all that any of them holds now. @param {Replica[]} replicas */
export async function converged(replicas) {
  let all = replicas[0]?.bookmark() ?? "";
  for (const replica of replicas) all = await mergeBookmarks(all, replica.bookmark());
  return Promise.all(replicas.map((replica) => replica.read(all)));
}
