/** From a worker's request to the Durable Object of its database: the gate, behind which objects trust what reaches them. */

import { HeadwaterError } from "../errors.js";
import { preferredOf } from "./group/config.js";
import { type Deployment, deploymentOf, nodesOf } from "./group/deployment.js";
import { type ObjectAt, objectOf } from "./group/objects.js";
import { answerPrivately } from "./group/private.js";
import { failure, json, otherMethod, respond, withoutBody } from "./http.js";
import { metrics } from "./metrics.js";
import { memberIn, methodsOf, parsePath, type Target } from "./path.js";
import { refuseStranger } from "./secret.js";

/** What `route` takes. */
export interface RouteOptions {
  /** The name of the binding to the namespace of `HeadwaterNode` objects; `HEADWATER` by default. */
  readonly binding?: string | undefined;
}

/**
 * Answers requests to `/v1/…`, `/healthz` and `/metrics`; `null` for all others.
 *
 * ```ts
 * export default {
 *   fetch: (request, env) => route(request, env) ?? new Response(null, { status: 404 }),
 * };
 * ```
 */
export function route(request: Request, env: object, options: RouteOptions = {}): Response | Promise<Response> | null {
  const url = new URL(request.url);
  let target: Target | null;
  let named: string | null;
  try {
    target = parsePath(url.pathname);
    named = memberIn(url);
  } catch (error) {
    return failure(error);
  }
  if (target === null) return null;
  const { methods, allow } = methodsOf(target);
  if (!methods.includes(request.method)) return otherMethod(request.method, allow);
  switch (target.kind) {
    case "health":
      return headed(request, json({ ok: true }));
    case "metrics":
      return measured(request, deploymentOf(env));
    case "group":
    case "groupFiles":
    case "admin":
      return answerPrivately(target, named, request, deploymentOf(env), objectsOf(target, env, options));
    case "export":
    case "import":
      return answerOperator(named, request, deploymentOf(env), objectsOf(target, env, options));
    default:
      return answerPublicly(named, request, objectsOf(target, env, options));
  }
}

/** Everything of a database at once: that is for those who run it. */
async function answerOperator(
  named: string | null,
  request: Request,
  { secret }: Deployment,
  objectAt: ObjectAt,
): Promise<Response> {
  const refusal = await refuseStranger(request.headers, secret);
  return headed(request, refusal ?? (await answerPublicly(named, request, objectAt)));
}

function answerPublicly(named: string | null, request: Request, objectAt: ObjectAt): Response | Promise<Response> {
  try {
    return objectAt(named).fetch(request);
  } catch (error) {
    return failure(error);
  }
}

/** Finds the object of a database at whichever member is named, or at the one that answers for all. */
function objectsOf(
  { database }: { readonly database: string },
  env: object,
  { binding }: RouteOptions,
): ObjectAt {
  const { group } = deploymentOf(env);
  const namespace = nodesOf(env, binding);
  return (named) => objectOf(namespace, group, memberOf(group, named), database);
}

function memberOf(group: Deployment["group"], named: string | null): string | undefined {
  if (group === undefined && named === null) return undefined;
  if (group === undefined) throw new HeadwaterError("NOT_FOUND", "there are no members here: HEADWATER_GROUP names no group");
  const { self, members } = group;
  if (named === null) return self ?? preferredOf(group).name;
  const here = self === undefined ? members.map(({ name }) => name) : [self];
  if (here.includes(named)) return named;
  throw new HeadwaterError("NOT_FOUND", `member ${JSON.stringify(named)} is not here; here is ${here.join(", ")}`);
}

/** The names of all databases are in it, hence the secret. */
async function measured(request: Request, { secret }: Deployment): Promise<Response> {
  const refusal = await refuseStranger(request.headers, secret);
  return headed(request, refusal ?? respond(metrics(), 200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" }));
}

function headed(request: Request, response: Response): Response {
  return request.method === "HEAD" ? withoutBody(response) : response;
}
