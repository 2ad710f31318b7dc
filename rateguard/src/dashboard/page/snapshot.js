// Collects the data of all views from the endpoints.

import { CallError, getJson } from "./api.js";
import { History } from "./history.js";

/** The lists change rarely, so the page requests them less often than the statistics. In milliseconds. */
const LISTS_INTERVAL = 10_000;
const LISTS = ["inventory", "policies", "overrides", "health"];

export class Snapshot {
  /** The last `statistics`, or `null` if the guard has none or does not respond. */
  statistics = null;
  /** The reason why the guard has no statistics. */
  statisticsMissing = null;
  history = new History();
  inventory = [];
  policies = [];
  overrides = [];
  health = null;
  /** What the page could not load: names and causes. */
  failures = [];
  /** When the last request was successful, on the clock of `performance.now`. */
  updatedAt = null;
  #listsAt = -Infinity;

  /** The lists are requested again with the next update. */
  expireLists() {
    this.#listsAt = -Infinity;
  }

  /** Requests the data. Returns an error if no part could be loaded, or if the operator has no access. */
  async update() {
    const failures = [];
    const errors = [];
    let successes = 0;
    const load = async (name, request) => {
      try {
        await request();
        successes += 1;
      } catch (error) {
        if (!(error instanceof CallError)) throw error;
        errors.push(error);
        failures.push({ name, cause: error.message });
      }
    };
    const areListsOld = performance.now() - this.#listsAt >= LISTS_INTERVAL;
    const lists = areListsOld ? LISTS : [];
    // A guard without statistics gets them only with its next version.
    const hasStatistics = areListsOld || this.statisticsMissing === null;
    await Promise.all([
      hasStatistics ? load("statistics", () => this.#loadStatistics()) : undefined,
      ...lists.map((name) => load(name, async () => this.#setList(name, await getJson(name)))),
    ]);
    if (areListsOld && failures.length === 0) this.#listsAt = performance.now();
    this.failures = failures;
    if (successes > 0) this.updatedAt = performance.now();
    return errors.find((error) => error.isAccess) ?? (successes === 0 ? (errors[0] ?? null) : null);
  }

  async #loadStatistics() {
    const query = this.history.query;
    try {
      let statistics = await getJson(`statistics${query}`);
      if (!this.history.merge(statistics, query === "")) {
        statistics = await getJson("statistics");
        this.history.merge(statistics, true);
      }
      this.statistics = statistics;
      this.statisticsMissing = null;
    } catch (error) {
      // 409: the guard was built without statistics. 404: the server has an older version.
      if (error.status !== 409 && error.status !== 404) throw error;
      this.statistics = null;
      this.history.clear();
      this.statisticsMissing = error.message;
    }
  }

  #setList(name, json) {
    if (name === "health") this.health = json;
    else this[name] = name === "inventory" ? json.limits : json[name];
  }

  /** The names of all limits and policies, in alphabetical order. */
  get names() {
    const lists = [this.inventory, this.policies, this.statistics?.policies ?? []];
    return [...new Set(lists.flat().map((item) => item.name))].sort();
  }

  limitsOf(name) {
    return this.inventory.filter((limit) => limit.name === name);
  }

  policyOf(name) {
    return this.policies.find((policy) => policy.name === name);
  }

  countsOf(name) {
    return this.statistics?.policies.find((policy) => policy.name === name);
  }

  /** Whether other processes use the same counts. */
  get isShared() {
    return this.statistics?.processes.some((process) => process.store.kind !== "memory") ?? true;
  }
}
