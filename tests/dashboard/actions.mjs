// Acts on keys with the mouse and with the keyboard, as an operator does.

import assert from "node:assert/strict";

import { expectText } from "./browser.mjs";

/** The client of these tests. No other client has its address. */
const ADDRESS = "198.51.100.77";

export async function checkActions(browser, fleet, report) {
  const { page, log, close } = await browser.open(fleet.urls[0]);
  const login = () => fleet.request("/login", { address: ADDRESS, server: 1 });

  async function choose(policy, operation) {
    await page.selectOption("#act-policy", policy);
    await page.selectOption("#act-by", { index: 0 });
    await page.check(`[value=${operation}]`);
  }
  async function submit(confirmation, result) {
    await page.click("#act-submit");
    await expectText(page, "#confirm-text", confirmation);
    await page.click("#confirm-accept");
    await expectText(page, "#act-result", result);
  }

  await report.check("explain a key of the list", async () => {
    await page.click("#denied-key-rows tr:has-text('203.0.113.9') td:last-child button");
    assert.equal(await page.evaluate(() => document.activeElement.id), "act-heading");
    await page.click("#act-submit");
    await expectText(page, "#act-result", "5 of 5");
  });
  await report.check("a ban needs a confirmation, and applies in the other process", async () => {
    await choose("login", "ban");
    await page.fill("#key-fields input", ADDRESS);
    await page.fill("[name=duration]", "5");
    await page.click("#act-submit");
    await expectText(page, "#confirm-text", `For 5 min, the limit “login” will deny every request of the key “${ADDRESS}”, in all processes.`);
    await browser.inspect(page, "confirmation");
    await page.click("#confirm-cancel");
    assert.equal(await login(), 200);
    await submit(ADDRESS, "The key is banned for");
    assert.equal(await login(), 429);
    await browser.inspect(page, "ban");
  });
  await report.check("explain a banned key, and end its ban", async () => {
    await choose("login", "explain");
    await page.fill("#key-fields input", ADDRESS);
    await page.click("#act-submit");
    await expectText(page, "#act-result", "The key is banned for another");
    await page.check("[value=unban]");
    await submit("This ends the ban", "The key is not banned.");
    await waitFor(async () => (await login()) === 200);
  });
  await report.check("reset", async () => {
    while ((await login()) === 200);
    await page.check("[value=reset]");
    await submit("This deletes the counts", "The counts of the key are deleted.");
    await waitFor(async () => (await login()) === 200);
  });
  await report.check("set and remove an override", async () => {
    await choose("search", "set_override");
    await page.fill("#key-fields input", "customer-9");
    await page.fill("[name=quotas]", "1/hour");
    await page.fill("[name=description]", "a test");
    await page.selectOption("[name=unit]", "hours");
    await submit("will have the quotas 1/hour", "The override is in effect for");
    await expectText(page, "#override-rows", "a test");
    const search = () => fleet.request("/search", { apiKey: "customer-9", server: 1 });
    await waitFor(async () => (await search()) === 429);
    await page.click("#override-rows button");
    await page.check("[value=remove_override]");
    await submit("will apply to the key", "The override is removed.");
    await expectText(page, "#no-overrides", "No override is in effect");
    await waitFor(async () => (await search()) === 200);
  });
  await report.check("errors say what is wrong", async () => {
    await choose("login", "explain");
    await page.fill("#key-fields input", "not an address");
    await page.click("#act-submit");
    await expectText(page, "#act-result", "Client address: expected an IPv4 or IPv6 address");
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-invalid")), "true");
    await choose("search", "set_override");
    await page.fill("#key-fields input", "customer-9");
    await page.fill("[name=quotas]", "1000/fortnight");
    await page.click("#act-submit");
    await page.click("#confirm-accept");
    await expectText(page, "#act-result", "Set override failed (status 400)");
    await browser.inspect(page, "error");
    // The browser reports the status 400 of a request.
    log.errors = log.errors.filter((error) => !error.includes("400"));
  });
  await report.check("fields for each type of key", async () => {
    await page.selectOption("#act-policy", "export");
    const labels = await page.locator("#key-fields label").allTextContents();
    assert.deepEqual(labels, ["Header X-Api-Key", "Client address"]);
    await page.selectOption("#act-policy", "echo");
    await page.selectOption("#act-by", "value");
    await page.fill("#key-fields input", "12345678901234567890");
    await page.selectOption("#key-fields select", "number");
    const sent = page.waitForRequest((request) => request.method() === "POST");
    await page.check("[value=explain]");
    await page.click("#act-submit");
    // A number of JavaScript could not hold these digits.
    assert.match((await sent).postData(), /"key":\[12345678901234567890\]/);
  });
  await report.check("no errors in the console after actions", () => assert.deepEqual(log.errors, []));
  await close();
}

export async function checkKeyboard(browser, fleet, report) {
  const { page, log, close } = await browser.open(fleet.urls[0]);
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.name || document.activeElement.textContent);
  async function tabTo(name) {
    for (let presses = 0; presses < 200; presses += 1) {
      if ((await focused()) === name) return;
      await page.keyboard.press("Tab");
    }
    assert.fail(`the key Tab does not reach ${name}`);
  }

  await report.check("the first stop of the keyboard is the skip link", async () => {
    await page.keyboard.press("Tab");
    assert.equal(await focused(), "Skip to the content");
    await page.keyboard.press("Enter");
    assert.equal(await focused(), "main");
  });
  await report.check("a ban with the keyboard alone", async () => {
    await tabTo("act-policy");
    await page.keyboard.type("login");
    assert.equal(await page.inputValue("#act-policy"), "login");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await page.keyboard.type("198.51.100.78");
    await page.keyboard.press("Tab");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    assert.equal(await page.locator("[name=operation]:checked").inputValue(), "ban");
    await page.keyboard.press("Enter");
    await expectText(page, "#confirm-heading", "Ban this key?");
    assert.equal(await focused(), "confirm-cancel");
    await page.keyboard.press("Escape");
    assert.equal(await page.locator("dialog[open]").count(), 0);
    assert.equal(await focused(), "operation");
    await page.keyboard.press("Enter");
    await expectText(page, "#confirm-heading", "Ban this key?");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await expectText(page, "#act-result", "The key is banned for");
  });
  await report.check("the focus stays when the data changes", async () => {
    await page.focus("button.disclosure >> nth=2");
    const before = await focused();
    await page.keyboard.press("Enter");
    await page.waitForTimeout(4_500);
    assert.equal(await focused(), before);
    assert.equal(await page.getAttribute("button.disclosure >> nth=2", "aria-expanded"), "true");
  });
  await report.check("no errors in the console after keys", () => assert.deepEqual(log.errors, []));
  await close();
}

/** Waits until a condition is true. Other processes repeat denials from their caches for up to 250 ms. */
async function waitFor(condition) {
  const deadline = Date.now() + 15_000;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `expected ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
