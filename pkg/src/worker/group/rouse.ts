/**
 * Waking the member that begins the group: it is the one that is to lead it first, and an object sleeps until somebody asks
 * it something. Whoever finds that there is no record yet does; what is asked does not matter.
 */

import { type GroupConfig, preferredOf } from "./config.js";
import type { Peers } from "./peers.js";

/** How long the member has to answer, and how soon one that does not is asked again, at first and at last. */
const CALL_MS_MAX = 10_000;
const [PAUSE_MS, PAUSE_MS_MAX] = [500, 10_000];

/** Wakes one group's first leader. */
export class Rouser {
  readonly #group: GroupConfig;
  readonly #peers: Peers;
  readonly #me: string;
  #isRousing = false;
  #isOver = false;

  /** Asks nothing yet. */
  constructor({ group, peers, me }: { readonly group: GroupConfig; readonly peers: Peers; readonly me: string }) {
    this.#group = group;
    this.#peers = peers;
    this.#me = me;
  }

  /** Asks the member until it answers. */
  async rouse(): Promise<void> {
    const member = preferredOf(this.#group);
    if (member.name === this.#me || this.#isRousing) return;
    this.#isRousing = true;
    const to = { member: member.name, address: member.address, timeoutMs: CALL_MS_MAX };
    for (let pauseMs = PAUSE_MS; !this.#isOver; pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX)) {
      const isUp = await this.#peers.call(to, new Uint8Array()).then(() => true, () => false);
      if (isUp) break;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
    this.#isRousing = false;
  }

  /** Asks no more. */
  stop(): void {
    this.#isOver = true;
  }
}
