/** WebAssembly instances of a page from outside: they are found and damaged, so that they trap for real. */

/** Runs in a page before any script of its own. `window.kill(at)` has the instance of that number trap at its next call. */
export const captureInstances = () => {
  /** @type {WebAssembly.Exports[]} */
  const instances = [];
  const { Instance } = WebAssembly;
  WebAssembly.Instance = /** @type {any} */ (
    new Proxy(Instance, {
      construct(target, parameters) {
        const instance = Reflect.construct(target, parameters);
        instances.push(instance.exports);
        return instance;
      },
    })
  );
  const kill = (/** @type {number} */ at) => {
    const { memory } = /** @type {any} */ (instances.at(at));
    // All pointers, lengths and counts that it has.
    new Uint8Array(memory.buffer).fill(0xff);
  };
  Object.assign(window, { instances, kill, killNewest: () => kill(-1) });
};
