/**
 * A node that is given a bucket, and the bucket: another object, which answers as the binding of R2 does, with what this
 * package uses of it. `GET /bucket` lists its keys.
 */

import { DurableObject } from "cloudflare:workers";

import { HeadwaterNode, route } from "./worker.js";

/** Objects by key, on disk. */
export class BucketObject extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS objects (key TEXT PRIMARY KEY, value BLOB NOT NULL)");
  }

  put(key, value) {
    this.ctx.storage.sql.exec("INSERT OR REPLACE INTO objects (key, value) VALUES (?, ?)", key, value);
  }

  get(key) {
    const [row] = this.ctx.storage.sql.exec("SELECT value FROM objects WHERE key = ?", key);
    return row?.value ?? null;
  }

  delete(keys) {
    for (const key of keys) this.ctx.storage.sql.exec("DELETE FROM objects WHERE key = ?", key);
  }

  keys() {
    return [...this.ctx.storage.sql.exec("SELECT key FROM objects ORDER BY key")].map(({ key }) => key);
  }
}

/** The node, with a bucket among its bindings. */
export class NodeWithBucket extends HeadwaterNode {
  constructor(ctx, env) {
    super(ctx, { ...env, HEADWATER_FILES: bucketOf(env) });
  }
}

function bucketOf(env) {
  const object = () => env.BUCKET.get(env.BUCKET.idFromName("bucket"));
  return {
    async put(key, value) {
      await object().put(key, value);
      return { key };
    },
    async get(key) {
      const value = await object().get(key);
      return value === null ? null : { arrayBuffer: async () => value };
    },
    delete: (keys) => object().delete(keys),
  };
}

export default {
  async fetch(request, env) {
    if (new URL(request.url).pathname === "/bucket") {
      return Response.json(await env.BUCKET.get(env.BUCKET.idFromName("bucket")).keys());
    }
    return route(request, env) ?? new Response(null, { status: 404 });
  },
};
