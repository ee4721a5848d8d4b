/** Opening: options, module, storage, replica, in this order, and everything undone if one of them fails. */

import { Database } from "./database.js";
import { Engine, type EngineParts } from "./engine.js";
import { toHeadwaterError } from "./errors.js";
import { Files, type FilesParts, QUOTA_BYTES } from "./files/files.js";
import { MemoryFileStore } from "./files/store.js";
import { createGlue } from "./generated/replica/glue.js";
import { Instance } from "./instance.js";
import { checkOpen } from "./options.js";
import { moduleOf, type Platform } from "./platform/platform.js";
import { MemoryStore } from "./store/memory.js";
import { requestPersistence } from "./store/persistence.js";
import type { Store } from "./store/store.js";
import type { Tabs } from "./tabs/tabs.js";
import type { Concern, OpenOptions } from "./types.js";
import { syncUrls } from "./url.js";
import { Deadline } from "./waits.js";

/** How long `open` takes at most unless told otherwise. */
const OPEN_MS = 30_000;

/** The `open` of a platform. */
export type Open = (name: string, options?: OpenOptions) => Promise<Database>;

/** Makes the `open` of a platform. */
export function createOpen(platform: Platform): Open {
  return async (name, options = {}) => {
    checkOpen(name, options);
    const deadline = new Deadline(options.timeoutMs ?? OPEN_MS, options.signal);
    try {
      return await openWithin(deadline, platform, name, options);
    } catch (error) {
      throw toHeadwaterError(error, "INTERNAL", `database ${JSON.stringify(name)} could not be opened`);
    } finally {
      deadline.end();
    }
  };
}

async function openWithin(
  deadline: Deadline,
  platform: Platform,
  name: string,
  options: OpenOptions,
): Promise<Database> {
  const urls = options.url === undefined ? undefined : syncUrls(options.url, name);
  const leader = urls === undefined ? undefined : { urls, WebSocket: await platform.webSocket() };
  const module = await deadline.step("loading headwater.wasm", () => moduleOf(platform));
  const storageName = storageNameOf(name, options.name ?? name);
  const openIt = () => openStore(platform, storageName, options);
  const store = await deadline.step("opening local storage", openIt, (late) => late.close());
  let tabs: Tabs | undefined;
  let engine: Engine;
  try {
    const [origin, seed] = crypto.getRandomValues(new BigUint64Array(2)) as unknown as [bigint, bigint];
    const join = async () => (options.tabs === "alone" || !store.isDurable ? undefined : platform.joinTabs?.(storageName, origin));
    tabs = await deadline.step("joining the other tabs", join, (late) => late?.close());
    engine = begin({ module, store, leader, tabs, origin, now: platform.now }, seed, options);
  } catch (error) {
    store.close();
    tabs?.close();
    throw error;
  }
  const unlisten = platform.onWake(() => {
    engine.driver.tell((replica, now) => replica.nudge(now));
    engine.emitter.emit("woke", null);
    void tellStorage(engine, store);
  });
  engine.emitter.on("ended", unlisten);
  try {
    await deadline.step("reading local storage", () => engine.opened);
  } catch (error) {
    // Nobody has written anything yet: there is nothing to wait for.
    await engine.close(0).catch(() => undefined);
    throw error;
  }
  void tellStorage(engine, store);
  const quotaBytes = options.files?.quotaBytes ?? QUOTA_BYTES;
  const openCopies = filesOf(platform, storageName, store.isDurable);
  const areTabs = store.isDurable && platform.joinTabs !== undefined;
  const files = new Files({ engine, urls, quotaBytes, name: `files/${storageName}`, areTabs, openStore: openCopies });
  return new Database(name, engine, files, store, urls ?? []);
}

/** Where the copies of files are: on disk if the replica is. */
function filesOf(platform: Platform, storageName: string, isDurable: boolean): FilesParts["openStore"] {
  const name = storageName.replace(/^headwater/, "headwater-files");
  return async (isMade) => {
    if (isDurable && platform.openFiles !== undefined) return platform.openFiles(name, isMade);
    return isMade ? new MemoryFileStore() : undefined;
  };
}

/** What storage is called, and what its tabs meet under. Encoded, so that no two pairs share a name. */
function storageNameOf(database: string, localName: string): string {
  return `headwater/${encodeURIComponent(database)}/${encodeURIComponent(localName)}`;
}

async function openStore(platform: Platform, name: string, options: OpenOptions): Promise<Store> {
  const { storage = {} } = options;
  if (storage === "memory") return new MemoryStore();
  const store = await platform.openStore(name);
  if (storage.persist !== false) requestPersistence();
  return store;
}

type Opened = Pick<EngineParts, "store" | "leader" | "tabs" | "origin" | "now"> & { readonly module: WebAssembly.Module };

function begin({ module, ...parts }: Opened, seed: bigint, options: OpenOptions): Engine {
  const { store, leader, tabs, origin, now } = parts;
  const instance = new Instance(createGlue, module);
  const hasLeader = leader !== undefined;
  const replica = new instance.glue.Replica(origin, hasLeader, store.isDurable, seed, tabs !== undefined);
  if (options.connect === false) replica.pause(true, now());
  const concern = options.concern ?? defaultConcern(hasLeader, store.isDurable);
  const { degrade = null } = options;
  return new Engine({ ...parts, instance, replica, concern, degrade });
}

function defaultConcern(hasLeader: boolean, isDurable: boolean): Concern {
  if (hasLeader) return "leader";
  return isDurable ? "local" : "applied";
}

async function tellStorage(engine: Engine, store: Store): Promise<void> {
  engine.storage = await store.info();
  engine.changed();
}
