// A server of the tests, and the report of the checks.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** Starts a server that ends with this program, because its standard input is a pipe from here. */
export async function start(program, ...options) {
  const process = spawn(program, options, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: process.stdout });
  const ended = once(process, "exit");
  const port = await Promise.race([once(lines, "line"), ended.then(() => [])]);
  if (!(Number(port[0]) > 0)) throw new Error(`${program} does not start`);
  return {
    url: `http://127.0.0.1:${port[0]}`,
    async end() {
      process.stdin.end();
      await ended;
    },
  };
}

/** A line for each check. A check fails if its function throws. */
export class Report {
  passed = 0;
  failed = 0;

  async check(name, run) {
    try {
      const found = await run();
      this.passed += 1;
      console.log(`ok      ${name}${found === undefined ? "" : `: ${found}`}`);
    } catch (error) {
      this.failed += 1;
      console.log(`FAILED  ${name}: ${error.stack ?? error}`);
    }
  }
}
