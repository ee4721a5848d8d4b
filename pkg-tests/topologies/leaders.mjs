/** A group of several leaders as its tests look at it: who leads, who lags, and whether all hold and show the same. */

import assert from "node:assert/strict";

import { missing } from "../harness/load.mjs";
import { until } from "../harness/until.mjs";

export const DATABASE = "leaders";

/**
 * @typedef {import("../harness/cluster.mjs").Cluster} Cluster
 * @typedef {import("../harness/cluster.mjs").ClusterNode} ClusterNode
 * @typedef {import("../harness/load.mjs").Load} Load
 */

/** Waits until every member leads in an epoch of its own; answers the epochs by name. @param {Cluster} cluster */
export async function allLead(cluster) {
  const ask = async () => {
    const told = await Promise.all(cluster.nodes.map((node) => node.status(DATABASE)));
    const isSo = told.every((status) => status?.role === "leader" && status.group?.topology === "multi-leader");
    return isSo ? Object.fromEntries(told.map(({ group, epoch }) => [group.me, Number(epoch)])) : undefined;
  };
  const epochs = await cluster.explained(DATABASE, until(ask, { what: "every member leads" }));
  assert.equal(new Set(Object.values(epochs)).size, cluster.nodes.length, "each in an epoch of its own");
  return epochs;
}

/** Waits until one leads, and every other member answers it: while clients write there is always some lag. @param {Cluster} cluster */
export async function allReached(cluster) {
  const ask = async () => {
    const { group } = (await (await cluster.leader(DATABASE)).status(DATABASE)) ?? {};
    const others = group?.members ?? [];
    return others.length === cluster.nodes.length - 1 && others.every(({ isConnected }) => isConnected);
  };
  await cluster.explained(DATABASE, until(ask, { what: "every member answers the leader" }));
}

/** Waits until all members hold and show the same; answers how far. @param {Cluster} cluster */
export async function converged(cluster) {
  const ask = async () => {
    const told = await Promise.all(cluster.nodes.map((node) => node.status(DATABASE)));
    const texts = told.flatMap((status) => [sorted(status?.group?.held), sorted(status?.group?.visible)]);
    return texts[0] !== "" && texts.every((text) => text === texts[0]) && texts[0];
  };
  return cluster.explained(DATABASE, until(ask, { what: "all members hold and show the same", timeoutMs: 120_000 }));
}

/** @param {Record<string, number> | undefined} held */
function sorted(held) {
  return held === undefined ? "" : JSON.stringify(Object.entries(held).sort());
}

/** How many entries each member has that each other one lacks, as it says itself. @param {Cluster} cluster */
export async function lags(cluster) {
  /** @type {Record<string, number>} */
  const found = {};
  for (const node of cluster.nodes) {
    const { group } = (await node.status(DATABASE)) ?? {};
    for (const member of group?.members ?? []) found[`${node.name}→${member.name}`] = member.lagEntries;
  }
  return found;
}

/** The same as a node's metrics have it. @param {ClusterNode} node @param {string} secret */
export async function measuredLags(node, secret) {
  const response = await fetch(`${node.worker.url}/metrics`, { headers: { authorization: `Bearer ${secret}` } });
  const text = await response.text();
  const lines = text.matchAll(/^headwater_follower_lag_entries\{.*follower="([a-z]+)".*\} (\d+)$/gm);
  return Object.fromEntries([...lines].map(([, name, entries]) => [name, Number(entries)]));
}

/**
 * What of these writes a member or a client does not show.
 * @param {Cluster} cluster
 * @param {Load[]} loads
 * @param {string} doc
 */
export async function missingAnywhere(cluster, loads, doc) {
  const written = loads.flatMap((load) => load.own(doc));
  const lost = [];
  for (const node of cluster.nodes) {
    const shown = (await node.worker.json(DATABASE, doc)).writes ?? {};
    lost.push(...missing(written, shown).map((key) => `${key} at ${node.name}`));
  }
  for (const { db } of loads.flatMap(({ writers }) => writers)) {
    const local = await db.doc(doc);
    const isWhole = () => missing(written, local.getMap("writes").toJSON()).length === 0;
    await until(isWhole, { what: `${db.name} shows all of ${doc}`, timeoutMs: 60_000 }).catch(() => {
      lost.push(...missing(written, local.getMap("writes").toJSON()).map((key) => `${key} at the client ${db.name}`));
    });
  }
  return lost;
}
