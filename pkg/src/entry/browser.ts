/** `headwater` in browsers. Importing it does nothing; the wasm is fetched by the first `open`. */

import { createBookmarks } from "../bookmarks.js";
import { createOpen, type Open } from "../open.js";
import { browserPlatform } from "../platform/browser.js";

export * from "../api.js";

// Bundlers recognise this form, and carry the file along.
const platform = browserPlatform(() => new URL("./headwater.wasm", import.meta.url));

/** Opens a database: reads its local copy, then connects. */
export const open: Open = createOpen(platform);

export const { mergeBookmarks, compareBookmarks, describeBookmark } = createBookmarks(platform);
