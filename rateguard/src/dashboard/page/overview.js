// The overview: the state of the store, the decisions, and the work of all processes.

import { createChart } from "./chart.js";
import { byId, element, setText } from "./dom.js";
import { NONE, count, duration, latency, plural, rate } from "./format.js";

const KINDS = { memory: "Memory", redis: "Redis", upstash: "Upstash", custom: "The store" };

export function createOverview() {
  const tiles = Object.fromEntries(
    ["Store", "Checks", "Latency of the store", "Decisions", "In progress", "Processes"].map((title) => [title, createTile(title)]),
  );
  byId("tiles").append(...Object.values(tiles).map((tile) => tile.node));
  const chart = createChart();
  const max = element("span");
  const start = element("span");
  byId("fleet-chart").append(
    element("div", { class: "plot-frame" }, chart.image),
    element("div", { class: "axis" }, start, max, element("span", {}, "now")),
  );

  return function update(snapshot) {
    const { statistics, history, health } = snapshot;
    setText(byId("scope"), scopeText(snapshot));
    tiles.Store.show(...storeTile(snapshot));
    byId("fleet-chart").hidden = statistics === null;
    for (const title of ["Checks", "Latency of the store", "In progress", "Processes"]) {
      tiles[title].node.hidden = statistics === null;
    }
    tiles.Decisions.show(...decisionsTile(statistics?.processes ?? [], health));
    if (statistics === null) return;
    tiles.Checks.show(...checksTile(statistics.policies));
    tiles["Latency of the store"].show(...latencyTile(statistics.processes));
    tiles["In progress"].show(...progressTile(statistics.processes));
    tiles.Processes.show(...processesTile(statistics.processes));
    const peak = chart.update(history.total(), history.seconds);
    setText(start, `${duration(history.span)} ago`);
    setText(max, `highest: ${rate(peak)} per second`);
  };
}

function createTile(title) {
  const value = element("p", { class: "tile-value" });
  const note = element("p", { class: "tile-note" });
  const node = element("div", { class: "tile" }, element("h3", {}, title), value, note);
  /** `state` is "good", "bad", "warning" or empty. The text says the same, because a colour alone is not enough. */
  function show(text, detail, state = "") {
    setText(value, text);
    setText(note, detail);
    node.dataset.state = state;
  }
  return { node, show };
}

function scopeText({ statistics }) {
  if (statistics === null) return "No statistics. The lists below come from the process that responded.";
  const { scope, processes } = statistics;
  if (scope === "process") return "The numbers are those of one process, which responded.";
  return `The numbers are those of ${processCount(processes.length)} with the same store and prefix.`;
}

/** The state of the store in words, for the tile and for the head of the page. */
export function storeState({ statistics, health }) {
  const processes = statistics?.processes ?? [];
  const stores = processes.length > 0 ? processes.map((process) => process.store) : health ? [{ kind: "custom", ...health }] : [];
  const bad = stores.filter((store) => !store.is_good);
  return { stores, bad, kind: KINDS[stores[0]?.kind] ?? KINDS.custom };
}

function storeTile(snapshot) {
  const { stores, bad, kind } = storeState(snapshot);
  if (stores.length === 0) return [NONE, "no data yet"];
  if (bad.length === 0) {
    const detail = stores[0].kind === "memory" ? "each process counts alone" : `${kind}, in ${processCount(stores.length)}`;
    return [stores[0].kind === "memory" ? "In memory" : "Reachable", detail, "good"];
  }
  const downFor = Math.max(...bad.map((store) => store.down_for_seconds ?? 0));
  const where = bad.length === stores.length ? "" : `, in ${bad.length} of ${processCount(stores.length)}`;
  return ["Not reachable", `${kind}: ${bad[0].cause_text}. For ${duration(downFor)}${where}`, "bad"];
}

function checksTile(policies) {
  const total = (field) => policies.reduce((sum, policy) => sum + (policy[field] ?? 0), 0);
  return [`${rate(total("allowed_per_second"))} allowed/s`, `${rate(total("denied_per_second"))} denied/s, of all policies`];
}

function latencyTile(processes) {
  const stores = processes.map((process) => process.store).filter((store) => store.p99_seconds !== null);
  if (stores.length === 0) return [NONE, "no calls in the last seconds"];
  const max = (field) => Math.max(...stores.map((store) => store[field] ?? 0));
  const calls = stores.reduce((sum, store) => sum + (store.calls_per_second ?? 0), 0);
  const whose = stores.length > 1 ? ", of the slowest process" : "";
  return [`p99 ${latency(max("p99_seconds"))}`, `p50 ${latency(max("p50_seconds"))}${whose}; ${rate(calls)} calls/s`];
}

const FALLBACKS = {
  closed: ["Requests get 503", "bad"],
  open: ["Requests pass without a check", "bad"],
  local: ["Each process decides in memory", "warning"],
  none: ["The store decides", "good"],
};

function decisionsTile(processes, health) {
  const worst = Object.keys(FALLBACKS).find((name) => processes.some((process) => process.fallback === name)) ?? "none";
  const affected = processes.filter((process) => process.fallback === worst).length;
  const sources = processes.length > 0 ? processes : health ? [health] : [];
  const total = (mode) => sources.reduce((sum, source) => sum + (source.unanswered?.[mode] ?? 0), 0);
  const parts = [[total("open"), "passed"], [total("closed"), "rejected"], [total("local"), "decided in memory"]];
  const undecided = parts.filter(([number]) => number > 0).map(([number, text]) => `${count(number)} ${text}`);
  const breakers = processes.filter((process) => process.store.is_breaker_open).length;
  const [text, state] = FALLBACKS[worst];
  const details = [
    worst !== "none" && processes.length > 1 ? `in ${affected} of ${processCount(processes.length)}` : "",
    breakers > 0 ? `circuit breaker open in ${processCount(breakers)}` : "circuit breaker closed",
    undecided.length > 0 ? `without the store since the start: ${undecided.join(", ")}` : "",
  ];
  return [text, details.filter(Boolean).join("; "), state];
}

function progressTile(processes) {
  const total = (field) => processes.reduce((sum, process) => sum + process[field], 0);
  const waiting = total("requests_waiting") + total("permits_waiting");
  return [`${plural(total("permits_held"), "permit")} held`, `${count(waiting)} waiting, ${count(total("checks_in_flight"))} checks in flight`];
}

function processesTile(processes) {
  const oldest = Math.max(0, ...processes.map((process) => process.report_age_seconds));
  return [count(processes.length), `oldest report: ${duration(oldest)} ago`];
}

function processCount(number) {
  return number === 1 ? "1 process" : `${count(number)} processes`;
}
