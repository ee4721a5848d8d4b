/**
 * A web site on loopback with the built package and a page that imports it, as any static file server would serve them.
 * It knows no worker: pages say themselves where the leader is.
 */

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

import { ROOT } from "./env.mjs";
import { traceJson } from "./trace.mjs";

const TYPES = new Map([
  [".js", "text/javascript"],
  [".wasm", "application/wasm"],
  [".map", "application/json"],
]);

/** Scripts that pages import besides the package. */
const SCRIPTS = new Map([
  ["/page.js", "harness/page.mjs"],
  ["/tabs-page.js", "topologies/tabs-page.mjs"],
  ["/files-page.js", "storage/files-page.mjs"],
]);

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8"><title>Headwater</title><link rel="icon" href="data:,">
<script type="module">
  import * as headwater from "/headwater/browser.js";
  import * as page from "/page.js";
  Object.assign(window, { headwater, page });
</script>
`;

/** Without any script: for tests that import by themselves. */
const BLANK = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Blank</title><link rel="icon" href="data:,">`;

/** Pages of other origins may have them: those of frames without an origin, for one. */
const SHARED = { "access-control-allow-origin": "*" };

/** A running site. */
export class Site {
  /** @type {string[]} Paths that were asked for, in order. */
  requests = [];
  #server;

  /** @param {import("node:http").Server} server */
  constructor(server) {
    this.#server = server;
  }

  /** Starts a site; it ends with its owner. @param {import("./cleanup.mjs").Owner} owner */
  static async start(owner) {
    const server = createServer();
    const site = new Site(server);
    server.on("request", (request, response) => void site.#answer(request, response));
    await new Promise((resolve) => void server.listen(0, "127.0.0.1", () => resolve(undefined)));
    server.unref();
    owner.after(() => {
      server.close();
      server.closeAllConnections();
    });
    return site;
  }

  /** Where it is. */
  get url() {
    const { port } = /** @type {import("node:net").AddressInfo} */ (this.#server.address());
    return `http://127.0.0.1:${port}`;
  }

  /**
   * @param {import("node:http").IncomingMessage} request
   * @param {import("node:http").ServerResponse} response
   */
  async #answer(request, response) {
    const { pathname } = new URL(request.url ?? "/", "http://127.0.0.1");
    this.requests.push(pathname);
    if (pathname === "/") return send(response, "text/html", PAGE);
    if (pathname === "/blank") return send(response, "text/html", BLANK);
    if (pathname === "/trace.json") return send(response, "application/json", traceJson());
    const script = SCRIPTS.get(pathname);
    if (script !== undefined) return sendFile(response, join(ROOT, "pkg-tests", script), "text/javascript");
    if (pathname.startsWith("/headwater/")) {
      const name = normalize(pathname.slice("/headwater/".length));
      return sendFile(response, join(ROOT, "pkg/dist", name), TYPES.get(extname(name)));
    }
    response.writeHead(404).end();
  }
}

/**
 * @param {import("node:http").ServerResponse} response
 * @param {string} type
 * @param {string | Uint8Array} body
 */
function send(response, type, body) {
  response.writeHead(200, { "content-type": type }).end(body);
}

/**
 * @param {import("node:http").ServerResponse} response
 * @param {string} path
 * @param {string} [type]
 */
async function sendFile(response, path, type) {
  const file = await stat(path).catch(() => undefined);
  if (!file?.isFile() || type === undefined) return void response.writeHead(404).end();
  response.writeHead(200, { "content-type": type, "content-length": file.size, "cache-control": "no-store", ...SHARED });
  createReadStream(path).pipe(response);
}
