/** `headwater` in Node.js. Importing it does nothing; the wasm is read by the first `open`. */

import { createBookmarks } from "../bookmarks.js";
import { createOpen, type Open } from "../open.js";
import { memoryOnly } from "../platform/memory-only.js";
import { once, type Platform, type WebSocketClass } from "../platform/platform.js";

export * from "../api.js";

const platform: Platform = {
  module: once(async () => {
    const { readFile } = await import("node:fs/promises");
    return WebAssembly.compile(await readFile(new URL("./headwater.wasm", import.meta.url)));
  }),
  // Node.js has its own since version 22.
  webSocket: once(async () => (globalThis.WebSocket ?? (await import("ws")).WebSocket) as unknown as WebSocketClass),
  openStore: memoryOnly("Node.js"),
  now: () => performance.now(),
  onWake: () => () => undefined,
};

/** Opens a database: reads its local copy, then connects. */
export const open: Open = createOpen(platform);

export const { mergeBookmarks, compareBookmarks, describeBookmark } = createBookmarks(platform);
