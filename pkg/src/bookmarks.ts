/** Bookmarks for those who hold them as text: on a server, in a cookie. They need no open database. */

import { createGlue } from "./generated/replica/glue.js";
import { Instance } from "./instance.js";
import { moduleOf, once, type Platform } from "./platform/platform.js";
import type { BookmarkDescription } from "./types.js";

/** What can be done with bookmarks. */
export interface Bookmarks {
  /** The bookmark that waits for what either of two waits for. */
  mergeBookmarks(left: string, right: string): Promise<string>;
  /** -1, 0 or 1 as `left` waits for less, the same or more than `right`; `undefined` if neither covers the other. */
  compareBookmarks(left: string, right: string): Promise<-1 | 0 | 1 | undefined>;
  /** What a bookmark names, for logs and for the curious. */
  describeBookmark(bookmark: string): Promise<BookmarkDescription>;
}

/** The bookmarks of a platform. */
export function createBookmarks(platform: Platform): Bookmarks {
  const load = once(async () => new Instance(createGlue, await moduleOf(platform)));
  return {
    async mergeBookmarks(left, right) {
      const instance = await load();
      return instance.call(() => instance.glue.mergeBookmarks(left, right));
    },
    async compareBookmarks(left, right) {
      const instance = await load();
      return instance.call(() => instance.glue.compareBookmarks(left, right)) as -1 | 0 | 1 | undefined;
    },
    async describeBookmark(bookmark) {
      const instance = await load();
      return instance.call(() => instance.glue.describeBookmark(bookmark)) as BookmarkDescription;
    },
  };
}
