# The lease stores on workerd: the built package as it is, and a worker that has tests call it over HTTP.

using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "storage", disk = (writable = true)),
    # The etcd of the tests is on this machine.
    (name = "internet", network = (allow = ["private"])),
  ],
  sockets = [
    (name = "http", address = "127.0.0.1:0", http = (), service = "main"),
  ],
);

const main :Workerd.Worker = (
  modules = [
    (name = "lease-worker.mjs", esModule = embed "lease-worker.mjs"),
    (name = "headwater/worker", esModule = embed "../../pkg/dist/worker.js"),
    (name = "headwater/headwater-node.wasm", wasm = embed "../../pkg/dist/headwater-node.wasm"),
  ],
  compatibilityDate = "2026-10-20",
  durableObjectNamespaces = [
    (className = "HeadwaterCoordinator", uniqueKey = "headwater-coordinator", enableSql = true),
  ],
  durableObjectStorage = (localDisk = "storage"),
  bindings = [
    (name = "HEADWATER_COORDINATOR", durableObjectNamespace = "HeadwaterCoordinator"),
  ],
);
