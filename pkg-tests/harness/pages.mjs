/** Test pages from outside: opening a database in one, and asking it the things that many tests ask. */

/**
 * Opens a database and a document in a page, as `window.db` and `window.doc`.
 * @param {import("playwright-core").Page} page
 * @param {{ database: string, url?: string, doc?: string, options?: object }} what
 */
export async function openIn(page, what) {
  await page.evaluate(async (what) => {
    Object.assign(window, await window.page.openDoc(window.headwater, what));
  }, what);
}

/** Waits until a page's database is connected. @param {import("playwright-core").Page} page */
export async function live(page) {
  await page.evaluate(() => window.page.live(window.db));
}

/** Waits until the leader has acknowledged everything that a page wrote. @param {import("playwright-core").Page} page */
export async function settled(page) {
  await page.evaluate(() => window.page.settled(window.db));
}

/** A page's document as plain data. @param {import("playwright-core").Page} page */
export async function jsonIn(page) {
  return page.evaluate(() => window.doc.toJSON());
}
