# A worker in place of ours on the same storage, which says what rows there are. It knows nothing of what they mean.

using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "storage", disk = (writable = true)),
  ],
  sockets = [
    (name = "http", address = "127.0.0.1:0", http = (), service = "main"),
  ],
);

const main :Workerd.Worker = (
  modules = [
    (name = "rows-worker.mjs", esModule = embed "rows-worker.mjs"),
  ],
  compatibilityDate = "2026-10-20",
  # As in worker/headwater.capnp: it is given the files of those objects.
  durableObjectNamespaces = [
    (className = "Rows", uniqueKey = "headwater-node", enableSql = true),
  ],
  durableObjectStorage = (localDisk = "storage"),
  bindings = [
    (name = "ROWS", durableObjectNamespace = "Rows"),
  ],
);
