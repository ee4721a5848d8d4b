/**
 * A replication group as it is run: an etcd, and one workerd for each member, on loopback, each with a disk of its own.
 * Between any two of them, and before each for its clients, there is a link that can be cut. It knows who may reach whom,
 * and asks the nodes' HTTP interface who leads.
 */

import { mkdir } from "node:fs/promises";

import { Etcd } from "./etcd.mjs";
import { Link } from "./link.mjs";
import { until } from "./until.mjs";
import { Worker } from "./worker.mjs";

/** What operators run. */
const CONFIG = "pkg/serve/headwater.capnp";
const SECRET = "a-secret-among-the-members-of-a-test";
const LED_MS_MAX = 60_000;

/**
 * A member as its group's configuration has it, but for the address.
 * @typedef {{ name: string, priority?: number, observer?: boolean, delayMs?: number }} Member
 */

/** @type {Member[]} */
const MEMBERS = [
  { name: "paris", priority: 2 },
  { name: "tokyo", priority: 1 },
  { name: "ohio", priority: 1 },
];

/** One member that runs, or did. */
export class ClusterNode {
  /** @type {Worker} */
  worker = /** @type {never} */ (undefined);
  /** Where its clients reach it. @type {Link} */
  clients = /** @type {never} */ (undefined);
  /** Where it reaches etcd. @type {Link} */
  etcd = /** @type {never} */ (undefined);
  /** Where it reaches the others, by their names. @type {Map<string, Link>} */
  to = new Map();

  /** @param {Member} member */
  constructor(member) {
    this.member = member;
    this.name = member.name;
  }

  /** Links look it up for each connection: another one after a restart. */
  get port() {
    return this.worker?.port ?? 0;
  }

  /** Where clients reach it. */
  get url() {
    return this.clients.url;
  }

  /** What it says of a database; `undefined` if it does not answer. @param {string} database */
  async status(database) {
    const answer = fetch(`${this.worker.url}/v1/${database}/status`, { signal: AbortSignal.timeout(2_000) });
    return answer.then((response) => (response.ok ? response.json() : undefined)).catch(() => undefined);
  }

  /** Starts it again after a kill, on its disk, and on another port: somebody may have taken the one it had. */
  async start() {
    this.worker.port = 0;
    await this.worker.start();
  }

  /** The same, on a disk with nothing on it. */
  async startEmpty() {
    await mkdir(this.worker.storage, { recursive: true });
    await this.start();
  }
}

/** All members and what is between them. */
export class Cluster {
  /** @type {ClusterNode[]} */
  nodes;
  /** @type {Etcd} */
  etcd;
  secret = SECRET;

  /** @param {Etcd} etcd @param {ClusterNode[]} nodes */
  constructor(etcd, nodes) {
    this.etcd = etcd;
    this.nodes = nodes;
  }

  /**
   * Starts a group on empty disks; it ends with its owner. Without `isGroup` the nodes know nothing of each other.
   * @param {import("./cleanup.mjs").Owner} owner
   * @param {{
   *   members?: Member[], quorum?: number, topology?: "single-leader" | "multi-leader", settings?: object, isGroup?: boolean,
   *   env?: Record<string, string>,
   * }} [options]
   */
  static async start(owner, { members = MEMBERS, quorum = 2, topology, settings = {}, isGroup = true, env: more = {} } = {}) {
    const etcd = await Etcd.start(owner);
    const nodes = members.map((member) => new ClusterNode(member));
    const etcdPort = { port: Number(new URL(etcd.url).port) };
    for (const node of nodes) {
      node.clients = await Link.start(owner, node);
      node.etcd = await Link.start(owner, etcdPort);
      for (const other of nodes) if (other !== node) node.to.set(other.name, await Link.start(owner, other));
    }
    const cluster = new Cluster(etcd, nodes);
    const start = async (/** @type {ClusterNode} */ node) => {
      const env = { ...more, ...(isGroup ? environment(node, nodes, { quorum, topology, settings }) : {}) };
      node.worker = await Worker.start(owner, { config: CONFIG, env });
    };
    await Promise.all(nodes.map(start));
    return cluster;
  }

  /** Where clients find the members. */
  get urls() {
    return this.nodes.map(({ url }) => url);
  }

