// Opens the dashboard in a browser, and collects what a person would not see: errors, violations and requests.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { chromium } from "playwright-core";

import { TOKEN } from "./fleet.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

// The sandbox needs what containers lack, and the page is our own.
const ARGUMENTS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--no-proxy-server", "--disable-dev-shm-usage",
];

/** The longest wait for a change on the page, in milliseconds. A busy machine needs several seconds. */
export const PATIENCE = 30_000;

export class Browser {
  static async launch(executablePath, folder) {
    const browser = new Browser();
    browser.folder = folder;
    browser.browser = await chromium.launch({ executablePath, args: ARGUMENTS });
    return browser;
  }

  get version() {
    return this.browser.version();
  }

  /** Opens the page of a server. `options` are those of a browser context. */
  async open(url, options = {}) {
    const { path = "/operator/dashboard", password = TOKEN, ...contextOptions } = options;
    const context = await this.browser.newContext({
      viewport: { width: 1400, height: 900 },
      httpCredentials: password === null ? undefined : { username: "operator", password },
      ...contextOptions,
    });
    context.setDefaultTimeout(PATIENCE);
    const page = await context.newPage();
    const log = { errors: [], origins: new Set(), bytes: 0 };
    page.on("pageerror", (error) => log.errors.push(error.stack));
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) log.errors.push(message.text());
    });
    page.on("request", (request) => log.origins.add(new URL(request.url()).origin));
    page.on("dialog", (dialog) => {
      log.errors.push(`dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
    await page.addInitScript(() => {
      addEventListener("securitypolicyviolation", (event) => console.error(`violation: ${event.violatedDirective}`));
    });
    await page.goto(url + path);
    await page.waitForSelector("#policy-rows tr, #no-policies:not([hidden])");
    return { page, log, close: () => context.close() };
  }

  screenshot(page, name) {
    return page.screenshot({ path: `${this.folder}/${name}.png`, fullPage: true });
  }

  /** Saves a screenshot, and requires that axe finds no violation and that nothing is wider than the window. */
  async inspect(page, name) {
    await this.screenshot(page, name);
    const excess = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(excess <= 0, `${name}: the page is ${excess} pixels too wide`);
    await page.evaluate(AXE);
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    const { violations } = await page.evaluate((runOnly) => globalThis.axe.run(document, { runOnly }), tags);
    const found = violations.map(({ id, nodes }) => `${id}: ${nodes[0].html} ${nodes[0].failureSummary}`);
    assert.deepEqual(found, [], name);
  }

  end() {
    return this.browser.close();
  }
}

/** Waits until a text is in an element. */
export async function expectText(page, selector, text) {
  const isShown = ([selector, text]) => document.querySelector(selector)?.textContent.includes(text);
  try {
    await page.waitForFunction(isShown, [selector, text], { polling: 100 });
  } catch {
    const found = await page.textContent(selector, { timeout: 1_000 }).catch(() => "no element");
    assert.fail(`expected “${text}” in ${selector}, found “${found.slice(0, 400)}”`);
  }
}
