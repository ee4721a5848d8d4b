/** What a node's object needs to be a member: put together from the worker's bindings and the object's own id. */

import { deploymentOf, nodesOf } from "./deployment.js";
import type { Membership } from "./member.js";
import { ownName } from "./objects.js";
import { HttpPeers, ObjectPeers } from "./peers.js";

/** An object's membership; `undefined` where nodes lead alone. */
export function membershipOf(id: unknown, env: object, database: string): Membership | undefined {
  const { group, secret, leases } = deploymentOf(env);
  if (group === undefined || leases === undefined) return undefined;
  if (group.self !== undefined) {
    return { me: group.self, database, group, leases, peers: new HttpPeers(group, secret ?? "", database) };
  }
  const namespace = nodesOf(env);
  const me = ownName(id, namespace, group, database);
  return { me, database, group, leases, peers: new ObjectPeers(namespace, group, database) };
}
