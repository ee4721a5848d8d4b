/** What differs between browsers, Node.js and workerd. Everything else is the same code in all of them. */

import { toHeadwaterError } from "../errors.js";
import type { FileStore } from "../files/store.js";
import type { Store } from "../store/store.js";
import type { Tabs } from "../tabs/tabs.js";

/** One host. Nothing of it is called before a database is opened. */
export interface Platform {
  /** The compiled core; compiled once, however many databases are opened. */
  module(): Promise<WebAssembly.Module>;

  /** The class to make sockets of. */
  webSocket(): Promise<WebSocketClass>;

  /** Opens storage that survives the process. */
  openStore(name: string): Promise<Store>;

  /**
   * Opens the local copies of files of this name; without `isMade` answers `undefined` where there are none. Not there where
   * there is no storage that survives the process.
   */
  openFiles?(name: string, isMade: boolean): Promise<FileStore | undefined>;

  /**
   * Joins the others that have storage of this name open. `undefined`, or not there at all, where openings cannot find each
   * other: then each works alone.
   */
  joinTabs?(name: string, origin: bigint): Promise<Tabs | undefined>;

  /** Milliseconds of a clock that never goes back. */
  now(): number;

  /** Calls `wake` when the network or the page may be back, until the answered function is called. */
  onWake(wake: () => void): () => void;

  /** Calls `hide` when the page may be about to go, until the answered function is called. */
  onHide?(hide: () => void): () => void;
}

/** As much of the WebSocket class as is used: browsers, Node.js, workerd and `ws` all have it. */
export type WebSocketClass = new (url: string) => WebSocketLike;

/** As much of a WebSocket as is used. */
export interface WebSocketLike {
  binaryType: string;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(): void;
  addEventListener(type: "open" | "close" | "error", listener: () => void): void;
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
}

/** The compiled core of a platform, or a typed error. */
export async function moduleOf(platform: Platform): Promise<WebAssembly.Module> {
  try {
    return await platform.module();
  } catch (error) {
    throw toHeadwaterError(error, "NOT_FOUND", "headwater.wasm could not be loaded");
  }
}

/** Keeps what `load` answered, unless it failed: then the next caller tries again. */
export function once<T>(load: () => Promise<T>): () => Promise<T> {
  let loaded: Promise<T> | undefined;
  return () => {
    loaded ??= load().catch((error: unknown) => {
      loaded = undefined;
      throw error;
    });
    return loaded;
  };
}
