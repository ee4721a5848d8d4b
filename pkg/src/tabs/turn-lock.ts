/** One Web Lock for which tabs queue, and which they may steal from each other. It knows no reason to do either. */

/** One request for the lock, from asking to letting go. */
interface Turn {
  isHeld: boolean;
  /** Gives up waiting, or lets go. */
  end(): void;
}

/** A lock as one of those who want it has it. */
export class TurnLock {
  readonly #locks: LockManager;
  readonly #name: string;
  readonly #events: { hold(): void; unhold(): void };
  #turn: Turn | undefined;

  /** Asks for nothing yet. */
  constructor(locks: LockManager, name: string, events: { hold(): void; unhold(): void }) {
    this.#locks = locks;
    this.#name = name;
    this.#events = events;
  }

  /** Waits for its turn: `hold` is called then. Whoever loses the lock queues again by itself. */
  queue(): void {
    void this.#take(false);
  }

  /** Takes it from whoever has it: `hold` is called then. */
  steal(): void {
    void this.#take(true);
  }

  /** The browser has taken the lock from this page, or its place in the queue. */
  restore(): void {
    const wasHeld = this.#turn?.isHeld ?? false;
    this.release();
    if (wasHeld) this.#events.unhold();
    this.queue();
  }

  /** Lets go of it, or gives up waiting. Nothing is told of that. */
  release(): void {
    this.#turn?.end();
    this.#turn = undefined;
  }

  async #take(steal: boolean): Promise<void> {
    this.release();
    const givenUp = new AbortController();
    const turn: Turn = { isHeld: false, end: () => givenUp.abort() };
    this.#turn = turn;
    const hold = () => {
      if (givenUp.signal.aborted) return undefined;
      turn.isHeld = true;
      this.#events.hold();
      return new Promise<void>((resolve) => {
        turn.end = resolve;
      });
    };
    try {
      // The two options exclude each other: whoever steals does not wait.
      await this.#locks.request(this.#name, steal ? { steal } : { signal: givenUp.signal }, hold);
    } catch {
      // Stolen, or given up by us; or the page is about to go, and there is nothing to queue for.
      if (this.#turn !== turn || !turn.isHeld) return;
      this.#events.unhold();
      this.queue();
    }
  }
}
