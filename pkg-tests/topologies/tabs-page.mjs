/** What a tab does in the long test of tabs: it writes at random and remembers what became of it. Runs in the page. */

/**
 * Begins to write at random: names in maps and marks in texts, in documents that all tabs have and in some of its own, one or
 * two in a transaction. `window.told` hears of each write that is local, and of whatever must not happen.
 * @param {{ name: string, seed: number, shared: string[], own: string[] }} what
 */
export async function begin({ name, seed, shared, own }) {
  const { db } = window;
  const docs = await Promise.all([...shared, ...own].map((doc) => db.doc(doc)));
  let state = seed;
  const below = (limit) => {
    // xorshift32: a generator for pages that can be had again from its seed.
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
  let at = 0;
  const write = () => {
    window.writing = setTimeout(write, below(100) + 5);
    at += 1;
    const id = `${name}.${at}`;
    const chosen = new Set([docs[below(docs.length)], docs[below(docs.length)]].slice(0, below(4) === 0 ? 2 : 1));
    const isText = below(2) === 0;
    try {
      const receipt = db.transact(() => {
        for (const doc of chosen) {
          const text = doc.getText("text");
          if (isText) text.insert(below(2) === 0 ? 0 : text.length, `[${id}]`);
          else doc.getMap("map").set(id, below(1000));
        }
      });
      const told = () => window.told({ kind: "local", id, isText, docs: [...chosen].map(({ name }) => name) });
      receipt.reached("local", { timeoutMs: 600_000 }).then(told, (error) => {
        // Closing in the middle of it leaves the outcome open.
        if (error.code !== "CLOSED") window.told({ kind: "failed", id, message: `${error.code}: ${error.message}` });
      });
      receipt.on("stage", (stage) => stage === "rejected" && window.told({ kind: "rejected", id, message: String(receipt.error) }));
    } catch (error) {
      if (error.code !== "BUSY") window.told({ kind: "threw", id, message: `${error.code}: ${error.message}` });
    }
  };
  const tell = ({ tab, phase, error }) => window.told({ kind: "status", tab, phase, error: error?.message ?? null });
  db.on("status", tell);
  tell(db.status);
  write();
}

/** No more writes. */
export function end() {
  clearTimeout(window.writing);
}
