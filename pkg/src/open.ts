/** Opening: options, module, storage, replica, in this order, and everything undone if one of them fails. */

import { Database } from "./database.js";
import type { DriverParts } from "./driver.js";
import { Engine, type Life } from "./engine.js";
import { toHeadwaterError } from "./errors.js";
import { Files, type FilesParts, QUOTA_BYTES } from "./files/files.js";
import { MemoryFileStore } from "./files/store.js";
import { createGlue } from "./generated/replica/glue.js";
import { Instance } from "./instance.js";
import { checkOpen } from "./options.js";
import { moduleOf, type Platform } from "./platform/platform.js";
import { MemoryStore } from "./store/memory.js";
import { requestPersistence } from "./store/persistence.js";
import { Sentinel } from "./store/sentinel.js";
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
  const isPaused = options.connect === false;
  const openIt = () => openStore(platform, storageName, options);
  const memo = Sentinel.memo(storageName);
  let store = await deadline.step("opening local storage", openIt, (late) => late.close());
  const born = (isPaused: boolean) => begin({ platform, module, leader, storageName, options }, store, isPaused);
  const life = await deadline.step("joining the other tabs", () => born(isPaused), end);
  const engine = new Engine({
    life,
    concern: options.concern ?? defaultConcern(leader !== undefined, store.isDurable),
    degrade: options.degrade ?? null,
    isPaused,
    openStore: openIt,
    renew: async ({ fresh, isPaused }) => {
      store = fresh?.store ?? store.reopen?.() ?? (await openIt());
      if (fresh !== undefined) await store.commit(fresh.ops);
      return born(isPaused);
    },
  });
  const incident = life.sentinel?.judge(memo);
  if (incident !== undefined) engine.tellIncident(incident);
  const unlisten = platform.onWake(() => {
    engine.driver.tell((replica, now) => replica.nudge(now));
    engine.emitter.emit("woke", null);
    void tellStorage(engine, store);
  });
  const unlistenToHide = platform.onHide?.(() => engine.note());
  engine.emitter.on("ended", () => {
    unlisten();
    unlistenToHide?.();
  });
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
  return new Database(name, engine, files, () => store, urls ?? []);
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

interface Opened {
  readonly platform: Platform;
  readonly module: WebAssembly.Module;
  readonly leader: DriverParts["leader"];
  readonly storageName: string;
  readonly options: OpenOptions;
}

/** One life of a database on its storage, which ends with it if it cannot begin. */
async function begin({ platform, module, leader, storageName, options }: Opened, store: Store, isPaused: boolean): Promise<Life> {
  const { now } = platform;
  let tabs: Tabs | undefined;
  try {
    const [origin, seed] = crypto.getRandomValues(new BigUint64Array(2)) as unknown as [bigint, bigint];
    if (options.tabs !== "alone" && store.isDurable) tabs = await platform.joinTabs?.(storageName, origin);
    const instance = new Instance(createGlue, module);
    const replica = new instance.glue.Replica(origin, leader !== undefined, store.isDurable, seed, tabs !== undefined);
    if (isPaused) replica.pause(true, now());
    const sentinel = Sentinel.of(storageName, store.life);
    return { instance, replica, store, leader, tabs, origin, now, sentinel };
  } catch (error) {
    store.close();
    tabs?.close();
    throw error;
  }
}

/** A life that nobody waits for any more. */
function end({ store, tabs }: Life): void {
  store.close();
  tabs?.close();
}

function defaultConcern(hasLeader: boolean, isDurable: boolean): Concern {
  if (hasLeader) return "leader";
  return isDurable ? "local" : "applied";
}

async function tellStorage(engine: Engine, store: Store): Promise<void> {
  engine.storage = await store.info();
  engine.changed();
}
