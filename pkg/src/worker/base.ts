/** The platform's base class, with a type that does not depend on anybody's declarations. */

import { DurableObject } from "cloudflare:workers";
import type { EdgeContext } from "./cloudflare.js";

/** What Cloudflare's types ask of a class that a namespace is declared with. */
export interface Branded {
  readonly __DURABLE_OBJECT_BRAND: never;
}

/** The class that Durable Objects extend. */
export const Base = DurableObject as unknown as new (ctx: EdgeContext, env: unknown) => Branded;
