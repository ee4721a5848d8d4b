/** Several Node.js clients that write to a database all the time, and remember what they were told. */

import { open } from "headwater";

import { Writer } from "../../pkg/dist/load.js";

export * from "../../pkg/dist/load.js";

const SETTLED_MS_MAX = 120_000;

/** The clients. */
export class Load {
  /** @type {Writer[]} */
  writers;

  /** @param {Writer[]} writers */
  constructor(writers) {
    this.writers = writers;
  }

  /**
   * Opens clients; they are closed with their owner.
   * @param {import("./cleanup.mjs").Owner} owner
   * @param {{ database: string, urls: string | string[], count?: number, concern?: "leader" | "quorum", name?: string }} options
   */
  static async start(owner, { database, urls, count = 4, concern = "quorum", name = "w" }) {
    const opened = Array.from({ length: count }, async (_, at) => {
      const db = await open(database, { url: /** @type {any} */ (urls), storage: "memory", name: `${name}${at}`, concern });
      owner.after(() => db.close());
      return new Writer(db, `${name}${at}`);
    });
    return new Load(await Promise.all(opened));
  }

  /** Has each of them write into a document from now on. @param {string} doc @param {number} [everyMs] */
  async begin(doc, everyMs = 20) {
    await Promise.all(this.writers.map((writer) => writer.begin(doc, everyMs)));
  }

  /** No more writes; resolves when every receipt has ended, and answers how many did not. */
  async end() {
    for (const writer of this.writers) writer.pause();
    const open = await Promise.all(this.writers.map((writer) => writer.settled(SETTLED_MS_MAX)));
    return open.reduce((sum, each) => sum + each, 0);
  }

  /** Every write so far. @param {string} [doc] those of one document only */
  writes(doc) {
    const all = this.writers.flatMap(({ writes }) => writes);
    return doc === undefined ? all : all.filter((write) => write.doc === doc);
  }
}
