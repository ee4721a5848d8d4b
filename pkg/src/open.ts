/** Opening: options, module, storage, replica, in this order, and everything undone if one of them fails. */

import { Database } from "./database.js";
import { Engine, type EngineParts } from "./engine.js";
import { HeadwaterError } from "./errors.js";
import { Instance } from "./instance.js";
import { checkOpen } from "./options.js";
import type { Platform } from "./platform/platform.js";
import { MemoryStore } from "./store/memory.js";
import { requestPersistence } from "./store/persistence.js";
import type { Store } from "./store/store.js";
import type { Concern, OpenOptions } from "./types.js";
import { syncUrl } from "./url.js";

/** How long reading storage at the start may take. */
const READY_MS_MAX = 30_000;

/** The `open` of a platform. */
export type Open = (name: string, options?: OpenOptions) => Promise<Database>;

/** Makes the `open` of a platform. */
export function createOpen(platform: Platform): Open {
  return async (name, options = {}) => {
    checkOpen(name, options);
    const url = options.url === undefined ? undefined : syncUrl(options.url, name);
    const leader = url === undefined ? undefined : { url, WebSocket: await platform.webSocket() };
    const module = await platform.module();
    const store = await openStore(platform, options.name ?? name, options);
    let engine: Engine;
    try {
      engine = begin(platform, module, store, leader, options);
    } catch (error) {
      store.close();
      throw error;
    }
    const unlisten = platform.onWake(() => {
      engine.driver.tell((replica, now) => replica.nudge(now));
      void tellStorage(engine, store);
    });
    engine.emitter.on("ended", unlisten);
    try {
      await ready(engine);
    } catch (error) {
      await engine.close();
      throw error;
    }
    void tellStorage(engine, store);
    return new Database(name, engine, leader !== undefined);
  };
}

async function openStore(platform: Platform, localName: string, { storage = {} }: OpenOptions): Promise<Store> {
  if (storage === "memory") return new MemoryStore();
  const store = await platform.openStore(localName);
  if (storage.persist !== false) requestPersistence();
  return store;
}

function begin(
  platform: Platform,
  module: WebAssembly.Module,
  store: Store,
  leader: EngineParts["leader"],
  options: OpenOptions,
): Engine {
  const instance = new Instance(module);
  const hasLeader = leader !== undefined;
  const [origin, seed] = crypto.getRandomValues(new BigUint64Array(2)) as unknown as [bigint, bigint];
  const replica = new instance.glue.Replica(origin, hasLeader, store.isDurable, seed);
  if (options.connect === false) replica.pause(true, platform.now());
  const concern = options.concern ?? defaultConcern(hasLeader, store.isDurable);
  return new Engine({ instance, replica, store, leader, now: platform.now, origin, concern });
}

function defaultConcern(hasLeader: boolean, isDurable: boolean): Concern {
  if (hasLeader) return "leader";
  return isDurable ? "local" : "applied";
}

/** Waits for the replica to have read its storage. */
function ready(engine: Engine): Promise<void> {
  return new Promise((resolve, reject) => {
    const message = `local storage was not read within ${READY_MS_MAX} ms; close other tabs of this site and try again`;
    const timer = setTimeout(() => reject(new HeadwaterError("STORAGE_UNAVAILABLE", message)), READY_MS_MAX);
    engine.opened.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

async function tellStorage(engine: Engine, store: Store): Promise<void> {
  engine.storage = await store.info();
  engine.changed();
}
