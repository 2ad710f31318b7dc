// Starts the page: requests the data repeatedly, and passes it to the views.

import { createActions } from "./actions.js";
import { createDeniedKeys } from "./denied_keys.js";
import { byId, element, setContent, setText } from "./dom.js";
import { duration, rate } from "./format.js";
import { createOverrides } from "./overrides.js";
import { createOverview, storeState } from "./overview.js";
import { createPolicies } from "./policies.js";
import { createPoliciesFile } from "./policies_file.js";
import { Poller } from "./poll.js";
import { createProcesses } from "./processes.js";
import { Snapshot } from "./snapshot.js";
import { keepTableRoles } from "./table_row.js";

const snapshot = new Snapshot();
const poller = new Poller(load);
/** The error of the last request, or `null`. */
let lastError = null;

keepTableRoles();
const actions = createActions(() => {
  snapshot.expireLists();
  poller.now();
});
const views = [
  createOverview(),
  createPolicies(actions.actOn),
  createDeniedKeys(actions.actOn),
  createOverrides(actions.actOn),
  createProcesses(),
  createPoliciesFile(),
  actions.update,
];

async function load() {
  lastError = await snapshot.update();
  // A repeated request without access could open the login of the browser again and again.
  if (lastError?.isAccess) poller.pause();
  if (snapshot.updatedAt !== null) views.forEach((update) => update(snapshot));
  showMessages();
  showHead();
  return lastError === null;
}

function showMessages() {
  const messages = [];
  if (lastError?.isAccess) messages.push(`No access: ${lastError.message} Log in again: reload the page.`);
  else if (lastError) messages.push(`The page could not load new data: ${lastError.message}. It tries again.`);
  else for (const { name, cause } of snapshot.failures) messages.push(`Not loaded: ${name}, because ${cause}.`);
  if (snapshot.statisticsMissing) messages.push(`No statistics: ${snapshot.statisticsMissing}`);
  const { statistics } = snapshot;
  if (statistics?.store_error) messages.push(`The numbers of the other processes are missing, because the store does not answer: ${statistics.store_error}`);
  if (statistics?.omitted_policies > 0) messages.push(`${statistics.omitted_policies} more policies are counted together under the name “other”.`);
  setContent(byId("messages"), messages.join("\n"), () => messages.map((text) => element("p", { class: "message" }, text)));
}

function showHead() {
  const { statistics } = snapshot;
  const { stores, bad } = storeState(snapshot);
  const state = byId("store-state");
  const isBad = bad.length > 0;
  if (stores.length > 0) setText(state, isBad ? "Store not reachable" : "Store good");
  state.dataset.state = stores.length === 0 ? "" : isBad ? "bad" : "good";
  const denied = statistics?.policies.reduce((sum, policy) => sum + policy.denied_per_second, 0);
  const parts = [isBad ? "Store not reachable" : "", denied === undefined ? "" : `${rate(denied)} denied/s`];
  document.title = [poller.isPaused ? "Paused" : "", ...parts, "RateGuard"].filter(Boolean).join(" · ");
  showAge();
}

function showAge() {
  const { updatedAt } = snapshot;
  const seconds = updatedAt === null ? 0 : Math.floor((performance.now() - updatedAt) / 1_000);
  const age = updatedAt === null ? "No data yet" : seconds < 1 ? "Updated now" : `Updated ${duration(seconds)} ago`;
  setText(byId("age"), poller.isPaused ? `${age}; paused` : age);
  byId("age").classList.toggle("is-old", seconds >= 15);
}

byId("pause").addEventListener("click", () => {
  if (poller.isPaused) poller.resume();
  else poller.pause();
  // The text says what the next click does, so the state of a toggle would say it twice.
  setText(byId("pause"), poller.isPaused ? "Continue" : "Pause");
  showHead();
});

setInterval(showAge, 1_000);
poller.now();
