/** `headwater serve`: the edge worker on workerd, with a directory to itself. */

import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { HeadwaterError, malformed } from "../errors.js";
import { claim } from "./claim.js";
import type { Command, Given } from "./command.js";
import { readGroup, readText } from "./group-config.js";
import { Workerd, WORKERD_VARIABLE } from "./program.js";
import { SECRET_VARIABLE } from "./secret.js";

const LISTEN_DEFAULT = "127.0.0.1:8787";
const HEALTHY_MS_MAX = 30_000;
const HEALTHY_POLL_MS = 50;

/** Beside the bundle, as they are packed. */
const CONFIG = fileURLToPath(new URL("../serve/headwater.capnp", import.meta.url));

/** The command. */
export const serve: Command = {
  name: "serve",
  operands: [],
  summary: "Runs a node on workerd, with its storage in a directory of its own.",
  options: {
    dir: { value: "DIR", help: "where everything is kept; made if there is none" },
    listen: { value: "ADDRESS", help: `HOST:PORT; * for every interface, port 0 for a free one (default ${LISTEN_DEFAULT})` },
    group: { value: "FILE|JSON", help: "the group of the node; without it, it leads alone" },
    self: { value: "NAME", help: "which member it is; if neither this nor the group says so, it is all of them, to try out" },
    etcd: { value: "URL,...", help: "client addresses of the etcd that keeps the group's records" },
    "secret-file": { value: "FILE", help: `what the group's members share; ${SECRET_VARIABLE} in the environment does as well` },
  },
  more: `The directory is claimed as long as the node runs, however it ends; a second node on it is refused with
STORAGE_UNAVAILABLE. Ctrl-C stops the node.

Environment:
  ${WORKERD_VARIABLE.padEnd(SECRET_VARIABLE.length)}  path of the workerd to run; by default that of the npm package workerd
  ${SECRET_VARIABLE}  what the group's members share`,
  run,
};

async function run(given: Given): Promise<number> {
  const directory = resolve(given.needed("dir", "where to keep the node's storage"));
  const listen = given.text("listen") ?? LISTEN_DEFAULT;
  const env = environment(given);
  const claimed = claim(directory);
  const storage = join(directory, "objects");
  mkdirSync(storage, { recursive: true });
  const workerd = new Workerd([CONFIG, `--directory-path=storage=${storage}`, `--socket-addr=http=${listen}`], env, claimed.fd);
  const asked = stopOnSignals(workerd);
  try {
    const url = urlOf(listen, await workerd.port);
    await healthy(url, workerd);
    console.log(`headwater: ${url} serves ${directory}, workerd is process ${workerd.pid}`);
    const ended = await workerd.ended;
    if (asked.isAsked) return 0;
    throw new HeadwaterError("CLOSED", `workerd ended by itself, with ${ended}`);
  } catch (error) {
    if (asked.isAsked) return 0;
    throw error;
  } finally {
    await workerd.stop();
    claimed.release();
  }
}

/** What the worker finds in its environment. */
function environment(given: Given): Record<string, string> {
  const [group, etcd, secretFile] = [given.text("group"), given.text("etcd"), given.text("secret-file")];
  const env: Record<string, string> = {};
  if (secretFile !== undefined) env[SECRET_VARIABLE] = readText(secretFile);
  if (etcd !== undefined) env["HEADWATER_LEASE"] = JSON.stringify({ etcd: etcd.split(",") });
  if (group === undefined) {
    if (etcd !== undefined || given.has("self")) throw malformed("--etcd and --self belong to --group, which is missing");
    return env;
  }
  const { text, self } = readGroup(group, given.text("self"));
  if (self !== undefined && etcd === undefined) {
    throw malformed(`${self} is one of several nodes: --etcd says where they keep the group's records`);
  }
  if (self !== undefined && !(env[SECRET_VARIABLE] ?? process.env[SECRET_VARIABLE])) {
    throw malformed(`${self} shares a secret with the other nodes: --secret-file, or ${SECRET_VARIABLE} in the environment`);
  }
  return { ...env, HEADWATER_GROUP: text };
}

/** Where we reach it ourselves. */
function urlOf(listen: string, port: number): string {
  const host = listen.slice(0, Math.max(listen.lastIndexOf(":"), 0));
  return `http://${host === "*" || host === "0.0.0.0" || host === "" ? "127.0.0.1" : host}:${port}`;
}

async function healthy(url: string, workerd: Workerd): Promise<void> {
  const deadline = Date.now() + HEALTHY_MS_MAX;
  let hasEnded = false;
  void workerd.ended.then(() => (hasEnded = true));
  for (;;) {
    const response = await fetch(`${url}/healthz`).catch(() => undefined);
    if (response?.ok) return;
    if (hasEnded) throw new HeadwaterError("CLOSED", `workerd ended with ${await workerd.ended}`);
    if (Date.now() > deadline) {
      throw new HeadwaterError("TIMEOUT", `${url}/healthz answers ${response?.status ?? "nothing"} after ${HEALTHY_MS_MAX} ms`);
    }
    await new Promise((resolve) => setTimeout(resolve, HEALTHY_POLL_MS));
  }
}

function stopOnSignals(workerd: Workerd): { isAsked: boolean } {
  const asked = { isAsked: false };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (asked.isAsked) return;
      asked.isAsked = true;
      void workerd.stop();
    });
  }
  return asked;
}
