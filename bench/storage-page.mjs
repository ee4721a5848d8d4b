/** The page of figures and its plot, as text. Pure: figures go in. */

/**
 * @typedef {{ rows: number, bytes: number }} TableSize
 * @typedef {{ ms: number, bytes: number }} Caught
 * @typedef {{
 *   updates: number, typingMs: number, diskBytes: number, rows: number, tables: Record<string, TableSize>,
 *   compacted: { folds: number, squashes: number }, peakBytes: number | undefined, wasmBytes: number,
 *   whole: {
 *     ms: number, peakBytes: number | undefined, wasmBytes: number, bytesBefore: number, bytesAfter: number, givenUp: number,
 *   },
 *   cold: Caught, later: Caught & { missed: number },
 *   inBrowser: { storedBytes: number, openMs: number, memoryBytes: number | undefined },
 * }} Measured
 * @typedef {{ updates: number, diskBytes: number, contentBytes: number }} Point
 */

/**
 * @param {{ measured: Measured[], sizes: number[], machine: Record<string, string> }} given
 */
export function page({ measured, sizes, machine }) {
  /** @type {(show: (at: Measured) => string) => string[]} */
  const row = (show) => sizes.map((size) => {
    const at = measured.find(({ updates }) => updates === size);
    return at === undefined ? "not measured" : show(at);
  });
  const before = (/** @type {Measured} */ at) => measured[measured.indexOf(at) - 1];
  const growth = (/** @type {Measured} */ at) =>
    ((at.diskBytes - (before(at)?.diskBytes ?? 0)) / (at.updates - (before(at)?.updates ?? 0))).toFixed(1);
  const lines = [
    ["updates", sizes.map(count)],
    ["**the leader**", sizes.map(() => "")],
    ["disk", row((at) => size(at.diskBytes))],
    ["growth of that per update, since the column before", row((at) => `${growth(at)} B`)],
    ["rows, of all tables", row((at) => count(at.rows))],
    ["of them in the log", row((at) => count(at.tables["log"]?.rows ?? 0))],
    ["folds, squashes", row((at) => `${at.compacted.folds}, ${at.compacted.squashes}`)],
    ["peak of the process's memory above idle", row((at) => size(at.peakBytes))],
    ["of wasm in it", row((at) => size(at.wasmBytes))],
    ["**put together whole**", sizes.map(() => "")],
    ["time", row((at) => time(at.whole.ms))],
    ["bytes before, after", row((at) => `${size(at.whole.bytesBefore)}, ${size(at.whole.bytesAfter)}`)],
    ["peak of the process's memory above idle", row((at) => size(at.whole.peakBytes))],
    ["of wasm in it", row((at) => size(at.whole.wasmBytes))],
    ["**a client in Node.js**", sizes.map(() => "")],
    ["cold: bytes, time", row((at) => `${size(at.cold.bytes)}, ${time(at.cold.ms)}`)],
    ["after one hour away: updates missed", row((at) => count(at.later.missed))],
    ["bytes, time", row((at) => `${size(at.later.bytes)}, ${time(at.later.ms)}`)],
    ["**Chromium**", sizes.map(() => "")],
    ["IndexedDB", row((at) => size(at.inBrowser.storedBytes))],
    ["open from it, without a leader", row((at) => time(at.inBrowser.openMs))],
    ["memory of the page above an empty one", row((at) => size(at.inBrowser.memoryBytes))],
  ];
  const [head, ...rest] = lines;
  const line = ([name, cells]) => `| ${[name, ...cells].join(" | ")} |`;
  const table = [line(head), `|---|${sizes.map(() => "---:|").join("")}`, ...rest.map(line)].join("\n");
  const facts = Object.entries(machine).map(([name, value]) => `${name} ${value}`).join(", ");
  return `# What storage takes

Written by \`cargo xtask bench storage\`, which measures all of this; do not edit it by hand. How storage works is in
[storage.md](storage.md).

${table}

![bytes on disk against updates](storage-growth.svg)

Measured: ${facts}.

- One document. Each keystroke of a recorded editing session (259,778 of them, see \`pkg-tests/fixtures\`) is an update of its own;
  when it ends it is typed anew before what is there. The leader keeps what it does by default: 24 hours of history, and
  of that the newest MiB of each document; all of it was written within minutes.
- *Disk* is what the SQLite database uses of its file; the file itself keeps the room of rows that are gone, and uses it again. *Memory* is of the whole
  workerd process, its resident set: the highest since it began, less what it had when it was idle; reads by the clients of
  the columns before are in it, and what SQLite and connections take, which is not in the isolate. Clients and browser run on the
  same machine, with whatever else its load tells of. Memory of wasm is as the node's status says, and never shrinks.
- *Put together whole*: the same storage under a node that keeps no history, so that after one more write everything becomes
  one snapshot at once; from that write until the last step of it is seen.
  What is before includes the log; runs that weigh less than half of the snapshot stay runs.
- *Cold*: a client that has nothing, from \`open\` until a strong read is answered. *After one hour away*: one that lacks the last
  updates, from its \`connect\` until it holds all of them; one each second, and of the smallest document half of it. Bytes are
  those that travel, compressed by the WebSocket where it does that, with its handshake.
- *Memory of the page* is the resident set of its process, less that of an empty page's. Processes share and give back memory as
  they like: it is good to a few MiB at best, and not measured where it came out below nothing.
- *IndexedDB* is what \`navigator.storage.estimate()\` says.
`;
}

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT] = [720, 320, 70, 40, 20, 20];

