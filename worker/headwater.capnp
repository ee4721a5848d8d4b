# The edge worker on workerd, with its storage on this machine's disk. Paths and the address come from the command line:
#
#   workerd serve worker/headwater.capnp \
#     --directory-path=storage=DIR --directory-path=www=DIR --socket-addr=http=127.0.0.1:8787
#
# Alone, a node leads its databases. HEADWATER_GROUP in the environment makes it a group: three members in this process,
# or, with "self", this process one of them. See docs/operations.md.
#
# One workerd per storage directory: nothing would keep two from writing to the same object.

using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    # Where Durable Objects keep their SQLite files.
    (name = "storage", disk = (writable = true)),
    # The demo page.
    (name = "www", disk = (writable = false)),
    # Other members and etcd: they have private addresses more often than not, which workerd refuses by default.
    (name = "internet", network = (allow = ["public", "private"], tlsOptions = (trustBrowserCas = true))),
  ],
  sockets = [
    (name = "http", address = "127.0.0.1:8787", http = (), service = "main"),
  ],
);

const main :Workerd.Worker = (
  modules = [
    (name = "worker.js", esModule = embed "dist/worker.js"),
    (name = "headwater-node.wasm", wasm = embed "dist/headwater-node.wasm"),
  ],
  compatibilityDate = "2026-10-20",
  durableObjectNamespaces = [
    (className = "HeadwaterNode", uniqueKey = "headwater-node", enableSql = true),
    (className = "HeadwaterCoordinator", uniqueKey = "headwater-coordinator", enableSql = true),
  ],
  durableObjectStorage = (localDisk = "storage"),
  bindings = [
    (name = "HEADWATER", durableObjectNamespace = "HeadwaterNode"),
    (name = "HEADWATER_COORDINATOR", durableObjectNamespace = "HeadwaterCoordinator"),
    (name = "ASSETS", service = "www"),
    # Null where the environment does not have them.
    (name = "HEADWATER_GROUP", fromEnvironment = "HEADWATER_GROUP"),
    (name = "HEADWATER_LEASE", fromEnvironment = "HEADWATER_LEASE"),
    (name = "HEADWATER_NODE_SECRET", fromEnvironment = "HEADWATER_NODE_SECRET"),
    (name = "HEADWATER_FILES_RETENTION_MS", fromEnvironment = "HEADWATER_FILES_RETENTION_MS"),
    # How much nodes keep.
    (name = "HEADWATER_HISTORY_MS", fromEnvironment = "HEADWATER_HISTORY_MS"),
    (name = "HEADWATER_HISTORY_BYTES", fromEnvironment = "HEADWATER_HISTORY_BYTES"),
    (name = "HEADWATER_MERGE_BYTES", fromEnvironment = "HEADWATER_MERGE_BYTES"),
    (name = "HEADWATER_LOG_ENTRIES_MIN", fromEnvironment = "HEADWATER_LOG_ENTRIES_MIN"),
    (name = "HEADWATER_LOG_ENTRIES_MAX", fromEnvironment = "HEADWATER_LOG_ENTRIES_MAX"),
    (name = "HEADWATER_FOLD_ROWS", fromEnvironment = "HEADWATER_FOLD_ROWS"),
    (name = "HEADWATER_FOLD_BYTES", fromEnvironment = "HEADWATER_FOLD_BYTES"),
    (name = "HEADWATER_SQUASH_BYTES", fromEnvironment = "HEADWATER_SQUASH_BYTES"),
  ],
);
