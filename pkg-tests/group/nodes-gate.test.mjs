/** The gate before the nodes: what a group may be, who may ask what, and whom a request is for. Nothing runs behind it. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { figures } from "../harness/figures.mjs";
import { route } from "./edge-package.mjs";

const SECRET = "a-secret-of-a-test";
const CALL_BYTES_MAX = 8 << 20;

/** @param {string} name @param {number} priority */
const voter = (name, priority, more = {}) => ({ name, priority, ...more });
const THREE = [voter("paris", 2), voter("tokyo", 1), voter("ohio", 1)];
const SPREAD = THREE.map((member, at) => ({ ...member, address: `http://127.0.0.1:${8801 + at}` }));
const ETCD = { HEADWATER_LEASE: '{"etcd":["http://127.0.0.1:2379"]}' };

test("a group that cannot be meant is refused with what is wrong with it", () => {
  const good = { quorum: 2, members: THREE };
  /** @type {[object | string, RegExp][]} */
  const refused = [
    ["{", /HEADWATER_GROUP: .*JSON/],
    ["null", /options are an object/],
    [[], /options are an object/],
    [{ ...good, nodes: 1 }, /no option "nodes"/],
    [{ ...good, members: [] }, /at least one/],
    [{ ...good, members: "paris" }, /members is a list/],
    [{ ...good, members: [null] }, /members\[0\]/],
    [{ ...good, members: [...THREE, voter("paris", 1)] }, /paris is there twice/],
    [{ ...good, members: [voter("Paris", 1)] }, /lower-case/],
    [{ ...good, members: [voter("a b", 1)] }, /lower-case/],
    [{ ...good, members: [voter("a".repeat(65), 1)] }, /lower-case/],
    [{ ...good, members: [{ name: "paris" }] }, /either a voter with a priority, or an observer/],
    [{ ...good, members: [{ name: "paris", observer: true, priority: 1 }] }, /either a voter/],
    [{ ...good, members: [{ name: "paris", observer: "yes" }] }, /observer is "yes"; it is a boolean/],
    [{ ...good, members: [voter("paris", -1)] }, /priority is -1/],
    [{ ...good, members: [voter("paris", 1.5)] }, /priority is 1.5/],
    [{ ...good, members: [voter("paris", "1")] }, /priority is "1"/],
    [{ ...good, members: [voter("paris", 1, { delayMs: 5 })] }, /for observers/],
    [{ ...good, members: [...THREE, { name: "far", observer: true, via: "nobody" }] }, /via nobody/],
    [{ ...good, members: [voter("paris", 1, { role: "voter" })] }, /no option "role"/],
    [{ quorum: 4, members: THREE }, /quorum is 4; of 3 voters it can be 1 to 3/],
    [{ quorum: 0, members: THREE }, /quorum is 0/],
    [{ members: THREE }, /quorum/],
    [{ ...good, settings: { beat: 1 } }, /no option "beat"/],
    [{ ...good, settings: { beatMs: "fast" } }, /settings.beatMs is "fast"/],
    [{ ...good, settings: { minority: "gone" } }, /settings.minority is "gone"/],
    [{ ...good, settings: { insecure: 1 } }, /settings.insecure/],
    [{ ...good, self: "rome", members: SPREAD }, /self is "rome"; the members are paris, tokyo, ohio/],
    [{ ...good, self: 1, members: SPREAD }, /self is 1; it is a string/],
    [{ ...good, self: "paris" }, /members\[0\].address is missing/],
    [{ quorum: 1, self: "a", members: [voter("a", 1, { address: "http://10.0.0.1:80" })] }, /unencrypted.*insecure/],
    [{ quorum: 1, self: "a", members: [voter("a", 1, { address: "http://127.0.0.1.example.org" })] }, /unencrypted/],
    [{ quorum: 1, self: "a", members: [voter("a", 1, { address: "ftp://a" })] }, /begins with https: or http:/],
    [{ quorum: 1, self: "a", members: [voter("a", 1, { address: "https://u:p@a" })] }, /no user, query or fragment/],
  ];
  for (const [group, message] of refused) {
    const HEADWATER_GROUP = typeof group === "string" ? group : JSON.stringify(group);
    const env = environment({ HEADWATER_GROUP, HEADWATER_NODE_SECRET: SECRET, ...ETCD });
    assert.throws(() => ask(env, "/v1/x/status"), coded("MALFORMED", message), HEADWATER_GROUP);
  }
  figures("nodes: groups refused", { refused: refused.length });
});

