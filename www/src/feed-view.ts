// The latest writes of one replica: a fixed number of rows, each with a tick for every stage it has passed.

import { el, setText } from "./dom.ts";
import type { Replica } from "./replica.ts";
import { STAGES, stageRank } from "./stages.ts";
import type { Row } from "./writes.ts";

const ROWS = 5;
const NONE_YET = "What is written here shows up here.";

export class FeedView {
  readonly #rows: HTMLElement[];

  constructor(list: HTMLElement, replica: Replica) {
    this.#rows = Array.from({ length: ROWS }, makeRow);
    list.append(...this.#rows);
    const draw = () => {
      this.#rows.forEach((element, index) => drawRow(element, replica.writes.rows[index]));
      const first = this.#rows[0]?.firstElementChild;
      if (first && replica.writes.rows.length === 0) setText(first, NONE_YET);
    };
    replica.on("writes", draw);
    replica.on("opened", draw);
    draw();
  }
}

function makeRow(): HTMLElement {
  const ticks = el("span", { class: "ticks", "aria-hidden": "true" });
  ticks.append(...STAGES.map((stage) => el("i", { title: stage })));
  return el("li", {}, el("span", { class: "what" }), ticks, el("span", { class: "hidden", "data-part": "stage" }));
}

function drawRow(element: HTMLElement, row: Row | undefined): void {
  const [what, ticks, stage] = element.children;
  if (what === undefined || ticks === undefined || stage === undefined) return;
  if (row === undefined) {
    element.removeAttribute("data-stage");
    element.removeAttribute("data-testid");
    setText(what, "");
    setText(stage, "");
    return;
  }
  // A row that now shows another write starts without the motion from its former stage.
  element.classList.toggle("fresh", element.dataset["key"] !== String(row.key));
  element.dataset["key"] = String(row.key);
  element.dataset["testid"] = "feed-entry";
  element.dataset["stage"] = row.stage;
  const words = row.count > 1 ? `${row.count} × ${row.what}` : row.what;
  const outcome = row.code === undefined ? row.stage : `rejected, ${row.code}`;
  setText(what, row.code === undefined ? words : `${row.code} · ${words}`);
  what.setAttribute("title", `${words}: ${outcome}`);
  setText(stage, outcome);
  const rank = stageRank(row.stage);
  [...ticks.children].forEach((tick, index) => tick.classList.toggle("on", index <= rank));
}
