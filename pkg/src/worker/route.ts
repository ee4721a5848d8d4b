/** From a worker's request to the Durable Object of its database. */

import { HeadwaterError } from "../errors.js";
import type { EdgeNamespace } from "./cloudflare.js";
import { failure, json, otherMethod, withoutBody } from "./http.js";
import { parsePath, type Target } from "./path.js";

/** What `route` takes. */
export interface RouteOptions {
  /** The name of the binding to the namespace of `HeadwaterNode` objects; `HEADWATER` by default. */
  readonly binding?: string | undefined;
}

/**
 * Answers requests to `/v1/…` and `/healthz`; `null` for all others.
 *
 * ```ts
 * export default {
 *   fetch: (request, env) => route(request, env) ?? new Response(null, { status: 404 }),
 * };
 * ```
 */
export function route(request: Request, env: object, options: RouteOptions = {}): Response | Promise<Response> | null {
  let target: Target | null;
  try {
    target = parsePath(new URL(request.url).pathname);
  } catch (error) {
    return failure(error);
  }
  if (target === null) return null;
  if (request.method !== "GET" && request.method !== "HEAD") return otherMethod(request.method);
  if (target.kind === "health") {
    const healthy = json({ ok: true });
    return request.method === "HEAD" ? withoutBody(healthy) : healthy;
  }
  const { binding = "HEADWATER" } = options;
  const namespace = (env as Record<string, EdgeNamespace | undefined>)[binding];
  if (namespace === undefined) {
    throw new HeadwaterError("MALFORMED", `the worker has no binding ${binding} to a namespace of HeadwaterNode`);
  }
  return namespace.get(namespace.idFromName(target.database) as never).fetch(request);
}
