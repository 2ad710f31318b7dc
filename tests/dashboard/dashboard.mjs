// Operates the dashboard in a browser as a person does: `dashboard.mjs SERVER REDIS_SERVER BROWSER FOLDER`. The screenshots
// are in FOLDER.

import { mkdirSync } from "node:fs";

import { checkActions, checkKeyboard } from "./actions.mjs";
import { Browser } from "./browser.mjs";
import { checkPolling, checkRedisDown } from "./faults.mjs";
import { Fleet } from "./fleet.mjs";
import { Report } from "./server.mjs";
import { checkHostileKeys, checkLoading, checkSmallWindows, checkViews } from "./views.mjs";

const [program, redisServer, browserProgram, folder] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const report = new Report();
const fleet = await Fleet.start(redisServer, program, folder);
const browser = await Browser.launch(browserProgram, folder);
console.log(`Chromium ${browser.version}`);
try {
  for (const check of [
    checkLoading, checkViews, checkActions, checkKeyboard, checkHostileKeys, checkSmallWindows, checkPolling, checkRedisDown,
  ]) {
    // A check of its own reports that a group cannot begin.
    await check(browser, fleet, report).catch((error) => report.check(check.name, () => Promise.reject(error)));
  }
} finally {
  await browser.end();
  await fleet.end();
}
console.log(`dashboard: ${report.passed} passed, ${report.failed} failed; the screenshots are in ${folder}`);
process.exitCode = report.failed > 0 ? 1 : 0;
