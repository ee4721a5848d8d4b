/** Waiting for what has no event to await: the state of another process, asked for again and again. */

/**
 * Asks until the answer is truthy, and answers that.
 * @template T
 * @param {() => T | Promise<T>} ask
 * @param {{ what: string, timeoutMs?: number, everyMs?: number }} options
 * @returns {Promise<NonNullable<T>>}
 */
export async function until(ask, { what, timeoutMs = 60_000, everyMs = 25 }) {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer) return /** @type {NonNullable<T>} */ (answer);
    if (performance.now() >= deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await pause(everyMs);
  }
}

/**
 * Lets time pass: for moments that are meant to be random, never to wait for something.
 * @param {number} ms
 */
export function pause(ms) {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}
