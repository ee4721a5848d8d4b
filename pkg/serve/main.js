/** The edge worker of `headwater serve`: the package's routes, and nothing besides. */

import { HeadwaterCoordinator, HeadwaterNode, route } from "./worker.js";

export { HeadwaterCoordinator, HeadwaterNode };

export default {
  fetch: (request, env) => route(request, env) ?? new Response(null, { status: 404 }),
};
