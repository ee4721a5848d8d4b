/** Says what rows a database's object has: `GET /{database}/{table}`, each row as key and value in base64. */

import { DurableObject } from "cloudflare:workers";

const TABLES = ["meta", "log", "origins", "docs", "contents"];

export default {
  /** @param {Request} request @param {{ ROWS: any }} env */
  fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === "/healthz") return new Response("ok");
    const database = decodeURIComponent(pathname.split("/")[1] ?? "");
    return env.ROWS.get(env.ROWS.idFromName(database)).fetch(request);
  },
};

export class Rows extends DurableObject {
  /** @param {Request} request */
  fetch(request) {
    const table = new URL(request.url).pathname.split("/")[2] ?? "";
    if (!TABLES.includes(table)) return new Response("no such table", { status: 404 });
    // Of values only the beginning: what is in a plan, not what is in a run.
    const what = table === "docs" ? "value" : "x'' AS value";
    const rows = [...this.ctx.storage.sql.exec(`SELECT key, ${what}, length(value) AS bytes FROM ${table} ORDER BY key`)];
    return Response.json(rows.map(({ key, value, bytes }) => ({ key: base64(key), value: base64(value), bytes })));
  }
}

/** @param {ArrayBuffer} bytes */
function base64(bytes) {
  return btoa(Array.from(new Uint8Array(bytes), (byte) => String.fromCharCode(byte)).join(""));
}
