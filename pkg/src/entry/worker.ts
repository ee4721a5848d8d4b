/** `headwater/worker`: what an edge worker exports and calls to be the leader of its databases. */

export { HeadwaterCoordinator } from "../worker/lease/coordinator.js";
export { DurableObjectLeaseStore } from "../worker/lease/durable-object-store.js";
export type { EtcdOptions } from "../worker/lease/etcd-gateway.js";
export { EtcdLeaseStore, type EtcdLeaseStoreOptions } from "../worker/lease/etcd-store.js";
export {
  type HeldLease,
  LEASE_CALL_MS_MAX,
  LEASE_RECORD_BYTES_MAX,
  type LeaseCallOptions,
  type LeaseStore,
  type LeaseSwap,
} from "../worker/lease/lease-store.js";
export { HeadwaterNode } from "../worker/node.js";
export { route, type RouteOptions } from "../worker/route.js";
