/** What can happen to a cluster and its leader: how it begins, and how it ends. It knows no clients. */

import { rm } from "node:fs/promises";

/**
 * @typedef {import("./cluster.mjs").Cluster} Cluster
 * @typedef {import("./cluster.mjs").ClusterNode} ClusterNode
 * @typedef {{ cluster: Cluster, leader: ClusterNode, database: string }} Struck
 * @typedef {object} Begun
 * @property {() => Promise<void>} end takes it back
 * @property {boolean} [isTotal] whether nobody can write to a quorum until it is taken back
 */

/** @type {Record<string, (struck: Struck) => Promise<Begun>>} */
export const FAULTS = {
  /** It dies, and comes back on the same disk. */
  async kill({ leader }) {
    await leader.worker.kill();
    return { end: () => leader.start() };
  },

  /** It dies, and comes back with an empty disk. */
  async wipe({ leader }) {
    await leader.worker.kill();
    await rm(leader.worker.storage, { recursive: true });
    return { end: () => leader.startEmpty() };
  },

  /** All members die at once, and come back on their disks. */
  async outage({ cluster }) {
    await Promise.all(cluster.nodes.map((node) => node.worker.kill()));
    return { end: async () => void (await Promise.all(cluster.nodes.map((node) => node.start()))), isTotal: true };
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
    await cluster.admin(leader, database, "switchover", { timeoutMs: 15_000 });
    return { end: async () => {} };
  },
};
