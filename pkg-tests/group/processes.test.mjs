/** `headwater` as a process: what it serves, what it refuses, how it ends; two of them never have one directory. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";

import { endWithProcess, killNow, owner, temporaryFolder } from "../harness/cleanup.mjs";
import { ROOT, workerdBinary } from "../harness/env.mjs";
import { figures } from "../harness/figures.mjs";

const PROGRAM = join(ROOT, "pkg/dist/cli.js");
const MEMBERS = [{ name: "paris", priority: 1, address: "http://127.0.0.1:1" }];
const GROUP = JSON.stringify({ self: "paris", quorum: 1, members: MEMBERS });

test("a directory has one node, until both the program and its workerd are gone", async (t) => {
  const all = owner(t);
  const folder = join(await temporaryFolder(all, "serve"), "not/there/yet");
  const first = await serve(all, folder);
  await fetch(`${first.url}/v1/kept/docs/a`);
  const { lsn, generation } = await (await fetch(`${first.url}/v1/kept/status`)).json();
  assert.equal(await refused(folder), "STORAGE_UNAVAILABLE", "beside a node that runs");

  // It hands its claim on: what it leaves behind still writes.
  killNow(first.child.pid);
  await once(first.child, "exit");
  assert.equal((await fetch(`${first.url}/healthz`)).status, 200);
  assert.equal(await refused(folder), "STORAGE_UNAVAILABLE", "beside a workerd that lost its program");
  killNow(first.workerd);
  await goneFrom(first.url);

  const second = await serve(all, folder);
  assert.deepEqual(await readdir(join(folder, "claims")).then((claims) => claims.length), 1, "dead claims are swept away");
  const again = await (await fetch(`${second.url}/v1/kept/status`)).json();
  assert.deepEqual([again.generation, again.lsn], [generation, lsn], "and what was stored is there");
  second.child.kill("SIGTERM");
  assert.deepEqual(await once(second.child, "exit"), [0, null]);
  await assert.rejects(fetch(`${second.url}/healthz`), "workerd ended with it");
  assert.deepEqual(await readdir(join(folder, "claims")), []);
});

test("of many that start at once, one at most serves, and a node that is killed leaves nothing in the way", async (t) => {
  const all = owner(t);
  const folder = await temporaryFolder(all, "claims");
  const [rounds, each] = [3, 5];
  let refusals = 0;
  for (let round = 0; round < rounds; round += 1) {
    const started = await Promise.all(
      Array.from({ length: each }, () => serve(all, folder).catch((error) => void assert.match(error.message, /STORAGE_UNAVAILABLE/))),
    );
    const serving = started.filter((node) => node !== undefined);
    assert.ok(serving.length <= 1, `${serving.length} serve one directory`);
    refusals += each - serving.length;
    for (const node of serving) {
      killNow(node.workerd);
      // The program says that its workerd has ended, and ends.
      assert.equal((await once(node.child, "exit"))[0], 1);
    }
  }
  const last = await serve(all, folder);
  figures("processes: one directory", { "started at once": rounds * each, refused: refusals, "served beside another": 0 });
  last.child.kill("SIGINT");
  assert.equal((await once(last.child, "exit"))[0], 0);
});

test("what cannot be meant is refused by its code, with exit code 2", async (t) => {
  const folder = await temporaryFolder(owner(t), "refused");
  const file = join(folder, "group.json");
  await writeFile(file, GROUP);
  const dir = ["serve", "--dir", join(folder, "node")];
  const etcd = ["--etcd", "http://127.0.0.1:1"];
  const refused = [
    ["nothing-like-it"], ["serve"], [...dir, "--bogus"], [...dir, "operand"], [...dir, "--dir"], ["status"], ["status", "a", "b"],
    [...dir, "--group", file], [...dir, ...etcd], [...dir, "--self", "paris"], [...dir, "--group", "{", ...etcd],
    [...dir, "--group", file, "--self", "paris"], [...dir, "--group", join(folder, "none.json"), ...etcd], [...dir, "--group", "{}", ...etcd],
    [...dir, "--group", file, "--self", "rome", ...etcd], ["status", "db", "--url", "nowhere"], ["top", "db", "--every-ms", "0"],
    ["switchover", "db"], ["promote", "db", "--secret", "x"], ["promote", "db", "--secret", "x", "--url", "http://a,http://b", "--accept-data-loss"],
    ["drill", "db", "--secret", "x", "--rounds", "many"],
  ];
  for (const args of refused) {
    const { code, stderr } = await run(args, args.includes("--etcd") ? { HEADWATER_NODE_SECRET: "x" } : {});
    assert.match(stderr, /^headwater: MALFORMED: ./, args.join(" "));
    assert.equal(code, 2, args.join(" "));
  }
  assert.deepEqual(await readdir(folder), ["group.json"], "and nothing was made");
  const offline = await run(["status", "db", "--url", "http://127.0.0.1:1"]);
  assert.deepEqual([offline.code, offline.stderr.split(":")[1]], [1, " OFFLINE"]);
});

test("everything explains itself", async () => {
  const { code, stdout } = await run([]);
  assert.equal(code, 0);
  const commands = [...stdout.matchAll(/^ {2}([a-z]+) {2}/gm)].map(([, name]) => name);
  const operating = ["serve", "status", "lag", "top", "switchover", "promote", "topology", "drill"];
  assert.deepEqual(commands, [...operating, "export", "import", "history", "restore"]);
  for (const command of commands) {
    const help = await run([command, "--help"]);
    assert.match(help.stdout, new RegExp(`Usage: headwater ${command}`));
    assert.deepEqual([help.code, help.stderr], [0, ""]);
  }
});

test("the package carries what it serves", async () => {
  const { files } = JSON.parse(await readFile(join(ROOT, "pkg/package.json"), "utf8"));
  const config = await readFile(join(ROOT, "pkg/serve/headwater.capnp"), "utf8");
  for (const [, path] of config.matchAll(/embed "([^"]+)"/g)) {
    const from = new URL(path, "file:///serve/").pathname.split("/")[1];
    assert.ok(files.includes(from), `${path} is packed`);
    await readFile(join(ROOT, "pkg/serve", path));
  }
});

/** Starts a node and waits until it says where it serves. @param {import("../harness/cleanup.mjs").Owner} owner @param {string} folder */
async function serve(owner, folder) {
  const child = start(["serve", "--dir", folder, "--listen", "127.0.0.1:0"]);
  const release = endWithProcess(() => killNow(child.pid));
  /** @type {{ url: string, workerd: number } | undefined} */
  let serving;
  const said = text(child.stderr);
  for await (const line of createInterface({ input: child.stdout })) {
    const match = /^headwater: (\S+) serves .* workerd is process (\d+)$/.exec(line);
    if (match === null) continue;
    serving = { url: match[1], workerd: Number(match[2]) };
    break;
  }
  if (serving === undefined) {
    release();
    throw new Error(await said);
  }
  const { workerd } = serving;
  const releaseWorkerd = endWithProcess(() => killNow(workerd));
  owner.after(() => {
    killNow(child.pid);
    killNow(workerd);
    release();
    releaseWorkerd();
  });
  return { child, ...serving };
}

/** The code with which a second node is refused. @param {string} folder */
async function refused(folder) {
  const { code, stderr } = await run(["serve", "--dir", folder, "--listen", "127.0.0.1:0"]);
  assert.equal(code, 1);
  return stderr.split(": ")[1];
}

/** @param {string[]} args @param {Record<string, string>} [env] */
async function run(args, env) {
  const child = start(args, env);
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]);
  return { code, stdout, stderr };
}

/** @param {string[]} args @param {Record<string, string>} [env] */
function start(args, env = {}) {
  return spawn(process.execPath, [PROGRAM, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, HEADWATER_WORKERD: workerdBinary(), HEADWATER_NODE_SECRET: "", ...env },
  });
}

/** @param {import("node:stream").Readable} stream */
async function text(stream) {
  let text = "";
  for await (const bytes of stream) text += bytes;
  return text;
}

/** Waits until nobody answers there any more. @param {string} url */
async function goneFrom(url) {
  while (await fetch(`${url}/healthz`).then(() => true, () => false));
}
