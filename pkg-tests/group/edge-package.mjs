/**
 * `headwater/worker` as it is built, in Node.js: what only the edge has is replaced by nothing, since neither lease stores
 * nor the gate before the nodes use it.
 */

import { register } from "node:module";

const HOOKS = `
const NOTHING = {
  "cloudflare:workers": "export class DurableObject {}",
  "./headwater-node.wasm": "export default undefined",
};
export async function resolve(name, context, next) {
  const source = NOTHING[name];
  return source === undefined ? next(name, context) : { url: "data:text/javascript," + encodeURIComponent(source), shortCircuit: true };
}`;

register(`data:text/javascript,${encodeURIComponent(HOOKS)}`);

export const { DurableObjectLeaseStore, EtcdLeaseStore, LEASE_RECORD_BYTES_MAX, route } = await import(
  "headwater/worker"
);
