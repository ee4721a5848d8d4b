// The board of one replica on the page: columns and cards, moved by drag, by buttons and by keys. It draws what the
// board holds and asks the replica for changes; a card is known by its id, so that focus stays where it was.

import { type Card, type ColumnId, COLUMNS } from "./board.ts";
import { el, icon, setText } from "./dom.ts";
import type { Replica } from "./replica.ts";

const CHEVRON = { previous: "M10 3.5 L5.5 8 L10 12.5", next: "M6 3.5 L10.5 8 L6 12.5" };
const TICK = "M3.5 8.5 L6.8 11.8 L12.5 4.5";
const TEXT = "M3 5 H13 M3 8.5 H13 M3 12 H9";

interface Column {
  readonly id: ColumnId;
  readonly list: HTMLElement;
  readonly count: HTMLElement;
}

export class BoardView {
  readonly #replica: Replica;
  readonly #openCard: (id: string) => void;
  readonly #columns: Column[];
  readonly #cards = new Map<string, HTMLElement>();

  constructor(root: HTMLElement, replica: Replica, openCard: (id: string) => void) {
    this.#replica = replica;
    this.#openCard = openCard;
    this.#columns = COLUMNS.map(({ id, name }) => {
      const list = el("ul", { class: "cards", "data-testid": `column-${id}`, "aria-label": name });
      const count = el("span", { class: "count" }, "0");
      const column = el("div", { class: "column" }, el("h3", {}, name, count), list, this.#adder(id, name));
      this.#takeDrops(column, list, id);
      root.append(column);
      return { id, list, count };
    });
    replica.on("board", () => this.#draw());
    replica.on("writes", () => this.#drawStages());
  }

  focus(id: string): void {
    this.#cards.get(id)?.querySelector<HTMLElement>(".card-title")?.focus();
  }

  #draw(): void {
    const cards = this.#replica.board?.cards() ?? [];
    const focused = document.activeElement;
    for (const column of this.#columns) {
      const here = cards.filter((card) => card.column === column.id);
      setText(column.count, String(here.length));
      here.forEach((card, index) => {
        const element = this.#cards.get(card.id) ?? this.#make(card.id);
        this.#drawCard(element, card);
        const at = column.list.children[index] ?? null;
        if (at !== element) column.list.insertBefore(element, at);
      });
    }
    const ids = new Set(cards.map((card) => card.id));
    for (const [id, element] of this.#cards) {
      if (ids.has(id)) continue;
      element.remove();
      this.#cards.delete(id);
    }
    // An element that is moved loses the focus.
    if (focused instanceof HTMLElement && focused !== document.activeElement && focused.isConnected) focused.focus();
    this.#drawStages();
  }

