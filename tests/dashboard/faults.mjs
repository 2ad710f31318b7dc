// Checks the page while parts do not work.

import assert from "node:assert/strict";

import { expectText } from "./browser.mjs";

export async function checkPolling(browser, fleet, report) {
  const { page, close } = await browser.open(fleet.urls[0]);
  let requests = 0;
  page.on("request", () => (requests += 1));
  const countFor = async (milliseconds) => {
    requests = 0;
    await page.waitForTimeout(milliseconds);
    return requests;
  };
  await report.check("pause and continue", async () => {
    await page.click("#pause");
    await expectText(page, "#age", "paused");
    // A request that was in flight may end first.
    await page.waitForTimeout(500);
    assert.equal(await countFor(4_500), 0);
    assert.match(await page.title(), /^Paused/);
    await page.click("#pause");
    await page.waitForRequest((request) => request.url().includes("statistics?after="));
  });
  await report.check("a hidden page sends no requests", async () => {
    const setHidden = (hidden) => page.evaluate((hidden) => {
      Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
    await setHidden(true);
    await page.waitForTimeout(2_500);
    assert.equal(await countFor(4_500), 0);
    await setHidden(false);
    await page.waitForRequest((request) => request.url().includes("statistics"));
  });
  await report.check("the server does not respond", async () => {
    await page.context().setOffline(true);
    await expectText(page, "#messages", "The page could not load new data");
    await browser.inspect(page, "offline");
    await page.context().setOffline(false);
    await page.waitForFunction(() => document.querySelector("#messages").textContent === "", undefined, { timeout: 60_000 });
  });
  await report.check("the operator has no access any more", async () => {
    await page.route("**/statistics*", (route) => route.fulfill({ status: 401, json: { detail: "Expected a token." } }));
    await expectText(page, "#messages", "No access: Expected a token. Log in again");
    // A repeated request could open the login of the browser again and again.
    assert.equal(await countFor(4_500), 0);
  });
  await report.check("the guard has no statistics", async () => {
    const other = await browser.open(fleet.urls[0]);
    await other.page.route("**/statistics*", (route) => route.fulfill({ status: 409, json: { detail: "Add statistics." } }));
    await other.page.reload();
    await expectText(other.page, "#messages", "No statistics: Add statistics.");
    await expectText(other.page, "#policy-rows", "login");
    await browser.inspect(other.page, "no-statistics");
    await other.close();
  });
  await close();
}

export async function checkRedisDown(browser, fleet, report) {
  const { page, close } = await browser.open(fleet.urls[0]);
  await report.check("Redis is down", async () => {
    await fleet.stopRedis();
    await expectText(page, "#store-state", "Store not reachable");
    await expectText(page, "#scope", "one process");
    await expectText(page, "#tiles", "Not reachable");
    await expectText(page, "#tiles", "Each process decides in memory");
    await page.waitForFunction(() => document.title.startsWith("Store not reachable"));
    await browser.inspect(page, "redis-down");
  });
  await report.check("Redis is back", async () => {
    await fleet.startRedis();
    await expectText(page, "#store-state", "Store good");
    await expectText(page, "#process-rows", "web-2");
  });
  await close();
}
