/** What the members of a group share, and operators show. */

import { malformed } from "../errors.js";
import type { Given, Option } from "./command.js";
import { readText } from "./group-config.js";

/** Where it is found. */
export const SECRET_VARIABLE = "HEADWATER_NODE_SECRET";

/** How commands take it. */
export const SECRET_OPTION: Readonly<Record<string, Option>> = {
  secret: { value: "SECRET", help: "the group's secret, for trying things out: others on the machine can read it there" },
  "secret-file": { value: "FILE", help: `the same from a file; ${SECRET_VARIABLE} in the environment does as well` },
};

/** The secret. */
export function secretOf(given: Given): string {
  const file = given.text("secret-file");
  const secret = given.text("secret") ?? (file === undefined ? process.env[SECRET_VARIABLE] : readText(file));
  if (secret) return secret;
  throw malformed(`the group's secret is missing: --secret-file, or ${SECRET_VARIABLE} in the environment`);
}
