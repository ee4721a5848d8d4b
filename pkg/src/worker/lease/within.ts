/** The time limit of a call to a store. It knows no store. */

import { HeadwaterError, toHeadwaterError } from "../../errors.js";
import { onAbort } from "../../waits.js";

/**
 * What `begin` answers, in time. It is given a signal that says when nobody waits any more, and need not heed it. All
 * that it throws without a code is the store's failure.
 */
export async function within<T>(
  what: string,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  begin: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const abortion = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let unlisten = () => {};
  const over = new Promise<never>((_, reject) => {
    const message = `${what} did not answer within ${timeoutMs} ms`;
    timer = setTimeout(() => reject(new HeadwaterError("STORAGE_UNAVAILABLE", message)), timeoutMs);
    unlisten = onAbort(signal, reject);
  });
  try {
    // What was aborted before it began is not begun.
    return await Promise.race([over, signal?.aborted ? over : begin(abortion.signal)]);
  } catch (error) {
    abortion.abort();
    throw toHeadwaterError(error, "STORAGE_UNAVAILABLE", `${what} failed`);
  } finally {
    clearTimeout(timer);
    unlisten();
  }
}

/** The body of an answer, unless it is longer than any that is expected. */
export async function bodyOf(response: Response, bytesMax: number): Promise<Uint8Array<ArrayBuffer>> {
  const reader = response.body?.getReader();
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for (let part = await reader?.read(); part?.value !== undefined; part = await reader?.read()) {
    length += part.value.length;
    if (length > bytesMax) {
      await reader?.cancel();
      throw new HeadwaterError("STORAGE_UNAVAILABLE", `the lease store answered more than ${bytesMax} bytes`);
    }
    parts.push(part.value);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
