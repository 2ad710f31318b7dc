// The client of Upstash on the stand-in for its REST interface, which the tests of the Upstash store use. The examples
// of the documentation of the REST interface are sent without the client.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";

import { errors, Redis } from "@upstash/redis";

const ECHO = "return { KEYS[1], ARGV[1], 7, false, { ARGV[2], 'OK' } }";
const UNKNOWN_HASH = "0123456789012345678901234567890123456789";

const sha1 = (text) => createHash("sha1").update(text).digest("hex");

/** Asserts that the client throws the error of the server, with this text. */
const rejects = (promise, text) =>
  assert.rejects(promise, (error) => {
    assert.ok(error instanceof errors.UpstashError, error);
    // The client writes this before the error of a command that it has sent in a pipeline of its own accord.
    assert.match(error.message.replace(/^Command failed: /, ""), text);
    return true;
  });

async function strings(redis, key) {
  // "YmFy" and "OK" show that the client decodes a string once, and only if the server has encoded it.
  for (const text of ["bar", "YmFy", "OK", "", "größe ✓ \u0000", "x".repeat(100_000)]) {
    assert.equal(await redis.set(key("text"), text), "OK");
    assert.equal(await redis.get(key("text")), text);
  }
  assert.equal(await redis.get(key("missing")), null);
  assert.equal(await redis.set(key("text"), "new", { nx: true }), null);
  assert.equal(await redis.ping(), "PONG");
}

async function values(redis, key) {
  for (const value of [12, -1.5, true, { a: [1, null, "b"] }]) {
    await redis.set(key("value"), value, { ex: 100 });
    assert.deepEqual(await redis.get(key("value")), value);
  }
  assert.equal(await redis.ttl(key("value")), 100);
}

async function replies(redis, key) {
  assert.equal(await redis.incrby(key("number"), 41), 41);
  assert.equal(await redis.incr(key("number")), 42);
  assert.equal(await redis.rpush(key("list"), "YQ==", "b"), 2);
  assert.deepEqual(await redis.lrange(key("list"), 0, -1), ["YQ==", "b"]);
  assert.equal(await redis.hset(key("hash"), { field: "one", other: 2 }), 2);
  assert.deepEqual(await redis.hgetall(key("hash")), { field: "one", other: 2 });
  assert.equal(await redis.zadd(key("set"), { score: 1.5, member: "m" }), 1);
  assert.deepEqual(await redis.zrange(key("set"), 0, -1, { withScores: true }), ["m", 1.5]);
  assert.deepEqual(await redis.mget(key("number"), key("missing")), [42, null]);
  assert.equal(await redis.del(key("list"), key("hash"), key("missing")), 2);
}

async function scripts(redis, key) {
  const expected = [key("k"), "a", 7, null, ["YmFy", "OK"]];
  assert.deepEqual(await redis.eval(ECHO, [key("k")], ["a", "YmFy"]), expected);
  assert.equal(await redis.eval("return redis.status_reply('OK')", [], []), "OK");
  assert.equal(await redis.eval("return 1.9", [], []), 1);

  assert.equal(await redis.scriptLoad(ECHO), sha1(ECHO));
  assert.deepEqual(await redis.scriptExists(sha1(ECHO), UNKNOWN_HASH), [1, 0]);
  assert.deepEqual(await redis.evalsha(sha1(ECHO), [key("k")], ["a", "YmFy"]), expected);
}

async function missingScript(redis, key) {
  const noScript = /^NOSCRIPT No matching script\. Please use EVAL\./;
  await rejects(redis.evalsha(UNKNOWN_HASH, [], []), noScript);
  // The client recognizes the error, and then sends the source of the script.
  const source = `return { KEYS[1], '${key("source")}' }`;
  assert.deepEqual(await redis.scriptExists(sha1(source)), [0]);
  for (let round = 0; round < 2; round += 1) {
    assert.deepEqual(await redis.createScript(source).exec([key("k")], []), [key("k"), key("source")]);
    assert.deepEqual(await redis.scriptExists(sha1(source)), [1]);
  }
}

async function failures(redis, key) {
  await redis.set(key("text"), "text");
  await rejects(redis.lpush(key("text"), "a"), /^WRONGTYPE Operation against a key/);
  await rejects(redis.incr(key("text")), /^ERR value is not an integer or out of range/);
  await rejects(redis.exec(["GET"]), /^ERR wrong number of arguments for 'get' command/);
  await rejects(redis.exec(["NOSUCHCOMMAND"]), /^ERR unknown command 'NOSUCHCOMMAND'/);
  await rejects(redis.eval("return redis.error_reply('MYERROR text')", [], []), /^MYERROR text/);
  await rejects(redis.eval("return nothing()", [], []), /nonexistent global variable 'nothing'/);
}

async function pipelines(redis, key) {
  const pipeline = () =>
    redis.pipeline().set(key("text"), "valuex").incr(key("text")).evalsha(UNKNOWN_HASH, [], []).get(key("text"));
  await assert.rejects(pipeline().exec(), /Command 2 \[ incr \] failed: ERR value is not an integer/);
  const replies = await pipeline().exec({ keepErrors: true });
  assert.deepEqual(
    replies.map(({ result, error }) => error ?? result),
    [
      "OK",
      "ERR value is not an integer or out of range",
      "NOSCRIPT No matching script. Please use EVAL.",
      "valuex",
    ],
  );
}

async function automaticPipeline(url, token, key) {
  const redis = new Redis({ url, token, retry: false, enableAutoPipelining: true });
  // The client sends these commands in one pipeline, so they run in this order.
  const calls = [1, 2, 3].map((number) => redis.rpush(key("list"), number));
  assert.deepEqual(await Promise.all(calls), [1, 2, 3]);
}

