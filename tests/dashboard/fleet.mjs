// The servers of the tests: a Redis, two processes with the same limits, and clients that send requests.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

import { start } from "./server.mjs";

export const TOKEN = "a-token-of-the-tests==";

const POLICIES = `[policies.search]
rate = "600/minute"
candidate = "60/minute"
`;

/** A key that the page shortens at first. A longer one has only a digest. */
export const LONG_KEY = "x".repeat(50);

/** Keys that look like markup, hide characters, or reverse the text after them. */
export const HOSTILE_KEYS = [
  "<img src=x onerror=alert(1)>",
  "\"><script>document.title='hostile'</script>",
  "admin\u202egnp.exe",
  "line\nbreak\u0000\u200b\u2066end",
  LONG_KEY,
];

export class Fleet {
  #redis = null;
  #servers = [];
  #isLoadOn = true;
  #clients = [];

  /** Starts everything. `folder` is for the policies file. */
  static async start(redisServer, program, folder) {
    const fleet = new Fleet();
    fleet.redisServer = redisServer;
    fleet.port = await freePort();
    fleet.policiesFile = `${folder}/rateguard.toml`;
    fleet.restorePolicies();
    await fleet.startRedis();
    try {
      const redisUrl = `redis://127.0.0.1:${fleet.port}`;
      for (const name of ["web-1", "web-2"]) {
        fleet.#servers.push(await start(program, redisUrl, name, TOKEN, fleet.policiesFile));
      }
    } catch (error) {
      await fleet.end();
      throw error;
    }
    fleet.urls = fleet.#servers.map((server) => server.url);
    fleet.#startClients();
    return fleet;
  }

  async startRedis() {
    const options = ["--port", this.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    this.#redis = spawn(this.redisServer, options, { stdio: ["ignore", "pipe", "inherit"] });
    for await (const text of this.#redis.stdout) {
      if (String(text).includes("Ready to accept connections")) break;
    }
    // The output must be read, or Redis stops when its pipe is full.
    this.#redis.stdout.resume();
  }

  async stopRedis() {
    const ended = once(this.#redis, "exit");
    this.#redis.kill("SIGKILL");
    await ended;
  }

  restorePolicies() {
    writeFileSync(this.policiesFile, POLICIES);
  }

  breakPolicies() {
    writeFileSync(this.policiesFile, POLICIES.replace("600/minute", "600/fortnight"));
  }

  /** Sends a request as a client with this address. Returns the status. */
  async request(path, { address = "198.51.100.1", apiKey = "customer-1", server = 0 } = {}) {
    const headers = { "X-Forwarded-For": address, "X-Api-Key": apiKey };
    const response = await fetch(this.urls[server] + path, { method: "POST", headers });
    await response.arrayBuffer();
    return response.status;
  }

  /** Each hostile key is denied several times, so that it is in the list of denied keys. */
  async sendHostileKeys() {
    for (const key of HOSTILE_KEYS) {
      for (let index = 0; index < 9; index += 1) await this.request(`/echo?key=${encodeURIComponent(key)}`);
    }
  }

  #startClients() {
    const repeat = async (interval, send) => {
      while (this.#isLoadOn) {
        // A request can fail while a test has stopped Redis or a server.
        await send().catch(() => undefined);
        await pause(interval);
      }
    };
    const servers = [0, 1];
    this.#clients = servers.flatMap((server) => [
      repeat(40, () => this.request("/search", { server })),
      repeat(200, () => this.request("/login", { server, address: "203.0.113.9" })),
      repeat(100, () => this.request("/export", { server, apiKey: "customer-2" })),
      repeat(50, () => this.request("/export", { server, apiKey: "customer-2" })),
      repeat(120, () => this.request("/thumbnail", { server, apiKey: "customer-3" })),
    ]);
  }

  async end() {
    this.#isLoadOn = false;
    await Promise.all(this.#clients);
    await Promise.all(this.#servers.map((server) => server.end()));
    await this.stopRedis();
  }
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}