/** Bytes on disk and of documents against updates. @param {Point[]} points */
export function plot(points) {
  const xMax = Math.max(...points.map(({ updates }) => updates), 1);
  const yMax = Math.max(...points.map(({ diskBytes }) => diskBytes), 1);
  const x = (/** @type {number} */ updates) => (LEFT + ((WIDTH - LEFT - RIGHT) * updates) / xMax).toFixed(1);
  const y = (/** @type {number} */ bytes) => (HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - TOP) * bytes) / yMax).toFixed(1);
  const curve = (/** @type {(point: Point) => number} */ of, /** @type {string} */ color) =>
    `<polyline fill="none" stroke="${color}" stroke-width="1.5" points="${points.map((point) => `${x(point.updates)},${y(of(point))}`).join(" ")}"/>`;
  const ticks = [0.25, 0.5, 0.75, 1].flatMap((part) => [
    `<text x="${LEFT - 6}" y="${y(yMax * part)}" text-anchor="end">${size(yMax * part)}</text>`,
    `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(yMax * part)}" y2="${y(yMax * part)}" stroke="#ddd"/>`,
    `<text x="${x(xMax * part)}" y="${HEIGHT - BOTTOM + 16}" text-anchor="${part === 1 ? "end" : "middle"}">${count(Math.round(xMax * part))}</text>`,
  ]);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="white"/>
${ticks.join("\n")}
<path d="M${LEFT} ${TOP}V${HEIGHT - BOTTOM}H${WIDTH - RIGHT}" fill="none" stroke="black"/>
${curve(({ diskBytes }) => diskBytes, "#1565c0")}
${curve(({ contentBytes }) => contentBytes, "#c62828")}
<text x="${LEFT + 10}" y="${TOP + 4}" fill="#1565c0">on disk</text>
<text x="${LEFT + 70}" y="${TOP + 4}" fill="#c62828">of it snapshots and runs</text>
<text x="${(WIDTH + LEFT) / 2}" y="${HEIGHT - 6}" text-anchor="middle">updates</text>
</svg>
`;
}

/** @param {number} value */
function count(value) {
  return value.toLocaleString("en");
}

/** @param {number | undefined} bytes */
function size(bytes) {
  if (bytes === undefined) return "not measured";
  if (bytes < 10_240) return `${Math.round(bytes)} B`;
  return bytes < 2 ** 20 ? `${(bytes / 1024).toFixed(0)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/** @param {number} ms */
function time(ms) {
  return ms < 10_000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