test("members in several processes need a secret and a lease store that all of them reach", () => {
  const HEADWATER_GROUP = JSON.stringify({ self: "paris", quorum: 2, members: SPREAD });
  const secret = { HEADWATER_NODE_SECRET: SECRET };
  assert.throws(() => ask(environment({ HEADWATER_GROUP, ...ETCD }), "/v1/x/status"), coded("MALFORMED", /HEADWATER_NODE_SECRET/));
  assert.throws(() => ask(environment({ HEADWATER_GROUP, ...secret }), "/v1/x/status"), coded("MALFORMED", /HEADWATER_LEASE/));
  for (const HEADWATER_LEASE of ["{", "{}", '{"etcd":"http://127.0.0.1"}', '{"etcd":["x"]}', '{"etcd":["http://x"],"user":"x"}']) {
    const env = environment({ HEADWATER_GROUP, ...secret, HEADWATER_LEASE });
    assert.throws(() => ask(env, "/v1/x/status"), coded("MALFORMED", /^HEADWATER_LEASE: /), HEADWATER_LEASE);
  }
  const words = environment({ HEADWATER_NODE_SECRET: "two words" });
  assert.throws(() => ask(words, "/v1/x/status"), coded("MALFORMED", /one word/));
  const bare = { ...environment({ HEADWATER_GROUP: JSON.stringify({ quorum: 2, members: THREE }) }), HEADWATER_COORDINATOR: undefined };
  assert.throws(() => ask(bare, "/v1/x/status"), coded("MALFORMED", /HEADWATER_COORDINATOR/));
});

test("a request goes to the member that it names, else to the one that is preferred", async () => {
  const members = [voter("ohio", 1), voter("paris", 2, { locationHint: "weur" }), { name: "archive", observer: true }];
  const env = environment({ HEADWATER_GROUP: { quorum: 2, members } });
  const paths = {
    "/v1/x/status": ["paris\0x", "weur"],
    "/v1/x/status?member=ohio": ["ohio\0x", undefined],
    "/members/archive/v1/x/docs/a/b": ["archive\0x", undefined],
    "/v1/a%2Fb/sync?member=paris": ["paris\0a/b", "weur"],
  };
  for (const [path, [name, locationHint]] of Object.entries(paths)) {
    assert.equal((await ask(env, path)).status, 200, path);
    assert.deepEqual(env.asked.at(-1), { name, locationHint, method: "fetch" }, path);
  }
  await answers(ask(env, "/v1/x/status?member=rome"), 404, "NOT_FOUND");
  await answers(ask(env, "/members/rome/v1/x/status"), 404, "NOT_FOUND");
  assert.throws(() => ask(env, "/v1/x/status", {}, { binding: "OTHER" }), coded("MALFORMED", /OTHER/));

  const own = environment({
    HEADWATER_GROUP: { self: "tokyo", quorum: 2, members: SPREAD },
    HEADWATER_NODE_SECRET: SECRET,
    ...ETCD,
  });
  await ask(own, "/v1/x/status");
  await ask(own, "/v1/x/status?member=tokyo");
  assert.deepEqual(own.asked.map(({ name }) => name), ["tokyo\0x", "tokyo\0x"]);
  await answers(ask(own, "/v1/x/status?member=paris"), 404, "NOT_FOUND");
});

test("without a group there is one node for each database, under its own name", async () => {
  for (const HEADWATER_GROUP of [undefined, null, ""]) {
    const env = environment({ HEADWATER_GROUP });
    await ask(env, "/v1/x/status");
    assert.deepEqual(env.asked, [{ name: "x", locationHint: undefined, method: "fetch" }]);
    await answers(ask(env, "/v1/x/status?member=paris"), 404, "NOT_FOUND");
  }
});

test("only who shows the secret calls, administers and measures", async () => {
  const group = { HEADWATER_GROUP: { quorum: 2, members: THREE } };
  const closed = environment(group);
  const open = environment({ ...group, HEADWATER_NODE_SECRET: SECRET });
  const asks = [
    ["/v1/x/group", { method: "POST", body: "call" }],
    ["/v1/x/admin/switchover", { method: "POST", body: "{}" }],
    ["/v1/x/admin/promote", { method: "POST", body: '{"acceptDataLoss":true}' }],
    ["/metrics", {}],
  ];
  const strangers = [undefined, "", "Bearer", "Bearer ", `Basic ${SECRET}`, `Bearer ${SECRET}x`, `Bearer ${SECRET.slice(1)}`, SECRET];
  for (const [path, init] of asks) {
    await answers(ask(closed, path, authorised(init, `Bearer ${SECRET}`)), 403, "FORBIDDEN");
    for (const shown of strangers) await answers(ask(open, path, authorised(init, shown)), 401, "UNAUTHORIZED");
    assert.equal((await ask(open, path, authorised(init, `Bearer ${SECRET}`))).status, 200, path);
  }
  assert.deepEqual(closed.asked, [], "nothing of it reached a node");
  assert.deepEqual(open.asked.map(({ method }) => method), ["called", "administer", "administer"]);
  figures("nodes: strangers", { refused: asks.length * (strangers.length + 1), "reached a node": 0 });
});

