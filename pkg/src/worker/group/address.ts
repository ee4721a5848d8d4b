/** Where another member is, and whether the group's secret may go there. */

import { malformed } from "../../errors.js";

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/**
 * Checks an address: `https:`, or `http:` where nobody listens on the way or somebody has said that it may be. Answers it
 * without a slash at its end.
 */
export function checkAddress(address: unknown, name: string, isInsecure: boolean): string {
  const url = typeof address === "string" && URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || (url.protocol !== "https:" && url.protocol !== "http:")) {
    throw malformed(`${name} is ${JSON.stringify(address)}; it begins with https: or http:`);
  }
  if (url.username + url.password + url.search + url.hash !== "") throw malformed(`${name} has no user, query or fragment`);
  if (url.protocol === "http:" && !isInsecure && !LOOPBACK.test(url.hostname)) {
    throw malformed(
      `${name} is ${url.href}: the group's secret and its data would go unencrypted. Use https:, or say ` +
        '"settings": { "insecure": true } where the network itself is private',
    );
  }
  return url.href.replace(/\/+$/, "");
}
