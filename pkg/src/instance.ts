/**
 * One wasm instance, and what is done about its death. A trap in one database touches no other, because each has its
 * own; and nothing is asked of an instance that has trapped, because its memory may be anything.
 */

import { createGlue, type Glue } from "./generated/glue.js";
import { HeadwaterError, isCoded, type ErrorCode } from "./errors.js";

/** A wasm instance. Every call into it goes through {@link call}, or is watched by {@link watch}. */
export class Instance {
  /** The classes and functions of this instance. */
  readonly glue: Glue;
  /** Called once, when it dies. */
  onDeath: ((cause: HeadwaterError) => void) | undefined;
  #death: HeadwaterError | undefined;

  /** Instantiates the module. */
  constructor(module: WebAssembly.Module) {
    this.glue = createGlue();
    this.glue.initSync({ module });
  }

  /** Why it is dead, if it is. */
  get death(): HeadwaterError | undefined {
    return this.#death;
  }

  /** Calls into wasm, and nothing else: `f` runs no user code. */
  call<T>(f: () => T): T {
    if (this.#death !== undefined) throw this.#death;
    try {
      return f();
    } catch (error) {
      // An overflow of the stack leaves wasm in the middle of something, too.
      if (isTrap(error) || error instanceof RangeError) throw this.die(error);
      if (isCoded(error)) throw new HeadwaterError(error.code as ErrorCode, error.message);
      throw error;
    }
  }

  /** Runs what both user code and calls into wasm are in; only a trap is dealt with. */
  watch<T>(f: () => T): T {
    if (this.#death !== undefined) throw this.#death;
    try {
      return f();
    } catch (error) {
      throw isTrap(error) ? this.die(error) : error;
    }
  }

  /** Declares it dead. */
  die(cause: unknown): HeadwaterError {
    if (this.#death === undefined) {
      const isOurs = cause instanceof HeadwaterError;
      this.#death = isOurs ? cause : poisoned(cause);
      this.onDeath?.(this.#death);
    }
    return this.#death;
  }
}

function isTrap(error: unknown): boolean {
  return error instanceof WebAssembly.RuntimeError;
}

function poisoned(cause: unknown): HeadwaterError {
  const detail = cause instanceof Error ? cause.message : String(cause);
  const message =
    `the WebAssembly instance trapped (${detail}); what was stored is safe. Open the database again, ` +
    "and report it with what the console says";
  return new HeadwaterError("POISONED", message, { cause });
}
