// One replica's pane: its name, state and figures, its switch and buttons, around the board, the opened card and the
// latest writes. Nothing on it moves when a figure changes: every place is kept free for what may stand there.

import type { DatabaseStatus } from "headwater";
import { BoardView } from "./board-view.ts";
import { CardView } from "./card-view.ts";
import { bytes, byTestId, find, milliseconds, setText } from "./dom.ts";
import { FeedView } from "./feed-view.ts";
import type { Replica } from "./replica.ts";

export class ReplicaView {
  readonly card: CardView;
  readonly #pane: HTMLElement;
  readonly #replica: Replica;

  constructor(pane: HTMLElement, replica: Replica) {
    this.#pane = pane;
    this.#replica = replica;
    pane.append(find<HTMLTemplateElement>(document, "#replica-template").content.cloneNode(true));
    const name = find(pane, '[data-part="name"]');
    name.id = `${replica.id}-name`;
    name.textContent = replica.name;
    find(pane, ".device use").setAttribute("href", `#device-${replica.id}`);

    const board: BoardView = new BoardView(byTestId(pane, "board"), replica, (id) => this.#openCard(id));
    this.card = new CardView(pane, replica, (id) => {
      this.drawWork();
      board.focus(id);
    });
    new FeedView(byTestId(pane, "feed"), replica);
    this.#listen();
    replica.on("status", () => this.#draw());
    replica.on("board", () => this.drawWork());
    this.#draw();
  }

  /** The board is out of reach while a card lies over it. */
  drawWork(): void {
    byTestId(this.#pane, "board").inert = this.card.openCard !== undefined;
  }

  #openCard(id: string): void {
    this.card.open(id);
    this.drawWork();
    this.card.focus();
  }

  #listen(): void {
    const pane = this.#pane;
    const online = byTestId<HTMLInputElement>(pane, "online-switch");
    online.setAttribute("aria-label", `${this.#replica.name} online`);
    online.addEventListener("change", () => this.#replica.setOnline(online.checked));
    byTestId(pane, "reload-replica").addEventListener("click", () => void this.#replica.reload());
    byTestId(pane, "card-close").addEventListener("click", () => this.drawWork());
  }

  #draw(): void {
    const { status, phase, pending } = this.#replica;
    const pane = this.#pane;
    pane.dataset["phase"] = phase;
    pane.dataset["pending"] = String(pending ?? "");
    pane.setAttribute("aria-busy", String(phase === "opening"));
    byTestId(pane, "status").dataset["phase"] = phase;
    setText(find(pane, '[data-part="phase"]'), phase);
    byTestId<HTMLInputElement>(pane, "online-switch").checked = this.#replica.isOnline;
    setText(byTestId(pane, "epoch"), status?.epoch == null ? "–" : String(status.epoch));
    setText(byTestId(pane, "lag"), lag(status));
    setText(byTestId(pane, "pending-count"), String(pending ?? "–"));
    const size = this.#replica.db?.pending.bytes ?? 0;
    setText(find(pane, '[data-part="pending-bytes"]'), pending ? bytes(size) : "");
    setText(byTestId(pane, "storage"), storage(status));
    setText(byTestId(pane, "tab"), tab(status));
    this.#drawNotice(status);
  }

  #drawNotice(status: DatabaseStatus | undefined): void {
    const { error } = status ?? {};
    const trouble = error == null ? "" : `${error.code}: ${error.message}`;
    const notice = byTestId(this.#pane, "notice");
    const words = this.#replica.notice || trouble;
    setText(notice, words);
    notice.title = words;
  }
}

function lag(status: DatabaseStatus | undefined): string {
  if (status?.phase !== "live" || status.lag == null) return "–";
  const { entries, ms } = status.lag;
  return entries === 0 ? "none" : `${entries} · ${milliseconds(ms ?? 0)}`;
}

function tab(status: DatabaseStatus | undefined): string {
  switch (status?.tab) {
    case "holder":
      return "This tab holds the connection";
    case "member":
      return "Another tab holds the connection";
    case "alone":
      return "This tab works alone";
    default:
      return "–";
  }
}

function storage(status: DatabaseStatus | undefined): string {
  if (status?.storage == null) return "–";
  const { kind, persisted, usage, quota } = status.storage;
  const words = [kind === "indexeddb" ? "IndexedDB" : kind];
  words.push(persisted ? "kept for good" : "the browser may evict it");
  if (usage != null) words.push(quota == null ? bytes(usage) : `${bytes(usage)} of ${bytes(quota)}`);
  return words.join(" · ");
}
