// Checks what each view shows.

import assert from "node:assert/strict";

import { PATIENCE, expectText } from "./browser.mjs";
import { HOSTILE_KEYS, LONG_KEY } from "./fleet.mjs";

/** First paint may take this long, in milliseconds, on a busy machine. */
const MAX_PAINT = 5_000;
const MAX_BYTES = 150_000;

export async function checkLoading(browser, fleet, report) {
  await report.check("unauthorized requests get nothing", async () => {
    for (const path of ["dashboard", "dashboard/", "dashboard/main.js", "statistics", "inventory"]) {
      const response = await fetch(`${fleet.urls[0]}/operator/${path}`);
      const text = await response.text();
      assert.equal(response.status, 401, path);
      assert.match(response.headers.get("www-authenticate"), /^Basic realm=/);
      assert.ok(!text.includes("<html") && !text.includes("login"), text);
    }
  });
  await report.check("size and first paint", async () => {
    const { page, log, close } = await browser.open(fleet.urls[0]);
    const { paint, files, bytes } = await page.evaluate(() => {
      const files = performance.getEntriesByType("resource").filter((entry) => entry.name.includes("/dashboard/"));
      const all = [...files, performance.getEntriesByType("navigation")[0]];
      return {
        paint: performance.getEntriesByName("first-contentful-paint")[0].startTime,
        files: all.length,
        bytes: all.reduce((sum, entry) => sum + entry.decodedBodySize, 0),
      };
    });
    assert.ok(bytes < MAX_BYTES, `${bytes} bytes`);
    assert.ok(paint < MAX_PAINT, `${paint} ms`);
    assert.deepEqual([...log.origins], [fleet.urls[0]], "only requests to the own origin");
    assert.deepEqual(log.errors, []);
    await close();
    return `${files} files, ${bytes} bytes, first paint after ${Math.round(paint)} ms`;
  });
  for (const [name, url] of [
    ["a slash at the end", `${fleet.urls[0]}/operator/dashboard/`],
    ["the password in the address", fleet.urls[0].replace("//", "//operator:a-token-of-the-tests%3D%3D@") + "/operator/dashboard"],
  ]) {
    await report.check(`the page works with ${name}`, async () => {
      const { page, log, close } = await browser.open("", { path: url });
      await expectText(page, "#processes", "web-2");
      assert.deepEqual(log.errors, []);
      await close();
    });
  }
}

export async function checkViews(browser, fleet, report) {
  const { page, log, close } = await browser.open(fleet.urls[0]);
  await report.check("overview", async () => {
    await expectText(page, "#scope", "2 processes");
    await expectText(page, "#store-state", "Store good");
    await expectText(page, "#tiles", "Reachable");
    await expectText(page, "#tiles", "The store decides");
    await page.waitForFunction(() => /^[0-9.,]+ denied\/s · RateGuard$/.test(document.title));
    const label = await page.getAttribute("#fleet-chart svg", "aria-label");
    assert.match(label, /^Last hour: [0-9,]+ allowed, [0-9,]+ denied/);
  });
  await report.check("policies", async () => {
    for (const name of ["login", "search", "export", "thumbnail", "echo"]) await expectText(page, "#policy-rows", name);
    await expectText(page, "#policy-rows", "600/minute");
    await expectText(page, "#policy-rows", "waits 2 s");
    await page.click("button.disclosure:has-text('search')");
    const details = "tr.details:not([hidden])";
    await expectText(page, details, "60/minute, not enforced");
    await expectText(page, details, "Would have denied");
    await page.click(`${details} summary`);
    // The chart has a table with the same numbers.
    await page.waitForFunction(() => {
      const cells = [...document.querySelectorAll("tr.details:not([hidden]) .counts tbody tr:first-child td")];
      return cells.length === 4 && Number(cells[0].textContent.replaceAll(",", "")) > 0;
    }, undefined, { timeout: PATIENCE * 2 });
  });
  await report.check("most denied keys", async () => {
    await expectText(page, "#denied-key-rows", "203.0.113.9");
    await expectText(page, "#denied-keys-note", "Denials of the last");
  });
  await report.check("processes", async () => {
    await expectText(page, "#process-rows", "web-1");
    await expectText(page, "#process-rows", "web-2");
    await expectText(page, "#process-rows", "good");
  });
  await report.check("policies file", async () => {
    await expectText(page, "#policies-file", "The content of the file is in effect");
    fleet.breakPolicies();
    await expectText(page, "#policies-file", "is not in effect");
    fleet.restorePolicies();
    await expectText(page, "#policies-file", "The content of the file is in effect");
  });
  await report.check("light and dark", async () => {
    await browser.inspect(page, "light");
    await page.selectOption("#theme", "dark");
    await browser.inspect(page, "dark");
    await page.reload();
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
  });
  await report.check("no errors in the console", () => assert.deepEqual(log.errors, []));
  await close();
}

export async function checkHostileKeys(browser, fleet, report) {
  await report.check("hostile keys are text", async () => {
    await fleet.sendHostileKeys();
    const { page, log, close } = await browser.open(fleet.urls[0]);
    const before = new Set(["TR", "TH", "TD", "BDI", "SPAN", "BUTTON"]);
    await expectText(page, "#denied-key-rows", HOSTILE_KEYS[0]);
    await expectText(page, "#denied-key-rows", "admin\\u{202e}gnp.exe");
    await expectText(page, "#denied-key-rows", "line\\nbreak\\0\\u{200b}\\u{2066}end");
    const names = await page.$$eval("#denied-key-rows *", (nodes) => nodes.map((node) => node.nodeName));
    assert.deepEqual(names.filter((name) => !before.has(name)), []);
    await page.click("#denied-key-rows button.link");
    await expectText(page, "#denied-key-rows bdi.is-whole", LONG_KEY);
    await browser.inspect(page, "hostile-keys");
    await page.click("#denied-key-rows button.link");
    await page.click("#denied-key-rows tr:has-text('<img') td:last-child button");
    await page.check("[value=ban]");
    await page.click("#act-submit");
    await expectText(page, "#confirm-text", HOSTILE_KEYS[0]);
    assert.equal(await page.locator("#confirm-text *").count(), 0);
    await page.click("#confirm-cancel");
    assert.match(await page.title(), /RateGuard$/);
    assert.deepEqual(log.errors, []);
    await close();
  });
}

export async function checkSmallWindows(browser, fleet, report) {
  const windows = {
    "phone": { viewport: { width: 360, height: 740 }, colorScheme: "dark", hasTouch: true },
    // A zoom of 200 % halves the window in CSS pixels.
    "zoom-200": { viewport: { width: 640, height: 400 }, deviceScaleFactor: 2 },
    "tablet": { viewport: { width: 900, height: 1200 }, reducedMotion: "reduce" },
  };
  for (const [name, options] of Object.entries(windows)) {
    await report.check(name, async () => {
      const { page, log, close } = await browser.open(fleet.urls[0], options);
      await expectText(page, "#processes", "web-2");
      await page.click("button.disclosure");
      await browser.inspect(page, name);
      assert.deepEqual(log.errors, []);
      await close();
    });
  }
}
