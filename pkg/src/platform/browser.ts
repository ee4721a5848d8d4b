/** Browsers: the wasm lies beside the script, storage is IndexedDB. */

import { HeadwaterError } from "../errors.js";
import { IndexedDbFileStore } from "../files/indexeddb.js";
import { IndexedDbStore } from "../store/indexeddb.js";
import { joinTabs } from "../tabs/browser-tabs.js";
import { once, type Platform, type WebSocketClass } from "./platform.js";

/** The platform, with the address of the wasm. */
export function browserPlatform(wasmUrl: () => URL): Platform {
  return {
    module: once(() => load(wasmUrl())),
    webSocket: async () => WebSocket as unknown as WebSocketClass,
    openStore: (name) => IndexedDbStore.open(name),
    openFiles: (name, isMade) => IndexedDbFileStore.open(name, isMade),
    joinTabs,
    now: () => performance.now(),
    onWake,
    onHide,
  };
}

/** How long the wasm may take to arrive. Every `open` of a page waits for the same one; after this it is asked for anew. */
const LOAD_MS_MAX = 60_000;

async function load(url: URL): Promise<WebAssembly.Module> {
  try {
    return await fetchModule(url);
  } catch (cause) {
    if (cause instanceof HeadwaterError) throw cause;
    const isLate = cause instanceof Error && cause.name === "TimeoutError";
    const message = `${url} could not be loaded; is headwater.wasm served beside the script?`;
    throw new HeadwaterError(isLate ? "TIMEOUT" : "NOT_FOUND", message, { cause });
  }
}

async function fetchModule(url: URL): Promise<WebAssembly.Module> {
  const response = await fetch(url, { signal: AbortSignal.timeout(LOAD_MS_MAX) });
  if (!response.ok) {
    const message = `${url} answered ${response.status}; serve headwater.wasm beside the script that contains headwater`;
    throw new HeadwaterError("NOT_FOUND", message);
  }
  // Compiling while it streams is refused for any other media type, which plain file servers send.
  const type = response.headers.get("content-type")?.split(";")[0]?.trim();
  if (type === "application/wasm") return await WebAssembly.compileStreaming(response);
  return WebAssembly.compile(await response.arrayBuffer());
}

/** The network is back, the page came out of the cache, or the tab was chosen. */
function onWake(wake: () => void): () => void {
  const { document } = globalThis as { document?: Document };
  const onVisible = () => {
    if (document?.visibilityState === "visible") wake();
  };
  // Workers have no document, and not all of them these events.
  globalThis.addEventListener?.("online", wake);
  globalThis.addEventListener?.("pageshow", wake);
  document?.addEventListener("visibilitychange", onVisible);
  return () => {
    globalThis.removeEventListener?.("online", wake);
    globalThis.removeEventListener?.("pageshow", wake);
    document?.removeEventListener("visibilitychange", onVisible);
  };
}

function onHide(hide: () => void): () => void {
  globalThis.addEventListener?.("pagehide", hide);
  return () => globalThis.removeEventListener?.("pagehide", hide);
}
