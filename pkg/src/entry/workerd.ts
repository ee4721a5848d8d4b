/** `headwater` in workerd: a replica within a worker. Edge leaders are in `headwater/worker`. */

import module from "./headwater.wasm";
import { createBookmarks } from "../bookmarks.js";
import { createOpen, type Open } from "../open.js";
import { memoryOnly } from "../platform/memory-only.js";
import type { Platform, WebSocketClass } from "../platform/platform.js";

export * from "../api.js";

const platform: Platform = {
  module: async () => module,
  webSocket: async () => WebSocket as unknown as WebSocketClass,
  openStore: memoryOnly("a worker"),
  now: () => Date.now(),
  onWake: () => () => undefined,
};

/** Opens a database: reads its local copy, then connects. */
export const open: Open = createOpen(platform);

export const { mergeBookmarks, compareBookmarks, describeBookmark } = createBookmarks(platform);
