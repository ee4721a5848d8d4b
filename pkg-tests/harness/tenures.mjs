/** Who says that it leads which epoch, asked of all members all the time: nobody but one, ever. */

import { pause } from "./until.mjs";

const EVERY_MS = 50;

/** An observer of one database. */
export class Tenures {
  /** Who was seen to lead an epoch. @type {Map<number, Set<string>>} */
  leaders = new Map();
  /** How often all members were asked. */
  looks = 0;
  #isEnding = false;
  /** @type {Promise<void>} */
  #running;

  /** Looks from now on. @param {import("./cluster.mjs").Cluster} cluster @param {string} database */
  constructor(cluster, database) {
    this.#running = this.#look(cluster, database);
  }

  /** Looks no more; answers the epochs that more than one member was seen to lead. */
  async end() {
    this.#isEnding = true;
    await this.#running;
    const shared = [...this.leaders].filter(([, names]) => names.size > 1);
    return shared.map(([epoch, names]) => `${epoch}: ${[...names].join(" and ")}`);
  }

  /** @param {import("./cluster.mjs").Cluster} cluster @param {string} database */
  async #look(cluster, database) {
    while (!this.#isEnding) {
      await Promise.all(
        cluster.nodes.map(async (node) => {
          const status = await node.status(database);
          if (status?.role !== "leader") return;
          const names = this.leaders.get(Number(status.epoch)) ?? new Set();
          this.leaders.set(Number(status.epoch), names.add(node.name));
        }),
      );
      this.looks += 1;
      await pause(EVERY_MS);
    }
  }
}