async function transactions(redis, key) {
  const transaction = redis.multi().set(key("text"), "YmFy").get(key("text")).incrby(key("number"), 5);
  assert.deepEqual(await transaction.exec(), ["OK", "YmFy", 5]);

  // A command that fails does not stop the others.
  const failing = redis.multi().incr(key("text")).set(key("after"), "set");
  const replies = await failing.exec({ keepErrors: true });
  assert.deepEqual(
    replies.map(({ result, error }) => error ?? result),
    ["ERR value is not an integer or out of range", "OK"],
  );
  assert.equal(await redis.get(key("after")), "set");

  // A command without its arguments discards the transaction.
  const discarded = redis.multi().set(key("discarded"), "set").mset({});
  await rejects(discarded.exec(), /^EXECABORT/);
  assert.equal(await redis.get(key("discarded")), null);
}

async function withoutEncoding(url, token, key) {
  const redis = new Redis({ url, token, responseEncoding: false, retry: false });
  await redis.set(key("text"), "größe");
  assert.equal(await redis.get(key("text")), "größe");
  assert.deepEqual(await redis.eval(ECHO, [key("k")], ["a", "b"]), [key("k"), "a", 7, null, ["b", "OK"]]);
  // Without base64, a byte that is not UTF-8 is replaced.
  assert.equal(await redis.eval("return '\\255'", [], []), "\ufffd");
}

async function wrongToken(url, token) {
  for (const wrong of ["wrong", `${token}x`, token.slice(1)]) {
    const redis = new Redis({ url, token: wrong, retry: false });
    await rejects(redis.get("key"), /^WRONGPASS/);
    await rejects(redis.pipeline().get("key").exec(), /^WRONGPASS/);
    await rejects(redis.multi().get("key").exec(), /^WRONGPASS/);
  }
}

/** Sends an HTTP request as the documentation of the REST interface shows it. */
async function send(url, path, token, body, { method = "POST", encoding } = {}) {
  const headers = { Authorization: `Bearer ${token}`, ...(encoding && { "Upstash-Encoding": encoding }) };
  const response = await fetch(url + path, { method, headers, body: body && JSON.stringify(body) });
  assert.equal(response.headers.get("Content-Type"), "application/json");
  return [response.status, await response.json()];
}

async function documentedResponses(url, token, key) {
  const post = (path, body, options) => send(url, path, token, body, options);
  const base64 = { encoding: "base64" };
  assert.deepEqual(await post("/", ["SET", key("foo"), "bar", "EX", 100], base64), [200, { result: "OK" }]);
  assert.deepEqual(await post("/", ["GET", key("foo")], base64), [200, { result: "YmFy" }]);
  assert.deepEqual(await post("/", ["GET", key("foo")]), [200, { result: "bar" }]);
  assert.deepEqual(await post("/", ["MGET", key("foo"), key("none")]), [200, { result: ["bar", null] }]);
  const [status, failure] = await post("/", ["GET"], base64);
  assert.deepEqual([status, Object.keys(failure)], [400, ["error"]]);
  assert.match(failure.error, /^ERR wrong number of arguments for 'get' command/);

  const commands = [
    ["SET", key("key1"), "valuex"],
    ["SETEX", key("key2"), 13, "valuez"],
    ["INCR", key("key1")],
    ["ZADD", key("myset"), 11, "item1", 22, "item2"],
  ];
  for (const path of ["/pipeline", "/multi-exec"]) {
    const [status, [set, setex, incr, zadd]] = await post(path, commands, base64);
    assert.deepEqual([status, set, setex], [200, { result: "OK" }, { result: "OK" }]);
    assert.match(incr.error, /^ERR value is not an int/);
    assert.deepEqual(zadd, { result: 2 });
    await post("/", ["DEL", key("myset")]);
  }
}

async function documentedStatuses(url, token) {
  const of = async (...request) => {
    const [status, body] = await send(url, ...request);
    assert.deepEqual(Object.keys(body), ["error"]);
    return status;
  };
  for (const [path, body] of [
    ["/", { a: 1 }],
    ["/", [["GET", "a"]]],
    ["/", ["GET", null]],
    ["/pipeline", ["GET", "a"]],
    ["/multi-exec", "GET"],
    ["/multi-exec", [["GET", "a"], ["NOSUCHCOMMAND"]]],
  ]) {
    assert.equal(await of(path, token, body), 400, `${path} ${JSON.stringify(body)}`);
  }
  assert.equal(await of("/", "wrong", ["PING"]), 401);
  assert.equal(await of("/pipeline", "wrong", [["PING"]]), 401);
  assert.equal(await of("/", token, ["PING"], { method: "DELETE" }), 405);
}

export async function checkUpstash(url, token, report) {
  const check = (name, run) => report.check(`@upstash/redis, ${name}`, run);
  const checks = { strings, values, replies, scripts, missingScript, failures, pipelines, transactions };
  // With automatic pipelines, the client sends each command in a pipeline.
  for (const enableAutoPipelining of [false, true]) {
    const redis = new Redis({ url, token, retry: false, enableAutoPipelining });
    for (const [name, run] of Object.entries(checks)) {
      const label = `${name}${enableAutoPipelining ? ", automatic pipelines" : ""}`;
      await check(label, () => run(redis, (key) => `${label}:${key}`));
    }
  }
  const others = { automaticPipeline, withoutEncoding, wrongToken, documentedResponses, documentedStatuses };
  for (const [name, run] of Object.entries(others)) {
    await check(name, () => run(url, token, (key) => `${name}:${key}`));
  }
}