  /** A member by its name. @param {string} name */
  node(name) {
    const node = this.nodes.find((node) => node.name === name);
    if (node === undefined) throw new Error(`the cluster has no ${name}`);
    return node;
  }

  /** All but one. @param {ClusterNode} node */
  others(node) {
    return this.nodes.filter((other) => other !== node);
  }

  /**
   * Waits until a member leads that none of the others knows a later one than; answers it.
   * @param {string} database
   * @param {{ except?: ClusterNode }} [options]
   */
  async leader(database, { except } = {}) {
    const options = { what: `somebody leads ${database}`, timeoutMs: LED_MS_MAX };
    return this.explained(database, until(() => this.#leader(database, except), options));
  }

  /** Waits until every member that runs is back in the group and holds everything. @param {string} database */
  async whole(database) {
    const isWhole = async () => {
      const leader = await this.#leader(database);
      const { group } = (await leader?.status(database)) ?? {};
      const others = group?.members?.filter((/** @type {any} */ member) => member.name !== leader?.name) ?? [];
      const isHere = others.length === this.nodes.length - 1;
      return isHere && others.every((/** @type {any} */ member) => member.isConnected && member.lagEntries === 0);
    };
    const options = { what: `every member of ${database} holds everything`, timeoutMs: LED_MS_MAX };
    await this.explained(database, until(isWhole, options));
  }

  /**
   * Nothing goes from one member to the other any more; what goes the other way still does.
   * @param {ClusterNode} from
   * @param {ClusterNode} to
   */
  mute(from, to) {
    from.to.get(to.name)?.stall("up");
    to.to.get(from.name)?.stall("down");
  }

  /** Nothing goes between a member and the others, neither way. @param {ClusterNode} node */
  isolate(node) {
    for (const other of this.others(node)) {
      this.mute(node, other);
      this.mute(other, node);
    }
  }

  /** A member does not reach etcd any more. @param {ClusterNode} node */
  cutEtcd(node) {
    node.etcd.stall("up");
    node.etcd.stall("down");
  }

  /** Everything that was held back arrives, late, and all links are as new. */
  heal() {
    for (const { to, etcd, clients } of this.nodes) {
      for (const link of [...to.values(), etcd, clients]) {
        link.delayMs = { up: 0, down: 0 };
        link.goOnline();
        link.flow();
      }
    }
  }

  /**
   * Tells a member to do what operators ask for.
   * @param {ClusterNode} node
   * @param {string} database
   * @param {string} command
   * @param {object} body
   */
  async admin(node, database, command, body) {
    const response = await fetch(`${node.worker.url}/v1/${database}/admin/${command}`, {
      method: "POST",
      headers: { authorization: `Bearer ${this.secret}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(`${command}: ${answer.code}: ${answer.message}`);
    return answer;
  }

  /**
   * Says how every member is, if what is waited for does not come.
   * @template T
   * @param {string} database
   * @param {Promise<T>} waiting
   */
  async explained(database, waiting) {
    try {
      return await waiting;
    } catch (error) {
      for (const node of this.nodes) {
        console.log(`${node.name}: ${JSON.stringify(await node.status(database)) ?? "no answer"}`);
        for (const event of node.worker.events.slice(-10)) console.log(`${node.name} told: ${JSON.stringify(event)}`);
      }
      throw error;
    }
  }

  /** @param {string} database @param {ClusterNode} [except] */
  async #leader(database, except) {
    const asked = await Promise.all(
      this.nodes.map(async (node) => ({ node, status: node === except ? undefined : await node.status(database) })),
    );
    const newest = Math.max(...asked.map(({ status }) => Number(status?.epoch ?? 0)));
    return asked.find(({ status }) => status?.role === "leader" && Number(status.epoch) === newest)?.node;
  }
}

/**
 * What a member is told: its own way to each of the others.
 * @param {ClusterNode} node
 * @param {ClusterNode[]} nodes
 * @param {{ quorum: number, topology: string | undefined, settings: object }} options
 */
function environment(node, nodes, { quorum, topology, settings }) {
  const members = nodes.map(({ member, name, url }) => ({ ...member, address: node.to.get(name)?.url ?? url }));
  return {
    HEADWATER_GROUP: JSON.stringify({ self: node.name, quorum, topology, members, settings }),
    HEADWATER_LEASE: JSON.stringify({ etcd: [node.etcd.url] }),
    HEADWATER_NODE_SECRET: SECRET,
  };
}
