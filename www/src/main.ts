// The demo page: two replicas, the leader between them, and what can be done to all of it.

import { Autopilot } from "./autopilot.ts";
import { byTestId, find, setText } from "./dom.ts";
import { Leader } from "./leader.ts";
import { Reads } from "./reads.ts";
import { Replica } from "./replica.ts";
import { ReplicaView } from "./replica-view.ts";

const laptop = new Replica("laptop", "Laptop");
const phone = new Replica("phone", "Phone");
const replicas = [laptop, phone];
const sides = replicas.map((replica) => ({
  replica,
  view: new ReplicaView(byTestId(document, `replica-${replica.id}`), replica),
}));

const middle = find(document, "#leader");
new Leader(middle, replicas);
new Reads(middle, laptop, phone);

const autopilot = new Autopilot(sides);
const autopilotButton = byTestId(document, "autopilot");
autopilotButton.addEventListener("click", () => {
  autopilot.toggle();
  autopilotButton.setAttribute("aria-pressed", String(autopilot.isRunning));
});

const cutButton = byTestId(document, "cut-both");
cutButton.addEventListener("click", () => {
  const isAnyOnline = replicas.some((replica) => replica.isOnline);
  for (const replica of replicas) replica.setOnline(!isAnyOnline);
});
const drawCut = () => {
  const isAnyOnline = replicas.some((replica) => replica.isOnline);
  cutButton.setAttribute("aria-pressed", String(!isAnyOnline));
  setText(cutButton, isAnyOnline ? "Cut both cables" : "Mend both cables");
};

for (const replica of replicas) replica.on("status", drawCut);
drawCut();
for (const replica of replicas) void replica.open();

// The first of the two to reach the leader would seed, if it is new; here it is always the laptop, so that there is
// one answer to who did.
let isSeeding = false;
const seed = async () => {
  if (isSeeding || laptop.phase !== "live") return;
  isSeeding = true;
  await laptop.attempt(() => laptop.seed());
  isSeeding = false;
};
laptop.on("status", () => void seed());
