/** How long a file is waited for: its caller, the end of the database and silence end that. It knows no file. */

import { HeadwaterError } from "../errors.js";
import { aborted } from "../waits.js";
import type { Over } from "./file-receipt.js";

/** One `get`: it ends when its caller says so, when the database is closed, or when nothing arrives for too long. */
export class Receiving {
  readonly #timeoutMs: number;
  readonly #caller: AbortSignal | undefined;
  readonly #over: Over;
  readonly #end = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failure: HeadwaterError | undefined;
  readonly #abort = () => this.#fail(aborted(this.#caller as AbortSignal));

  /** Waits for the first chunk. */
  constructor(timeoutMs: number, caller: AbortSignal | undefined, over: Over) {
    this.#timeoutMs = timeoutMs;
    this.#caller = caller;
    caller?.addEventListener("abort", this.#abort);
    this.#over = over;
    void over.ended.then((error) => this.#fail(error));
    this.arrived();
  }

  /** Aborts when it ends too early. */
  get signal(): AbortSignal {
    return this.#end.signal;
  }

  /** Something came: the time begins anew. */
  arrived(): void {
    clearTimeout(this.#timer);
    const message = `nothing of the file arrived for ${this.#timeoutMs} ms; what is here of it is kept, get it again`;
    this.#timer = setTimeout(() => this.#fail(new HeadwaterError(this.#over.lateCode(), message)), this.#timeoutMs);
  }

  /** Throws if it has ended. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Lets time pass before another attempt. */
  async pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.signal.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve();
      });
    });
    this.check();
  }

  /** Everything is here, or nobody waits any more. */
  end(): void {
    clearTimeout(this.#timer);
    this.#caller?.removeEventListener("abort", this.#abort);
  }

  #fail(error: HeadwaterError): void {
    this.#failure ??= error;
    this.#end.abort();
  }
}
