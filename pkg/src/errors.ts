/** The one error class of the package. It knows codes and messages, not where they come from. */

/** What went wrong. Codes are stable: tell errors apart by them, never by the message. */
export type ErrorCode =
  /** The wait ended first. The outcome is unknown, not failed. */
  | "TIMEOUT"
  /** The wait ended and there was no connection to the leader. */
  | "OFFLINE"
  /** The caller aborted the wait. */
  | "ABORTED"
  /** Bytes, text or options of the wrong shape, or a call that makes no sense where it stands. */
  | "MALFORMED"
  /** Something is above a named limit. */
  | "TOO_LARGE"
  /** Frames came in an order that the protocol does not allow. */
  | "OUT_OF_ORDER"
  /** The two sides have no protocol version in common, or local storage was written by a newer version. */
  | "VERSION"
  /** The leader's storage is another one than this replica synced with before. */
  | "DATABASE_RESET"
  /** A bookmark is of another database, or names what no longer exists. */
  | "BOOKMARK_LOST"
  /** A strong read cannot be proved now. */
  | "STRONG_UNAVAILABLE"
  /** Local storage cannot be opened, or has failed for good. */
  | "STORAGE_UNAVAILABLE"
  /** Local storage is full. */
  | "QUOTA"
  /** A write builds on a rejected one and was rejected with it. */
  | "DEPENDS_ON_REJECTED"
  /** A limit is reached; try again later. */
  | "BUSY"
  /** The database, document or session was closed. */
  | "CLOSED"
  /** It does not exist here. */
  | "NOT_FOUND"
  /** The leader could not keep the connection's state; the replica reconnects by itself. */
  | "RESUME"
  /** Stored or received bytes that do not decode. */
  | "CORRUPT"
  /** A broken invariant. */
  | "INTERNAL"
  /** The node does not lead any more; the replica reconnects by itself. */
  | "NOT_LEADER"
  /** Whoever asks may not: a token is missing, or not the one that is expected. */
  | "UNAUTHORIZED"
  /** The WebAssembly instance trapped. It is made anew from storage: see {@link DatabaseStatus.phase}. */
  | "POISONED"
  /** A position or a length that is outside of its shared type. */
  | "RANGE"
  /** A value that a shared type cannot hold, or a root type of another kind. */
  | "TYPE"
  /** The shared type was deleted. */
  | "DELETED";

/** Every error that this package raises: a stable `code`, and a message that says what to do. */
export class HeadwaterError extends Error {
  override readonly name = "HeadwaterError";

  /** Made by the package. */
  constructor(
    /** What went wrong. */
    readonly code: ErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** An error as wasm describes it in an effect. */
export interface PlainError {
  readonly code: string;
  readonly message: string;
}

/** The error for options and arguments that cannot be meant. */
export function malformed(message: string): HeadwaterError {
  return new HeadwaterError("MALFORMED", message);
}

/** An error that wasm described. */
export function fromPlain({ code, message }: PlainError): HeadwaterError {
  return new HeadwaterError(code as ErrorCode, message);
}

/** Whether wasm threw it on purpose: it has a code. Everything else that comes out of wasm is a trap or a mistake. */
export function isCoded(error: unknown): error is Error & { readonly code: string } {
  return error instanceof Error && "code" in error && typeof error.code === "string";
}

/** What anybody may have thrown, as one of ours; `code` stands for what has none. */
export function toHeadwaterError(error: unknown, code: ErrorCode, context: string): HeadwaterError {
  if (error instanceof HeadwaterError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new HeadwaterError(code, `${context}: ${message}`, { cause: error });
}

/** Passes an error on to where uncaught ones go. A listener that throws must not stop the replica. */
export function reportUncaught(error: unknown): void {
  const { reportError } = globalThis as { reportError?: (error: unknown) => void };
  queueMicrotask(() => {
    if (typeof reportError === "function") return reportError(error);
    throw error;
  });
}
