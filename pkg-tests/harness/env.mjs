/** What the environment says: which programs to run and how many rounds. It knows no test. */

import { accessSync, constants } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);

/** Whether the round counts that the project promises were asked for. */
export const FULL = process.env.HEADWATER_FULL === "1";

/** The repository. */
export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/**
 * How many rounds to do.
 * @param {number} full with `--full`
 * @param {number} otherwise without
 */
export function rounds(full, otherwise) {
  return FULL ? full : otherwise;
}

/** The workerd program. */
export function workerdBinary() {
  const { HEADWATER_WORKERD } = process.env;
  if (HEADWATER_WORKERD) return HEADWATER_WORKERD;
  const workerd = require("workerd");
  return workerd.default ?? workerd;
}

/** The Chromium program. */
export function chromiumBinary() {
  const { HEADWATER_CHROMIUM } = process.env;
  if (HEADWATER_CHROMIUM) return HEADWATER_CHROMIUM;
  const found = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
    .flatMap((name) => (process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, name)))
    .find(isExecutable);
  if (found === undefined) throw new Error("no Chromium on the PATH; HEADWATER_CHROMIUM names one");
  return found;
}

/** The etcd program. */
export function etcdBinary() {
  const { HEADWATER_ETCD } = process.env;
  if (HEADWATER_ETCD) return HEADWATER_ETCD;
  const found = [...(process.env.PATH ?? "").split(delimiter), "/usr/bin"]
    .map((folder) => join(folder, "etcd"))
    .find(isExecutable);
  if (found === undefined) throw new Error("no etcd on the PATH; HEADWATER_ETCD names one");
  return found;
}

/** @param {string} path */
function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