test("calls and commands have a method, a length and a shape", async () => {
  const env = environment({ HEADWATER_GROUP: { quorum: 2, members: THREE }, HEADWATER_NODE_SECRET: SECRET });
  const post = (/** @type {string} */ path, /** @type {BodyInit} */ body, headers = {}) =>
    ask(env, path, { ...authorised({ method: "POST", body, duplex: "half" }, `Bearer ${SECRET}`), ...headers });
  for (const path of ["/v1/x/group", "/v1/x/admin/switchover", "/v1/x/admin/promote"]) {
    await answers(ask(env, path, authorised({}, `Bearer ${SECRET}`)), 405, "MALFORMED");
    assert.equal((await ask(env, path, { method: "OPTIONS" })).headers.get("allow"), "POST, OPTIONS");
  }
  assert.equal(ask(env, "/v1/x/admin/restart", authorised({ method: "POST" }, `Bearer ${SECRET}`)), null);
  assert.equal((await post("/v1/x/group", new Uint8Array(CALL_BYTES_MAX))).status, 200);
  await answers(post("/v1/x/group", new Uint8Array(CALL_BYTES_MAX + 1)), 413, "TOO_LARGE");
  // Without a length that could be believed, what is read is counted.
  const endless = new ReadableStream({ pull: (stream) => stream.enqueue(new Uint8Array(1 << 20)) });
  await answers(post("/v1/x/group", endless), 413, "TOO_LARGE");
  await answers(post("/v1/x/admin/promote", " ".repeat(5_000)), 413, "TOO_LARGE");
  for (const body of ["{", "[1]", '{"force":true}', '{"to":1}', '{"timeoutMs":0}', '{"timeoutMs":"1"}', "null"]) {
    await answers(post("/v1/x/admin/switchover", body), 400, "MALFORMED");
  }
  for (const body of ['{"acceptDataLoss":"yes"}', '{"to":"paris"}']) {
    await answers(post("/v1/x/admin/promote", body), 400, "MALFORMED");
  }
  await post("/v1/x/admin/promote", '{"member":"ohio","acceptDataLoss":true}');
  assert.equal(env.asked.at(-1).name, "ohio\0x");
  await answers(post("/v1/x/admin/promote", '{"member":"rome","acceptDataLoss":true}'), 404, "NOT_FOUND");
});

/** Bindings as a worker has them, with nodes that answer everything and say what they were asked. @param {object} bindings */
function environment(bindings) {
  /** @type {{ name: string, locationHint: string | undefined, method: string }[]} */
  const asked = [];
  const namespace = {
    idFromName: (/** @type {string} */ name) => name,
    get: (/** @type {string} */ name, /** @type {{ locationHint?: string }} */ { locationHint } = {}) => {
      const note = (/** @type {string} */ method) => void asked.push({ name, locationHint, method });
      return {
        fetch: async () => (note("fetch"), new Response("ok")),
        called: async () => (note("called"), { ok: new Uint8Array() }),
        administer: async () => (note("administer"), { ok: {} }),
      };
    },
  };
  return { HEADWATER: namespace, HEADWATER_COORDINATOR: namespace, ...bindings, asked };
}

/** @param {object} env @param {string} path @param {RequestInit} [init] @param {object} [options] */
function ask(env, path, init, options) {
  return route(new Request(`https://node${path}`, init), env, options);
}

/** @param {RequestInit} init @param {string | undefined} authorization */
function authorised(init, authorization) {
  return authorization === undefined ? init : { ...init, headers: { authorization } };
}

/** @param {Response | Promise<Response> | null} answer @param {number} status @param {string} code */
async function answers(answer, status, code) {
  const response = /** @type {Response} */ (await answer);
  assert.deepEqual([response.status, (await response.json()).code], [status, code]);
}

/** @param {string} code @param {RegExp} message */
function coded(code, message) {
  return (/** @type {any} */ error) => error.name === "HeadwaterError" && error.code === code && message.test(error.message);
}
