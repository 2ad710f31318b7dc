// Sends requests to the servers of the tests as clients do that know nothing of RateGuard:
// `clients.mjs HEADER_FIXTURE_SERVER UPSTASH_FIXTURE_SERVER`.

import { readFileSync } from "node:fs";

import { checkRetries } from "./retries.mjs";
import { Report, start } from "./server.mjs";
import { checkUpstash } from "./upstash.mjs";

const [headerFixtureServer, upstashFixtureServer] = process.argv.slice(2);
const { dependencies } = JSON.parse(readFileSync(new URL("package.json", import.meta.url)));
const packages = Object.entries(dependencies).map((dependency) => dependency.join(" "));
console.log(`Node ${process.versions.node}, ${packages.join(", ")}`);

const report = new Report();
const TOKEN = "a-token-of-the-tests==";
const upstash = await start(upstashFixtureServer, TOKEN);
await checkUpstash(upstash.url, TOKEN, report);
await upstash.end();

const pages = await start(headerFixtureServer, "http://127.0.0.1");
await checkRetries(pages.url, report);
await pages.end();

console.log(`javascript: ${report.passed} passed, ${report.failed} failed`);
process.exitCode = report.failed > 0 ? 1 : 0;
