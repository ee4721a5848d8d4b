/**
 * The network between clients and the worker: a proxy on loopback that can delay, stall, cut and refuse, and counts
 * WebSocket frames as they pass. It knows nothing of what is in them.
 */

import { createServer, connect } from "node:net";

import { FrameCounter } from "./frame-counter.mjs";

/** The two ways: `up` from clients to the worker, `down` from there to them. @typedef {"up" | "down"} Direction */

/** One proxy in front of one port. */
export class Link {
  #server;
  /** @type {Set<Pair>} */
  #pairs = new Set();
  #isRefusing = false;
  /** How long bytes take, in milliseconds. */
  delayMs = { up: 0, down: 0 };
  /** WebSocket frames that went through, by direction. */
  frames = { up: 0, down: 0 };
  /** Bytes that went through, by direction. */
  bytes = { up: 0, down: 0 };
  /** Connections that were accepted. */
  connections = 0;
  /** @type {Set<Direction>} */
  #stalled = new Set();

  /**
   * @param {import("node:net").Server} server
   * @param {() => number} target
   */
  constructor(server, target) {
    this.#server = server;
    server.on("connection", (socket) => this.#accept(socket, target()));
  }

  /**
   * Starts a link to a worker; it ends with its owner.
   * @param {import("./cleanup.mjs").Owner} owner
   * @param {{ port: number }} worker
   */
  static async start(owner, worker) {
    const server = createServer({ noDelay: true });
    const link = new Link(server, () => worker.port);
    await new Promise((resolve) => void server.listen(0, "127.0.0.1", () => resolve(undefined)));
    server.unref();
    owner.after(() => {
      link.cut();
      server.close();
    });
    return link;
  }

  /** Where clients connect. */
  get url() {
    const { port } = /** @type {import("node:net").AddressInfo} */ (this.#server.address());
    return `http://127.0.0.1:${port}`;
  }

  /** How many connections are open. */
  get open() {
    return this.#pairs.size;
  }

  /** Called with their number when it has changed. @type {(open: number) => void} */
  onOpen = () => {};

  /** Ends all connections; new ones are accepted unless they are refused. */
  cut() {
    for (const pair of this.#pairs) pair.end();
  }

  /** Ends all connections and refuses new ones: what a client without network sees. */
  goOffline() {
    this.#isRefusing = true;
    this.cut();
  }

  /** Accepts connections again. */
  goOnline() {
    this.#isRefusing = false;
  }

  /** Holds back what goes that way, on present and future connections. @param {Direction} direction */
  stall(direction) {
    this.#stalled.add(direction);
  }

  /** Lets go of what was held back. */
  flow() {
    this.#stalled.clear();
    for (const pair of this.#pairs) pair.flow();
  }

  /**
   * @param {import("node:net").Socket} client
   * @param {number} port
   */
  #accept(client, port) {
    if (this.#isRefusing) return void client.resetAndDestroy();
    this.connections += 1;
    const worker = connect({ port, host: "127.0.0.1", noDelay: true });
    const pair = new Pair(this, client, worker, (direction) => this.#stalled.has(direction));
    this.#pairs.add(pair);
    this.onOpen(this.open);
    pair.onEnd = () => {
      if (this.#pairs.delete(pair)) this.onOpen(this.open);
    };
  }
}

/** One connection: both its sockets, and what waits between them. */
class Pair {
  #client;
  #worker;
  #lanes;
  onEnd = () => {};

  /**
   * @param {Link} link
   * @param {import("node:net").Socket} client
   * @param {import("node:net").Socket} worker
   * @param {(direction: Direction) => boolean} isStalled
   */
  constructor(link, client, worker, isStalled) {
    this.#client = client;
    this.#worker = worker;
    this.#lanes = [
      new Lane(link, "up", client, worker, isStalled),
      new Lane(link, "down", worker, client, isStalled),
    ];
    for (const socket of [client, worker]) {
      socket.on("error", () => this.end());
      socket.on("close", () => this.end());
    }
  }

  flow() {
    for (const lane of this.#lanes) lane.flow();
  }

  end() {
    this.#client.destroy();
    this.#worker.destroy();
    this.onEnd();
  }
}

/** One direction of one connection. Bytes keep their order, whatever the delay is set to meanwhile. */
class Lane {
  /** @type {{ bytes: Buffer | undefined, dueMs: number }[]} Without bytes: the sender has ended. */
  #queue = [];
  /** @type {NodeJS.Timeout | undefined} */
  #timer;
  #counter = new FrameCounter();
  #link;
  #direction;
  #to;
  #isStalled;

  /**
   * @param {Link} link
   * @param {Direction} direction
   * @param {import("node:net").Socket} from
   * @param {import("node:net").Socket} to
   * @param {(direction: Direction) => boolean} isStalled
   */
  constructor(link, direction, from, to, isStalled) {
    this.#link = link;
    this.#direction = direction;
    this.#to = to;
    this.#isStalled = isStalled;
    from.on("data", (bytes) => this.#enter(bytes));
    from.on("end", () => this.#enter(undefined));
  }

  flow() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const now = performance.now();
    while (this.#queue[0] !== undefined && !this.#isStalled(this.#direction)) {
      const { bytes, dueMs } = this.#queue[0];
      if (dueMs > now) {
        this.#timer = setTimeout(() => this.flow(), Math.ceil(dueMs - now));
        return;
      }
      this.#queue.shift();
      if (bytes === undefined) this.#to.end();
      else this.#pass(bytes);
    }
  }

  /** @param {Buffer | undefined} bytes */
  #enter(bytes) {
    this.#queue.push({ bytes, dueMs: performance.now() + this.#link.delayMs[this.#direction] });
    if (this.#timer === undefined) this.flow();
  }

  /** @param {Buffer} bytes */
  #pass(bytes) {
    this.#link.bytes[this.#direction] += bytes.length;
    this.#link.frames[this.#direction] += this.#counter.take(bytes);
    if (this.#to.writable) this.#to.write(bytes);
  }
}
