/**
 * One wasm instance, and what is done about its death. A trap in one database touches no other, because each has its
 * own; and nothing is asked of an instance that has trapped, because its memory may be anything.
 */

import { HeadwaterError, isCoded, type ErrorCode } from "./errors.js";

/** What the glue of every module has; its classes and functions come with it. */
export interface Glue {
  initSync(from: { module: WebAssembly.Module }): { readonly memory: WebAssembly.Memory };
}

/** A wasm instance. Every call into it goes through {@link call} or through an object that {@link guard} answered. */
export class Instance<G extends Glue = Glue> {
  /** The classes and functions of this instance. */
  readonly glue: G;
  /** Called once, when it dies. */
  onDeath: ((cause: HeadwaterError) => void) | undefined;
  readonly #memory: WebAssembly.Memory;
  #death: HeadwaterError | undefined;

  /** Instantiates the module, which must be the one that the glue was made for. */
  constructor(createGlue: () => G, module: WebAssembly.Module) {
    this.glue = createGlue();
    this.#memory = this.glue.initSync({ module }).memory;
  }

  /** What it takes in memory, which is the most that it ever took: memory of wasm does not shrink. */
  get memoryBytes(): number {
    return this.#memory.buffer.byteLength;
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
      throw this.#judge(error, error instanceof RangeError);
    }
  }

  /**
   * An object of wasm with a guard before each of its methods, for those who hold it. The methods may run user code:
   * the getters of what is passed in.
   */
  guard<T extends object>(object: T): T {
    const guarded: Record<string, unknown> = {};
    for (const name of Object.getOwnPropertyNames(Object.getPrototypeOf(object))) {
      const method: unknown = object[name as keyof T];
      if (name === "constructor" || typeof method !== "function") continue;
      guarded[name] = (...parameters: unknown[]) => {
        if (this.#death !== undefined) throw this.#death;
        try {
          return method.apply(object, parameters);
        } catch (error) {
          throw this.#judge(error, isStackOverflow(error));
        }
      };
    }
    return guarded as T;
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

  /** What to throw for what came out of wasm. */
  #judge(error: unknown, isInTheMiddle: boolean): unknown {
    // An overflow of the stack leaves wasm in the middle of something, as a trap does.
    if (isTrap(error) || isInTheMiddle) return this.die(error);
    if (error instanceof HeadwaterError || !isCoded(error)) return error;
    return new HeadwaterError(error.code as ErrorCode, error.message, { cause: error });
  }
}

/** By its words: a getter of the user's may throw a `RangeError` of its own. Firefox has a class for it. */
function isStackOverflow(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return error.name === "InternalError" || (error instanceof RangeError && /call stack/i.test(error.message));
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
