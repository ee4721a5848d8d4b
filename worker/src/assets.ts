/**
 * The files of a page, from whatever serves them. Cloudflare's assets come with their media types; workerd's directory
 * service knows none, so they are said here.
 */

/** What answers requests for files. */
export interface Assets {
  fetch(request: Request): Promise<Response>;
}

const TYPES: Readonly<Record<string, string>> = {
  css: "text/css; charset=utf-8",
  html: "text/html; charset=utf-8",
  ico: "image/x-icon",
  js: "text/javascript; charset=utf-8",
  json: "application/json",
  map: "application/json",
  png: "image/png",
  svg: "image/svg+xml",
  txt: "text/plain; charset=utf-8",
  wasm: "application/wasm",
  webp: "image/webp",
  woff2: "font/woff2",
};

/** Answers a request for a file; a path that ends with a slash stands for its index.html. */
export async function serve(request: Request, assets: Assets): Promise<Response> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return new Response(null, { status: 405, headers: { allow: "GET, HEAD" } });
  }
  const url = new URL(request.url);
  if (url.pathname.endsWith("/")) url.pathname += "index.html";
  const response = await assets.fetch(new Request(url, { method: request.method }));
  const type = TYPES[/\.(\w+)$/.exec(url.pathname)?.[1] ?? ""];
  if (!response.ok || type === undefined) return response;
  const headers = new Headers(response.headers);
  headers.set("content-type", type);
  headers.set("cache-control", "no-cache");
  return new Response(response.body, { status: response.status, headers });
}
