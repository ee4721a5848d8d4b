/** The other tabs in browsers: a BroadcastChannel, and Web Locks. Two openings in one page are two tabs. */

import type { Tabs, TabsEvents } from "./tabs.js";
import { TurnLock } from "./turn-lock.js";

/**
 * Joins the tabs on this storage, whose name it is. `undefined` where there is no BroadcastChannel or no Web Locks, which
 * only secure contexts with an origin have: whoever is opened there works alone.
 */
export async function joinTabs(name: string, origin: bigint): Promise<Tabs | undefined> {
  const locks = lockManager();
  if (locks === undefined || typeof BroadcastChannel !== "function") return undefined;
  try {
    // Before anything is told: whoever hears of this tab may ask for its end at once.
    const letGo = await live(locks, name, origin);
    return new BrowserTabs(locks, name, origin, letGo);
  } catch (error) {
    // An opaque origin has the API, and is refused each lock.
    if (error instanceof DOMException && error.name === "SecurityError") return undefined;
    throw error;
  }
}

/** A tab's place among others in a browser. */
class BrowserTabs implements Tabs {
  readonly #locks: LockManager;
  readonly #name: string;
  readonly #origin: bigint;
  readonly #channel: BroadcastChannel;
  readonly #watched = new Set<bigint>();
  readonly #closed = new AbortController();
  #letGo: () => void;
  #lock: TurnLock | undefined;
  #events: TabsEvents | undefined;

  constructor(locks: LockManager, name: string, origin: bigint, letGo: () => void) {
    this.#locks = locks;
    this.#name = name;
    this.#origin = origin;
    this.#letGo = letGo;
    this.#channel = new BroadcastChannel(name);
  }

  begin(events: TabsEvents): void {
    this.#events = events;
    this.#channel.onmessage = ({ data }: MessageEvent<Uint8Array>) => events.heard(data);
    this.#lock = new TurnLock(this.#locks, this.#name, events);
    this.#lock.queue();
    globalThis.addEventListener?.("pageshow", this.#onPageShow);
  }

  tell(bytes: Uint8Array<ArrayBuffer>): void {
    this.#channel.postMessage(bytes);
  }

  steal(): void {
    this.#lock?.steal();
  }

  watch(origin: bigint): void {
    this.#watched.add(origin);
    void this.#awaitEnd(origin);
  }

  close(): void {
    globalThis.removeEventListener?.("pageshow", this.#onPageShow);
    this.#closed.abort();
    this.#channel.close();
    this.#lock?.release();
    this.#letGo();
  }

  readonly #onPageShow = (event: Event): void => {
    if ((event as PageTransitionEvent).persisted) void this.#wake();
  };

  /**
   * It lay in the back/forward cache. By the standard the browser has taken its locks meanwhile, and its requests for locks;
   * Chromium leaves it all of them.
   */
  async #wake(): Promise<void> {
    const mine = lifeLock(this.#name, this.#origin);
    try {
      const { held } = await this.#locks.query();
      if (this.#closed.signal.aborted || held?.some(({ name }) => name === mine)) return;
      const letGo = await live(this.#locks, this.#name, this.#origin);
      if (this.#closed.signal.aborted) return letGo();
      this.#letGo = letGo;
    } catch {
      // The page goes again.
      return;
    }
    this.#lock?.restore();
    for (const origin of this.#watched) void this.#awaitEnd(origin);
  }

  async #awaitEnd(origin: bigint): Promise<void> {
    const { signal } = this.#closed;
    // Shared, so that nobody who watches waits for somebody else who does.
    const options = { mode: "shared", signal } as const;
    try {
      await this.#locks.request(lifeLock(this.#name, origin), options, () => undefined);
    } catch {
      // It was closed, or the page goes.
      return;
    }
    if (!signal.aborted && this.#watched.delete(origin)) this.#events?.gone(origin);
  }
}

/** Holds the lock that says that this tab exists; answers how to let go of it. */
function live(locks: LockManager, name: string, origin: bigint): Promise<() => void> {
  return new Promise((resolve, reject) => {
    const hold = () => new Promise<void>((letGo) => resolve(letGo));
    locks.request(lifeLock(name, origin), hold).catch(reject);
  });
}

function lifeLock(name: string, origin: bigint): string {
  return `${name}/tab/${origin.toString(16).padStart(16, "0")}`;
}

function lockManager(): LockManager | undefined {
  try {
    return (globalThis.navigator as Navigator | undefined)?.locks;
  } catch {
    // Some hosts refuse the property itself.
    return undefined;
  }
}
