// The details of one policy: counts of the last hour, the candidate, and settings.

import { createChart } from "./chart.js";
import { element, setContent, setText } from "./dom.js";
import { count, duration, quotasText, rate } from "./format.js";
import { SERIES, sum } from "./history.js";
import { escapeInvisible } from "./text.js";

/** The number of seconds in a row of the table of counts. */
const ROW_SECONDS = 300;

/** Creates a hidden row below the row of the policy. */
export function createDetails(name, columns, actOn) {
  const facts = element("dl", { class: "facts" });
  const chart = createChart();
  const peak = element("span");
  const start = element("span");
  const figure = element("figure", { class: "chart" },
    element("figcaption", {}, element("span", { class: "chart-title" }, "Checks per second")),
    element("div", { class: "plot-frame" }, chart.image),
    element("div", { class: "axis" }, start, peak, element("span", {}, "now")),
  );
  const table = element("details", { class: "counts" }, element("summary", {}, "Counts as a table"), element("div"));
  const act = element("button", { type: "button", click: () => actOn({ policy: name }) }, "Act on a key of this policy");
  const cell = element("td", { role: "cell", colspan: columns }, facts, figure, table, act);
  const row = element("tr", { role: "row", class: "details", hidden: true }, cell);

  function update(policy) {
    const list = factsOf(policy);
    setContent(facts, JSON.stringify(list), () => list.flatMap(([term, text]) => [
      element("dt", {}, term),
      element("dd", {}, element("bdi", {}, escapeInvisible(text))),
    ]));
    figure.hidden = table.hidden = !policy.history;
    if (!policy.history) return;
    setText(start, `${duration(policy.span)} ago`);
    setText(peak, `highest: ${rate(chart.update(policy.history, policy.intervalSeconds))} per second`);
    const rows = countRows(policy.history, policy.intervalSeconds);
    setContent(table.lastChild, JSON.stringify(rows), () => countTable(rows));
  }

  return { row, update };
}

function factsOf({ limits, policy, counts, shadow }) {
  const facts = [];
  const add = (term, text) => text && facts.push([term, text]);
  if (counts) {
    const { allowed, denied, banned, rejected, undecided_passed: undecided, waited } = counts.totals;
    add("Last hour", `${count(allowed)} allowed, ${count(denied)} denied (${count(banned)} of them banned, ${count(rejected)} rejected)`);
    if (undecided > 0) add("Without a decision", `${count(undecided)} requests passed because the store did not answer`);
    if (waited > 0) add("Waited", `${count(waited)} requests waited for their turn`);
  }
  if (policy?.candidate) {
    const rollout = policy.rollout_percent > 0 ? `, enforced for ${policy.rollout_percent} % of the keys` : ", not enforced";
    add("Candidate", quotasText(policy.candidate) + rollout);
  }
  if (policy?.candidate || policy?.is_in_shadow) {
    const what = policy.is_in_shadow ? "This policy" : "The candidate";
    if (counts) add("Would have denied", `${what}: ${count(counts.totals.would_deny)} requests in the last hour`);
    if (shadow) {
      add("Since the start", `${what}, in the process that responded: ${count(shadow.allowed)} allowed, ${count(shadow.would_deny)} would be denied, ${count(shadow.undecided)} undecided`);
    }
  }
  add("Ban", policy?.ban);
  add("While the store is down", { open: "requests pass", closed: "requests get 503", local: "each process decides in memory" }[policy?.on_error]);
  for (const limit of limits) add(limit.kind === "attribute" ? "Attribute" : "Middleware", limitText(limit));
  return facts;
}

function limitText(limit) {
  const parts = [`key ${limit.key}`, `missing key: ${limit.missing_key}`, `cost ${limit.cost ?? "from a function"}`];
  if (limit.count !== "all") parts.push(`counts ${limit.count}`);
  if (limit.methods.length > 0) parts.push(limit.methods.join(" "));
  if (limit.wait_seconds > 0) parts.push(`waits up to ${duration(limit.wait_seconds)}`);
  if (limit.has_skip) parts.push("has a skip function");
  return `${limit.file}:${limit.line}; ${parts.join(", ")}`;
}

/** Sums of five minutes each, the newest first. */
function countRows(history, intervalSeconds) {
  const size = Math.max(1, Math.round(ROW_SECONDS / intervalSeconds));
  const rows = [];
  for (let end = history.allowed.length; end > 0; end -= size) {
    const start = Math.max(0, end - size);
    const ago = (history.allowed.length - end) * intervalSeconds;
    rows.push([duration(ago + (end - start) * intervalSeconds), ...SERIES.map((series) => sum(history[series].slice(start, end)))]);
  }
  return rows;
}

function countTable(rows) {
  const headings = ["Five minutes from", "Allowed", "Denied", "Undecided", "Would be denied"];
  const head = headings.map((text, index) => element("th", { scope: "col", class: index > 0 ? "number" : undefined }, text));
  const body = rows.map(([ago, ...numbers]) => element("tr", {},
    element("th", { scope: "row" }, `${ago} ago`),
    ...numbers.map((number) => element("td", { class: "number" }, count(number))),
  ));
  return element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
}
