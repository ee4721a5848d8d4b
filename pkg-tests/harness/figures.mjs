/** How suites talk: progress while they run, and one line of figures at the end, which the runner gathers. */

const PROGRESS_MS_MIN = 3_000;

/**
 * Tells the suite's figures. Called once, when everything that they state has been checked.
 * @param {string} suite
 * @param {Record<string, string | number>} figures
 */
export function figures(suite, figures) {
  const told = Object.entries(figures).map(([name, figure]) => `${name} ${show(figure)}`);
  console.log(`figures: ${suite}: ${told.join(", ")}`);
}

/**
 * Tells how far something long has come, every few seconds.
 * @param {string} suite
 * @returns {(said: string) => void}
 */
export function progress(suite) {
  let told = performance.now();
  return (said) => {
    if (performance.now() - told < PROGRESS_MS_MIN) return;
    told = performance.now();
    console.log(`${suite}: ${said}`);
  };
}

/** The value that so many of a hundred do not exceed. @param {number[]} values @param {number} percent */
export function percentile(values, percent) {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? 0;
}

/** @param {string | number} figure */
function show(figure) {
  if (typeof figure === "string") return figure;
  return Number.isInteger(figure) ? figure.toLocaleString("en") : figure.toFixed(1);
}