  #drawCard(element: HTMLElement, card: Card): void {
    const title = element.querySelector(".card-title");
    if (title !== null) setText(title, card.title);
    element.classList.toggle("has-text", card.hasText);
    for (const button of element.querySelectorAll<HTMLButtonElement>("[data-step]")) {
      const target = neighbour(card.column, Number(button.dataset["step"]));
      // Kept focusable at the ends: a button that is disabled under the finger loses the focus.
      button.setAttribute("aria-disabled", String(target === undefined));
      button.setAttribute("aria-label", target === undefined ? "No column there" : `Move to ${target.name}`);
    }
  }

  #drawStages(): void {
    for (const [id, element] of this.#cards) {
      const stage = this.#replica.writes.stageOf(id) ?? "leader";
      if (element.dataset["stage"] === stage) continue;
      element.dataset["stage"] = stage;
      const words = stage === "leader" ? "At the leader" : stage === "rejected" ? "Rejected" : "Not yet at the leader";
      element.querySelector(".tick")?.setAttribute("title", words);
      const spoken = element.querySelector(".tick .hidden");
      if (spoken !== null) setText(spoken, words);
    }
  }

  #make(id: string): HTMLElement {
    const title = el("button", { class: "card-title", type: "button", "aria-haspopup": "dialog" });
    const tick = el("span", { class: "tick" }, icon(TICK), el("span", { class: "hidden" }));
    const note = el("span", { class: "note", title: "Has a text" }, icon(TEXT));
    const foot = el("div", { class: "card-foot" }, tick, note, this.#stepper(id, -1), this.#stepper(id, 1));
    const element = el("li", { class: "card", draggable: "true", "data-testid": "card", "data-id": id }, title, foot);
    title.addEventListener("click", () => this.#openCard(id));
    title.addEventListener("keydown", (event) => this.#key(event, id));
    element.addEventListener("dragstart", (event) => {
      event.dataTransfer?.setData(this.#dragType, id);
      element.classList.add("dragged");
    });
    element.addEventListener("dragend", () => element.classList.remove("dragged"));
    this.#cards.set(id, element);
    return element;
  }

  #stepper(id: string, step: -1 | 1): HTMLElement {
    const testId = step < 0 ? "card-previous" : "card-next";
    const attributes = { class: "icon-button", type: "button", "data-step": String(step), "data-testid": testId };
    const button = el("button", attributes, icon(step < 0 ? CHEVRON.previous : CHEVRON.next));
    button.addEventListener("click", () => this.#step(id, step));
    return button;
  }

  #adder(column: ColumnId, name: string): HTMLElement {
    const input = el("input", {
      "data-testid": "add-card",
      "aria-label": `Add a card to ${name}`,
      placeholder: "Add a card",
      maxlength: "80",
      autocomplete: "off",
      enterkeyhint: "done",
    });
    const form = el("form", { class: "adder" }, input);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const title = input.value.trim();
      if (title === "") return;
      const card = crypto.randomUUID();
      const about = { what: `Added “${title}”`, card };
      if (this.#replica.write(about, (board) => board.add(card, title, column))) input.value = "";
    });
    return form;
  }

  // The arrow keys go from card to card; with Shift they take the card along.
  #key(event: KeyboardEvent, id: string): void {
    const card = this.#replica.board?.card(id);
    const list = this.#columns.find((column) => column.id === card?.column)?.list;
    if (card === undefined || list === undefined) return;
    const ids = [...list.children].map((child) => (child as HTMLElement).dataset["id"] ?? "");
    const index = ids.indexOf(id);
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      const step = event.key === "ArrowLeft" ? -1 : 1;
      if (event.shiftKey) this.#step(id, step);
      else this.#focusIn(neighbour(card.column, step)?.id, index);
    } else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      const step = event.key === "ArrowUp" ? -1 : 1;
      const other = ids[index + step];
      if (other === undefined) return;
      if (event.shiftKey) this.#move(card, card.column, step < 0 ? other : ids[index + 2]);
      else this.focus(other);
    } else {
      return;
    }
    event.preventDefault();
  }

  #focusIn(column: ColumnId | undefined, index: number): void {
    const list = this.#columns.find(({ id }) => id === column)?.list;
    const child = list?.children[Math.min(index, list.children.length - 1)];
    child?.querySelector<HTMLElement>(".card-title")?.focus();
  }

  #step(id: string, step: number): void {
    const card = this.#replica.board?.card(id);
    const target = card && neighbour(card.column, step);
    if (card !== undefined && target !== undefined) this.#move(card, target.id);
  }

  #move(card: Card, column: ColumnId, before?: string): void {
    const name = COLUMNS.find(({ id }) => id === column)?.name ?? column;
    const what = `Moved “${card.title}” ${card.column === column ? "within" : "to"} ${name}`;
    this.#replica.write({ what, card: card.id }, (board) => board.move(card.id, column, before));
  }

  /** A card is dropped where it was taken up; the other replica has a board of its own. */
  get #dragType(): string {
    return `text/x-headwater-${this.#replica.id}`;
  }

  #takeDrops(element: HTMLElement, list: HTMLElement, column: ColumnId): void {
    element.addEventListener("dragover", (event) => {
      if (!event.dataTransfer?.types.includes(this.#dragType)) return;
      event.preventDefault();
      element.classList.add("target");
    });
    element.addEventListener("dragleave", (event) => {
      if (!element.contains(event.relatedTarget as Node | null)) element.classList.remove("target");
    });
    element.addEventListener("drop", (event) => {
      element.classList.remove("target");
      const card = this.#replica.board?.card(event.dataTransfer?.getData(this.#dragType) ?? "");
      if (card === undefined) return;
      event.preventDefault();
      const below = [...list.children].find((child) => {
        const box = child.getBoundingClientRect();
        return event.clientY < box.top + box.height / 2;
      });
      const before = (below as HTMLElement | undefined)?.dataset["id"];
      if (before !== card.id) this.#move(card, column, before);
    });
  }
}

function neighbour(column: ColumnId, step: number): (typeof COLUMNS)[number] | undefined {
  return COLUMNS[COLUMNS.findIndex(({ id }) => id === column) + step];
}
