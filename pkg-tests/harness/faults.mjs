/** What can happen to the leader of a cluster: how it begins, and how it ends. It knows no clients. */

/**
 * @typedef {import("./cluster.mjs").Cluster} Cluster
 * @typedef {import("./cluster.mjs").ClusterNode} ClusterNode
 * @typedef {{ cluster: Cluster, leader: ClusterNode, database: string }} Struck
 * @typedef {object} Begun
 * @property {() => Promise<void>} end takes it back
 * @property {number} [pauseMs] for how long the leader says that it took no write
 */

/** @type {Record<string, (struck: Struck) => Promise<Begun>>} */
export const FAULTS = {
  /** It dies, and comes back on the same disk. */
  async kill({ leader }) {
    await leader.worker.kill();
    return { end: () => leader.start() };
  },

  /** It stops where it is, and goes on where it was, as a machine does that was suspended. */
  async freeze({ leader }) {
    await leader.worker.freeze();
    return { end: async () => leader.worker.thaw() };
  },

  /** It and the others do not reach each other. Clients and etcd reach all of them. */
  async partition({ cluster, leader }) {
    cluster.isolate(leader);
    return { end: async () => cluster.heal() };
  },

  /** As a partition, and it does not reach etcd either: the minority side of a network that fell apart. */
  async island({ cluster, leader }) {
    cluster.isolate(leader);
    cluster.cutEtcd(leader);
    return { end: async () => cluster.heal() };
  },

  /** The others hear nothing from it; it hears them. */
  async mute({ cluster, leader }) {
    for (const other of cluster.others(leader)) cluster.mute(leader, other);
    return { end: async () => cluster.heal() };
  },

  /** It hears nothing from the others; they hear it. */
  async deaf({ cluster, leader }) {
    for (const other of cluster.others(leader)) cluster.mute(other, leader);
    return { end: async () => cluster.heal() };
  },

  /** An operator has another member lead. */
  async switchover({ cluster, leader, database }) {
    const { pauseMs } = await cluster.admin(leader, database, "switchover", { timeoutMs: 15_000 });
    return { end: async () => {}, pauseMs };
  },
};
