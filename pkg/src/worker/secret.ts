/** Who may ask what only members and operators may: those who show the secret of the deployment. */

import { json } from "./http.js";

/** Refuses a request that does not show the secret; `undefined` lets it pass. */
export async function refuseStranger(headers: Headers, secret: string | undefined): Promise<Response | undefined> {
  if (secret === undefined) {
    const message = "nobody may do this here: set HEADWATER_NODE_SECRET, and show it as authorization: Bearer SECRET";
    return json({ code: "FORBIDDEN", message }, 403);
  }
  const shown = /^Bearer +(\S+)$/i.exec(headers.get("authorization") ?? "")?.[1] ?? "";
  if (await isSame(shown, secret)) return undefined;
  const message = "the request does not show the secret of this deployment: authorization: Bearer SECRET";
  return json({ code: "UNAUTHORIZED", message }, 401, { "www-authenticate": "Bearer" });
}

/** Compares digests to their end, so that the time it takes tells nothing of where two secrets differ. */
async function isSame(left: string, right: string): Promise<boolean> {
  const [one = new Uint8Array(), other = new Uint8Array()] = await Promise.all([left, right].map(digest));
  return one.reduce((difference, byte, at) => difference | (byte ^ (other[at] ?? 0)), 0) === 0;
}

async function digest(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}
