/** The time limit of a call to somebody else. It knows nobody. */

import { type ErrorCode, HeadwaterError, toHeadwaterError } from "../errors.js";
import { onAbort } from "../waits.js";

/**
 * What `begin` answers, in time. It is given a signal that says when nobody waits any more, and need not heed it. Being
 * late is a failure with this code, and so is all that it throws without one.
 */
export async function within<T>(
  what: string,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  begin: (signal: AbortSignal) => Promise<T>,
  code: ErrorCode = "STORAGE_UNAVAILABLE",
): Promise<T> {
  const abortion = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let unlisten = () => {};
  const over = new Promise<never>((_, reject) => {
    const message = `${what} did not answer within ${timeoutMs} ms`;
    timer = setTimeout(() => reject(new HeadwaterError(code, message)), timeoutMs);
    unlisten = onAbort(signal, reject);
  });
  try {
    // What was aborted before it began is not begun.
    return await Promise.race([over, signal?.aborted ? over : begin(abortion.signal)]);
  } catch (error) {
    abortion.abort();
    throw toHeadwaterError(error, code, `${what} failed`);
  } finally {
    clearTimeout(timer);
    unlisten();
  }
}
