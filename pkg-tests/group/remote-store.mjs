/** Lease stores that run in a worker, called from here as if they ran here. The other end is `lease-worker.mjs`. */

/** One store of a worker. */
export class RemoteStore {
  #worker;
  #etcd;

  /** @param {import("../harness/worker.mjs").Worker} worker @param {object} [etcd] options of an `EtcdLeaseStore` */
  constructor(worker, etcd) {
    this.#worker = worker;
    this.#etcd = etcd;
  }

  /** @param {string} database */
  read(database) {
    return this.#call("read", [database]);
  }

  /** @param {string} database @param {string | undefined} expected @param {string} record */
  swap(database, expected, record) {
    return this.#call("swap", [database, expected ?? null, record]);
  }

  /** @param {string} call @param {unknown[]} parameters */
  async #call(call, parameters) {
    const body = JSON.stringify({ etcd: this.#etcd, call, parameters });
    const response = await fetch(this.#worker.url, { method: "POST", body });
    const { answer, error } = await response.json();
    if (error !== undefined) throw Object.assign(new Error(error.message), error);
    // What JSON leaves out is undefined, as in the interface.
    return answer?.swapped === false ? { swapped: false, current: answer.current } : answer;
  }
}
