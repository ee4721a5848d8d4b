/**
 * Readers over HTTP that go from member to member with a bookmark, and count what they must never see: something older
 * than what they saw or wrote before. They know documents that only grow.
 */

import { pause } from "./until.mjs";

const READ_MS_MAX = 2_000;
/** A frozen member answers nothing at all. */
const ANSWER_MS_MAX = 4_000;
const EVERY_MS = 25;

/** What several readers found, added up. */
export class Sessions {
  checked = { "monotonic reads": 0, "read-your-writes": 0 };
  older = { "monotonic reads": 0, "read-your-writes": 0 };
  /** How often a read was refused, by its code: it may be while there is nobody to ask. @type {Map<string, number>} */
  refused = new Map();
  #cluster;
  #database;
  #writers;
  #random;
  #isEnding = false;
  /** @type {Promise<unknown>} */
  #running = Promise.resolve();

  /**
   * @param {import("./cluster.mjs").Cluster} cluster
   * @param {string} database
   * @param {import("../../pkg/dist/load.js").Writer[]} writers whose own writes are looked for
   * @param {import("./random.mjs").Random} random
   */
  constructor(cluster, database, writers, random) {
    this.#cluster = cluster;
    this.#database = database;
    this.#writers = writers;
    this.#random = random;
  }

  /** Reads a document from now on. @param {string} doc */
  begin(doc) {
    this.#isEnding = false;
    this.#running = Promise.all([this.#monotonic(doc), ...this.#writers.map((writer) => this.#ownWrites(doc, writer))]);
  }

  /** Reads no more. */
  async end() {
    this.#isEnding = true;
    await this.#running;
  }

  /** What was found, for the line of figures. */
  get figures() {
    const refused = [...this.refused].map(([code, count]) => `${code} ${count}`).join(" ");
    return {
      "monotonic reads": this.checked["monotonic reads"],
      "of them older": this.older["monotonic reads"],
      "reads of own writes": this.checked["read-your-writes"],
      "of those older": this.older["read-your-writes"],
      "reads refused": refused || "none",
    };
  }

  /** One reader: what it has seen once is there in every later read, whoever answers. @param {string} doc */
  async #monotonic(doc) {
    /** @type {{ keys: string[], bookmark: string | undefined }} */
    let seen = { keys: [], bookmark: undefined };
    while (!this.#isEnding) {
      await pause(EVERY_MS);
      const answer = await this.#read(doc, seen.bookmark);
      if (answer === undefined) continue;
      this.checked["monotonic reads"] += 1;
      if (seen.keys.some((key) => !Object.hasOwn(answer.writes, key))) this.older["monotonic reads"] += 1;
      seen = { keys: Object.keys(answer.writes), bookmark: answer.bookmark };
    }
  }

  /**
   * What a writer has written is there in every read with its bookmark.
   * @param {string} doc
   * @param {import("../../pkg/dist/load.js").Writer} writer
   */
  async #ownWrites(doc, writer) {
    const session = writer.db.session();
    while (!this.#isEnding) {
      await pause(EVERY_MS);
      const keys = writer.writes.filter((write) => write.doc === doc).map(({ key }) => key);
      const answer = await this.#read(doc, session.bookmark());
      if (answer === undefined) continue;
      this.checked["read-your-writes"] += 1;
      if (keys.some((key) => !Object.hasOwn(answer.writes, key))) this.older["read-your-writes"] += 1;
    }
    session.close();
  }

  /** @param {string} doc @param {string | undefined} bookmark */
  async #read(doc, bookmark) {
    const node = this.#random.pick(this.#cluster.nodes);
    const headers = bookmark === undefined ? {} : { "headwater-bookmark": bookmark };
    try {
      const response = await fetch(`${node.url}/v1/${this.#database}/docs/${doc}?timeout=${READ_MS_MAX}`, {
        headers: /** @type {Record<string, string>} */ (headers),
        signal: AbortSignal.timeout(ANSWER_MS_MAX),
      });
      const body = await response.json();
      if (response.ok) return { writes: body.writes ?? {}, bookmark: response.headers.get("headwater-bookmark") ?? undefined };
      this.#refused(body.code);
    } catch (error) {
      // It is dead, frozen, or was killed in the middle of its answer.
      this.#refused(/** @type {Error} */ (error).name === "TimeoutError" ? "silence" : "no connection");
    }
    return undefined;
  }

  /** @param {string} code */
  #refused(code) {
    this.refused.set(code, (this.refused.get(code) ?? 0) + 1);
  }
}
