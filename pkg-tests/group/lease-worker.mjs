/**
 * A worker for the tests alone: it calls the lease store that the body asks for, and answers what the store said. The
 * other end is `remote-store.mjs`.
 */

import { DurableObjectLeaseStore, EtcdLeaseStore, HeadwaterCoordinator } from "headwater/worker";

export { HeadwaterCoordinator };

/** As a worker keeps it: from one request to the next. @type {Map<string, EtcdLeaseStore>} */
const etcdStores = new Map();

export default {
  /** @param {Request} request @param {{ HEADWATER_COORDINATOR: never }} env */
  async fetch(request, env) {
    if (new URL(request.url).pathname === "/healthz") return new Response("ok");
    const { etcd, call, parameters } = await request.json();
    try {
      const store = etcd === undefined ? new DurableObjectLeaseStore(env.HEADWATER_COORDINATOR) : etcdStore(etcd);
      const [database, ...more] = parameters;
      const answer =
        call === "read" ? await store.read(database) : await store.swap(database, more[0] ?? undefined, more[1]);
      return Response.json({ answer });
    } catch (error) {
      return Response.json({ error: { name: error.name, code: error.code, message: error.message } });
    }
  },
};

/** @param {object} options */
function etcdStore(options) {
  const key = JSON.stringify(options);
  const store = etcdStores.get(key) ?? new EtcdLeaseStore(options);
  etcdStores.set(key, store);
  return store;
}
