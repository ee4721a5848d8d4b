/** The edge worker of the demo: the leader of its databases, and the demo page. Yours looks the same, with your page. */

import { HeadwaterCoordinator, HeadwaterNode, route } from "headwater/worker";
import { type Assets, serve } from "./assets.js";

export { HeadwaterCoordinator, HeadwaterNode };

interface Env {
  readonly ASSETS: Assets;
}

export default {
  fetch: (request: Request, env: Env): Response | Promise<Response> =>
    route(request, env) ?? serve(request, env.ASSETS),
};
