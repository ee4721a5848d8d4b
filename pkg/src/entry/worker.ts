/** `headwater/worker`: what an edge worker exports and calls to be the leader of its databases. */

export { HeadwaterNode } from "../worker/node.js";
export { route, type RouteOptions } from "../worker/route.js";
