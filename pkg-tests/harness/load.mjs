/** Several clients, in Node.js and in pages, that write to a database all the time and remember what they were told. */

import { open } from "headwater";

import { Writer } from "../../pkg/dist/load.js";

export * from "../../pkg/dist/load.js";

const SETTLED_MS_MAX = 120_000;

/** The same client in a page. */
class PageWriter {
  #page;

  /** @param {import("playwright-core").Page} page */
  constructor(page) {
    this.#page = page;
  }

  /**
   * Opens a database in the test page.
   * @param {import("playwright-core").Page} page
   * @param {{ database: string, urls: string[], concern: string, name: string }} what
   */
  static async open(page, what) {
    await page.evaluate(async ({ database, urls, concern, name }) => {
      const load = await import("/headwater/load.js");
      const db = await window.headwater.open(database, { url: urls, concern });
      Object.assign(window, { db, writer: new load.Writer(db, name) });
    }, what);
    return new PageWriter(page);
  }

  /** @param {string} doc @param {number} everyMs */
  begin(doc, everyMs) {
    return this.#page.evaluate(([doc, everyMs]) => window.writer.begin(doc, everyMs), [doc, everyMs]);
  }

  pause() {
    return this.#page.evaluate(() => window.writer.pause());
  }

  /** @param {number} timeoutMs */
  settled(timeoutMs) {
    return this.#page.evaluate((timeoutMs) => window.writer.settled(timeoutMs), timeoutMs);
  }

  /** @param {string} doc @returns {Promise<import("../../pkg/dist/load.js").Write[]>} */
  written(doc) {
    return this.#page.evaluate((doc) => window.writer.writes.filter((write) => write.doc === doc), doc);
  }
}

/** The clients. */
export class Load {
  /** Those of this process. @type {Writer[]} */
  writers;
  /** Of these, the ones that know every address. @type {Writer[]} */
  roaming = [];
  /** @type {PageWriter[]} */
  #pages = [];

  /** @param {Writer[]} writers */
  constructor(writers) {
    this.writers = writers;
  }

  /**
   * Opens clients; they are closed with their owner. `count` of them know every address, each another one first. They stay
   * where they are as long as it answers, so that a strike may find all of them at one member, or none: with `isEverywhere`
   * each member has a client besides that knows no other.
   * @param {import("./cleanup.mjs").Owner} owner
   * @param {{
   *   database: string, urls: string[], count?: number, concern?: "leader" | "quorum", name?: string, isEverywhere?: boolean,
   * }} options
   */
  static async start(owner, { database, urls, count = 3, concern = "quorum", name = "w", isEverywhere = false }) {
    const roaming = Array.from({ length: count }, (_, at) => ({ url: turned(urls, at), name: `${name}${at}` }));
    const staying = isEverywhere ? urls.map((url, at) => ({ url: [url], name: `${name}-at${at}` })) : [];
    const opened = [...roaming, ...staying].map(async ({ url, name }) => {
      const db = await open(database, { url, storage: "memory", name, concern });
      const writer = new Writer(db, name);
      owner.after(() => {
        writer.pause();
        return db.close();
      });
      return writer;
    });
    const load = new Load(await Promise.all(opened));
    load.roaming = load.writers.slice(0, count);
    return load;
  }

  /**
   * Has a test page write along.
   * @param {import("playwright-core").Page} page
   * @param {{ database: string, urls: string[], concern: "leader" | "quorum" }} options
   */
  async join(page, options) {
    const at = this.#pages.length;
    this.#pages.push(await PageWriter.open(page, { ...options, urls: turned(options.urls, at), name: `page${at}` }));
  }

  /** Has each of them write into a document from now on. @param {string} doc @param {number} [everyMs] */
  async begin(doc, everyMs = 20) {
    await Promise.all(this.#all.map((writer) => writer.begin(doc, everyMs)));
  }

  /** No more writes; resolves when every receipt has ended, and answers how many did not. */
  async end() {
    await Promise.all(this.#all.map((writer) => writer.pause()));
    const open = await Promise.all(this.#all.map((writer) => writer.settled(SETTLED_MS_MAX)));
    return open.reduce((sum, each) => sum + each, 0);
  }

  /** The documents that were written into. */
  get docs() {
    return new Set(this.writers.flatMap(({ writes }) => writes.map(({ doc }) => doc)));
  }

  /** What the clients of this process wrote into a document: at hand at any time. @param {string} doc */
  own(doc) {
    return this.writers.flatMap(({ writes }) => writes.filter((write) => write.doc === doc));
  }

  /** What all of them wrote into a document. @param {string} doc */
  async writes(doc) {
    const inPages = await Promise.all(this.#pages.map((page) => page.written(doc)));
    return [...this.own(doc), ...inPages.flat()];
  }

  get #all() {
    return [...this.writers, ...this.#pages];
  }
}

/** The same list, begun at another place. @template T @param {T[]} list @param {number} at */
function turned(list, at) {
  return list.map((_, place) => /** @type {T} */ (list[(place + at) % list.length]));
}
