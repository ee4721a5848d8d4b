/** What the worker's bindings say of its nodes and their groups, read once for each environment that the platform hands out. */

import { HeadwaterError, malformed } from "../../errors.js";
import { known } from "../../options.js";
import type { EdgeNamespace } from "../cloudflare.js";
import type { Bucket } from "../files/chunks.js";
import { DurableObjectLeaseStore } from "../lease/durable-object-store.js";
import { EtcdLeaseStore, type EtcdLeaseStoreOptions } from "../lease/etcd-store.js";
import type { LeaseStore } from "../lease/lease-store.js";
import { nodeRetentionOf } from "../retention.js";
import { type GroupConfig, parseGroup } from "./config.js";
import type { NodeNamespace } from "./objects.js";

const NODES = "HEADWATER";
/** Thirty days. */
const FILES_RETENTION_MS = 30 * 24 * 3_600_000;

/** The bindings. What is not set is `undefined`, or `null` where the platform takes it from its own environment. */
interface Bindings {
  readonly HEADWATER_GROUP?: unknown;
  readonly HEADWATER_LEASE?: unknown;
  readonly HEADWATER_NODE_SECRET?: unknown;
  readonly HEADWATER_COORDINATOR?: EdgeNamespace;
  readonly HEADWATER_FILES?: Bucket;
  readonly HEADWATER_FILES_RETENTION_MS?: unknown;
}

/** How this worker's nodes belong together, and how much they keep. */
export interface Deployment {
  /** Without it every node leads alone. */
  readonly group: GroupConfig | undefined;
  /** What members show each other and operators show members. Without it nobody from outside is taken for either. */
  readonly secret: string | undefined;
  /** Where the groups' records are. */
  readonly leases: LeaseStore | undefined;
  /** Where files are, if not in the objects' own storage, and for how long they outlive the last reference. */
  readonly files: { readonly bucket: Bucket | undefined; readonly retentionMs: number };
  /** How much its nodes keep, as wasm takes it. */
  readonly retention: string;
}

const deployments = new WeakMap<object, Deployment>();

/** What these bindings say; throws for what cannot be meant. */
export function deploymentOf(env: object): Deployment {
  const deployment = deployments.get(env) ?? read(env);
  deployments.set(env, deployment);
  return deployment;
}

/** Where the binding to the objects of nodes is, by its name. Members find each other by the default. */
export function nodesOf(env: object, binding = NODES): NodeNamespace {
  const namespace = (env as Record<string, NodeNamespace | undefined>)[binding];
  if (namespace === undefined) {
    throw malformed(`the worker has no binding ${binding} to a namespace of HeadwaterNode`);
  }
  if (binding === NODES || deploymentOf(env).group === undefined) return namespace;
  throw malformed(`members of a group find each other through the binding ${NODES}, not ${binding}`);
}

function read(env: Bindings): Deployment {
  const secret = isSet(env.HEADWATER_NODE_SECRET) ? secretOf(env.HEADWATER_NODE_SECRET) : undefined;
  const files = { bucket: env.HEADWATER_FILES ?? undefined, retentionMs: retentionOf(env.HEADWATER_FILES_RETENTION_MS) };
  const retention = nodeRetentionOf(env as Record<string, unknown>);
  if (!isSet(env.HEADWATER_GROUP)) return { group: undefined, secret, leases: undefined, files, retention };
  const group = parseGroup(env.HEADWATER_GROUP);
  if (group.self !== undefined && secret === undefined) {
    throw malformed("HEADWATER_GROUP names self, so that members meet over the network: set HEADWATER_NODE_SECRET as well");
  }
  return { group, secret, leases: leasesOf(env, group), files, retention };
}

function secretOf(given: unknown): string {
  // Anything else would not survive a header.
  if (typeof given === "string" && /^[\x21-\x7e]+$/.test(given)) return given;
  throw malformed("HEADWATER_NODE_SECRET is one word of printable ASCII");
}

function retentionOf(given: unknown): number {
  if (!isSet(given)) return FILES_RETENTION_MS;
  const retentionMs = Number(given);
  if (Number.isSafeInteger(retentionMs) && retentionMs > 0) return retentionMs;
  throw malformed(`HEADWATER_FILES_RETENTION_MS is ${JSON.stringify(given)}; it is a whole number of milliseconds above zero`);
}

function leasesOf(env: Bindings, { self }: GroupConfig): LeaseStore {
  if (isSet(env.HEADWATER_LEASE)) return etcdOf(env.HEADWATER_LEASE);
  // Each process would have a coordinator of its own, and each member would lead.
  if (self !== undefined) {
    throw malformed('HEADWATER_GROUP names self: set HEADWATER_LEASE to {"etcd":["http://..."]}, which all members reach');
  }
  if (env.HEADWATER_COORDINATOR !== undefined) return new DurableObjectLeaseStore(env.HEADWATER_COORDINATOR);
  throw malformed("a group needs the binding HEADWATER_COORDINATOR to a namespace of HeadwaterCoordinator, or HEADWATER_LEASE");
}

function etcdOf(given: unknown): LeaseStore {
  try {
    const lease = (typeof given === "string" ? JSON.parse(given) : given) as Record<string, unknown>;
    known(lease, ["etcd", "prefix", "username", "password"], "the lease store");
    const { etcd, ...rest } = lease;
    return new EtcdLeaseStore({ ...rest, endpoints: etcd } as unknown as EtcdLeaseStoreOptions);
  } catch (error) {
    throw new HeadwaterError("MALFORMED", `HEADWATER_LEASE: ${(error as Error).message}`, { cause: error });
  }
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null && value !== "";
}
