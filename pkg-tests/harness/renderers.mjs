/** Which process renders a page. Chromium does not tell, so pages are asked to work, and the busiest renderer is theirs. */

import { readFile } from "node:fs/promises";

const WORK_MS = 200;
const ATTEMPTS_MAX = 20;

/**
 * The process of a page, which is no other page's: each tab that a test opens has one of its own.
 * @param {import("playwright-core").Page} page
 * @param {ReadonlySet<number>} others processes of other pages, which may be busier
 * @returns {Promise<number>}
 */
export async function rendererOf(page, others) {
  const browser = page.context().browser();
  if (browser === null) throw new Error("the page has no browser");
  const session = await browser.newBrowserCDPSession();
  try {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
      const before = await timesOf(session);
      await page.evaluate((ms) => {
        const end = performance.now() + ms;
        while (performance.now() < end);
      }, WORK_MS);
      const after = await timesOf(session);
      const candidates = [...after].filter(([pid]) => !others.has(pid));
      const worked = candidates.map(([pid, ticks]) => ({ pid, ticks: ticks - (before.get(pid) ?? 0) }));
      const [busiest, next] = worked.sort((left, right) => right.ticks - left.ticks);
      // On a machine that is busy otherwise nobody may have got enough time to tell.
      if (busiest !== undefined && busiest.ticks >= 3 && busiest.ticks > 2 * (next?.ticks ?? 0)) return busiest.pid;
    }
  } finally {
    await session.detach();
  }
  throw new Error(`no renderer stood out in ${ATTEMPTS_MAX} attempts`);
}

/**
 * The processor time of each renderer, in ticks of 10 ms.
 * @param {import("playwright-core").CDPSession} session
 */
async function timesOf(session) {
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  const renderers = processInfo.filter(({ type }) => type === "renderer");
  const times = renderers.map(async ({ id, cpuTime }) => /** @type {const} */ ([id, (await ticksOf(id)) ?? cpuTime * 100]));
  return new Map(await Promise.all(times));
}

/** @param {number} pid */
async function ticksOf(pid) {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  if (stat === undefined) return undefined;
  // The fields after the name, which stands in brackets and may hold any character: 11 and 12 are the times.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}
