# A worker whose node keeps files in a bucket: an object with the shape of an R2 bucket, since workerd has none of its own.

using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "storage", disk = (writable = true)),
  ],
  sockets = [
    (name = "http", address = "127.0.0.1:8787", http = (), service = "main"),
  ],
);

const main :Workerd.Worker = (
  modules = [
    (name = "files-bucket-worker.js", esModule = embed "files-bucket-worker.mjs"),
    (name = "worker.js", esModule = embed "../../pkg/dist/worker.js"),
    (name = "headwater-node.wasm", wasm = embed "../../pkg/dist/headwater-node.wasm"),
  ],
  compatibilityDate = "2026-10-20",
  durableObjectNamespaces = [
    (className = "NodeWithBucket", uniqueKey = "headwater-node", enableSql = true),
    (className = "BucketObject", uniqueKey = "bucket", enableSql = true),
  ],
  durableObjectStorage = (localDisk = "storage"),
  bindings = [
    (name = "HEADWATER", durableObjectNamespace = "NodeWithBucket"),
    (name = "BUCKET", durableObjectNamespace = "BucketObject"),
    (name = "HEADWATER_FILES_RETENTION_MS", fromEnvironment = "HEADWATER_FILES_RETENTION_MS"),
  ],
);
