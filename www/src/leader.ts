// The leader in the middle: its figures from `GET /v1/{db}/status`, and the two arms of the river that are the cables.
// It asks after changes and, while the page is seen, now and then: a page left open must not keep the leader awake.

import { byTestId, find, setText } from "./dom.ts";
import { DATABASE, type Replica } from "./replica.ts";

const AFTER_CHANGE_MS = 150;
const WHILE_SEEN_MS = 15_000;
const ANSWER_MS_MAX = 4_000;

interface LeaderStatus {
  readonly epoch?: number;
  readonly lsn?: number;
  readonly connections?: number;
  readonly rowsCommitted?: number;
  readonly entriesCommitted?: number;
  /** Why it does not serve. */
  readonly failure?: { readonly code: string; readonly message: string } | null;
}

export class Leader {
  readonly #root: HTMLElement;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #dueMs = Infinity;
  #isAsking = false;

  constructor(root: HTMLElement, replicas: readonly Replica[]) {
    this.#root = root;
    for (const replica of replicas) {
      replica.on("status", () => this.#changed(replica));
      replica.on("writes", () => this.#askIn(AFTER_CHANGE_MS));
      this.#changed(replica);
    }
    document.addEventListener("visibilitychange", () => this.#askIn(0));
  }

  #changed(replica: Replica): void {
    const { id, phase, pending, isOnline } = replica;
    const state = phase === "offline" && !isOnline ? "cut" : phase;
    const water = find<SVGPathElement>(this.#root, `[data-arm="${id}"]`);
    water.dataset["phase"] = phase;
    water.dataset["busy"] = String((pending ?? 0) > 0);
    setText(byTestId(this.#root, `arm-${id}`), state);
    const dot = find(document, `[data-dot="${id}"]`);
    dot.dataset["phase"] = phase;
    setText(find(document, `[data-count="${id}"]`), pending ? String(pending) : "");
    this.#askIn(AFTER_CHANGE_MS);
  }

  /** Asks after so long, or sooner if that is due already: steady changes must not put the question off for ever. */
  #askIn(ms: number): void {
    const dueMs = performance.now() + ms;
    if (dueMs >= this.#dueMs) return;
    clearTimeout(this.#timer);
    this.#dueMs = dueMs;
    this.#timer = setTimeout(() => {
      this.#dueMs = Infinity;
      void this.#ask();
    }, ms);
  }

  async #ask(): Promise<void> {
    if (document.visibilityState !== "visible" || this.#isAsking) return;
    this.#isAsking = true;
    try {
      const status = await fetchStatus();
      this.#draw(status);
    } catch (error) {
      this.#say(error instanceof Error ? error.message : String(error), "offline");
    }
    this.#isAsking = false;
    this.#askIn(WHILE_SEEN_MS);
  }

  #draw(status: LeaderStatus): void {
    const { epoch, lsn, connections, rowsCommitted: rows, entriesCommitted: entries } = status;
    const figures = {
      "leader-epoch": epoch,
      "leader-lsn": lsn,
      "leader-connections": connections,
      "leader-rows": rows === undefined || !entries ? undefined : (rows / entries).toFixed(2),
    };
    for (const [id, figure] of Object.entries(figures)) {
      setText(byTestId(this.#root, id), figure === undefined ? "–" : String(figure));
    }
    const { failure } = status;
    this.#say(failure ? `${failure.code}: ${failure.message}` : DATABASE, failure ? "blocked" : "live");
  }

  #say(words: string, phase: string): void {
    const state = byTestId(this.#root, "leader-state");
    setText(state, words);
    state.title = words;
    state.dataset["phase"] = phase;
    find(document, '[data-dot="leader"]').dataset["phase"] = phase;
  }
}

/** The leader's figures; none before the first replica has connected. An error says in words what the leader, or the way to it, has to say. */
async function fetchStatus(): Promise<LeaderStatus> {
  let response: Response;
  try {
    response = await fetch(`/v1/${DATABASE}/status`, { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
  } catch (error) {
    throw new Error(error instanceof Error && error.name === "TimeoutError" ? "TIMEOUT" : "OFFLINE", { cause: error });
  }
  const answer = (await response.json()) as LeaderStatus & { readonly code?: string; readonly message?: string };
  if (response.status === 404) return {};
  if (!response.ok) throw new Error(`${answer.code ?? response.status}: ${answer.message ?? response.statusText}`);
  return answer;
}
