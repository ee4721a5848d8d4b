/**
 * When to drain: what arrives close together shall share one commit, and what arrives alone shall not wait.
 *
 * The window stays open as long as each turn of the loop brings something more, and closes with the first turn that
 * brings nothing. It must be turns, not microtasks: workerd hands over the next message of a socket only when the
 * handler of the one before has ended, with everything that it wrote on disk.
 */

/** The most turns that one window stays open. */
const TURNS_MAX = 8;

/** Gathers what arrives before a drain. */
export class Gather {
  readonly #drain: () => void;
  #isOpen = false;
  #arrived = 0;
  #arrivedSinceCommit = 0;

  /** Calls `drain` when a window closes. */
  constructor(drain: () => void) {
    this.#drain = drain;
  }

  /** Something arrived that may lead to a commit. */
  arrived(): void {
    this.#arrived += 1;
    this.#arrivedSinceCommit += 1;
    this.#open();
  }

  /** A commit begins: it takes all that has arrived. */
  committing(): void {
    this.#arrivedSinceCommit = 0;
  }

  /** What was waited for is here, a commit or an answer: what follows is done at once, unless others are about to join it. */
  settled(): void {
    if (this.#arrivedSinceCommit === 0) this.#drain();
    else this.#open();
  }

  #open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#turn(TURNS_MAX);
  }

  #turn(left: number): void {
    const before = this.#arrived;
    setTimeout(() => {
      if (this.#arrived > before && left > 1) return this.#turn(left - 1);
      this.#isOpen = false;
      this.#drain();
    }, 0);
  }
}
