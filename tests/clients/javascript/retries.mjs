// HTTP clients that repeat a rejected request: they must wait for as long as `Retry-After` says, and then be admitted.

import assert from "node:assert/strict";
import { performance } from "node:perf_hooks";

import axios from "axios";
import axiosRetry from "axios-retry";
import ky from "ky";

// For each page: the statuses of the requests before the one that is repeated, and the statuses of that one. The pages
// are those of `tests/src/bin/header_fixture_server.rs`.
const PAGES = {
  "/customary": [[200, 200], [429, 200]],
  "/epoch": [[200, 200], [429, 200]],
  "/draft": [[200, 200], [429, 200]],
  "/several": [[200, 200], [429, 200]],
  "/bucket": [[200, 200], [429, 200]],
  "/ban": [[200, 429], [429, 200]],
};
// The server fails the first two of three requests for this page, of all clients together.
const RECOVERING = ["/recovering", [[], [503, 503, 200]]];

// Node rounds the time of a timer to whole milliseconds, so a timer may be early by less than 1 ms.
const TIMER_PRECISION = 1;

/** Notes when requests are sent, and when which responses arrive. */
class Recorder {
  sent = [];
  responses = [];

  request() {
    this.sent.push(performance.now());
  }

  response(status, retryAfter) {
    this.responses.push({ status, retryAfter, at: performance.now() });
  }
}

/** Sends a GET request with axios-retry, whose default settings heed `Retry-After`. */
async function withAxiosRetry(url, headers, recorder) {
  const client = axios.create({ headers, proxy: false });
  client.interceptors.request.use((config) => {
    recorder.request();
    return config;
  });
  const note = ({ status, headers }) => recorder.response(status, headers["retry-after"]);
  client.interceptors.response.use(
    (response) => {
      note(response);
      return response;
    },
    (error) => {
      note(error.response);
      throw error;
    },
  );
  axiosRetry(client, { retries: 5 });
  return (await client.get(url)).status;
}

/** Sends a GET request with ky, whose default settings heed `Retry-After`. */
async function withKy(url, headers, recorder) {
  const recorded = async (request, options) => {
    recorder.request();
    const response = await fetch(request, options);
    recorder.response(response.status, response.headers.get("Retry-After"));
    return response;
  };
  return (await ky.get(url, { headers, fetch: recorded, retry: 5 })).status;
}

async function isPatient(send, url, client, [before, expected]) {
  const headers = { "X-Client": client };
  for (const status of before) {
    const response = await fetch(url, { headers });
    assert.equal(response.status, status);
  }
  const recorder = new Recorder();
  const status = await send(url, headers, recorder);

  const { sent, responses } = recorder;
  assert.deepEqual([responses.map((it) => it.status), status], [expected, expected.at(-1)]);
  assert.equal(sent.length, expected.length);
  const waits = responses.slice(0, -1).map(({ retryAfter, at }, index) => {
    assert.match(retryAfter ?? "", /^[1-9][0-9]*$/, "Retry-After");
    const waited = sent[index + 1] - at;
    assert.ok(waited >= retryAfter * 1000 - TIMER_PRECISION, `${waited} ms instead of ${retryAfter} s`);
    return `Retry-After ${retryAfter}, waited ${(waited / 1000).toFixed(3)} s`;
  });
  return [expected.join(" "), ...waits].join(", ");
}

export async function checkRetries(url, report) {
  const clients = { "axios-retry": withAxiosRetry, ky: withKy };
  const check = (name, page, statuses) =>
    report.check(`${name} on ${page}`, () => isPatient(clients[name], url + page, `${name} ${page}`, statuses));
  // The pages count each client apart, so their checks wait at the same time.
  const names = Object.keys(clients);
  const limited = names.flatMap((name) => Object.entries(PAGES).map((page) => check(name, ...page)));
  await Promise.all(limited);
  for (const name of names) await check(name, ...RECOVERING);
}
