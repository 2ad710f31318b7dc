// The table of the processes that share the store.

import { byId, element, setContent, setText, syncList } from "./dom.js";
import { count, duration, latency, rate } from "./format.js";
import { tableRow } from "./table_row.js";
import { dataText } from "./text.js";

export function createProcesses() {
  const body = byId("process-rows");

  return function update({ statistics, statisticsMissing }) {
    const processes = statistics?.processes ?? [];
    syncList(body, processes, (process) => process.id, (process) => createRow(body, process));
    const empty = byId("no-processes");
    empty.hidden = processes.length > 0;
    setText(empty, statisticsMissing === null ? "No data yet." : "Processes need statistics: see the message at the top of the page.");
  };
}

const FALLBACKS = { none: "store", local: "in memory", open: "pass unchecked", closed: "503" };

function createRow(body, { id, name, is_this: isThis }) {
  const { row, cells } = tableRow(body);
  const [head, store, decisions, ...numbers] = cells;
  const age = element("span", { class: "below" });
  head.append(dataText(name ?? id), " ", isThis ? element("span", { class: "badge" }, "responds") : "", age);

  function update(process) {
    const { store: state, report_age_seconds: reportAge, uptime_seconds: uptime } = process;
    setText(age, `${name === null ? "" : `${id}; `}up ${duration(uptime)}, report ${duration(reportAge)} ago`);
    const text = state.is_good ? "good" : `bad: ${state.cause_text ?? state.cause}`;
    const below = [
      state.is_good ? "" : `for ${duration(state.down_for_seconds)}`,
      state.is_breaker_open ? "circuit breaker open" : "",
      state.p99_seconds === null ? "" : `p99 ${latency(state.p99_seconds)}`,
    ].filter(Boolean).join(", ");
    setContent(store, `${text}\n${below}`, () => [
      element("span", { class: state.is_good ? "good" : "bad" }, text),
      element("span", { class: "below" }, below),
    ]);
    setText(decisions, FALLBACKS[process.fallback] ?? process.fallback);
    const texts = [
      rate(state.calls_per_second), count(process.checks_in_flight), count(process.permits_held), count(process.requests_waiting + process.permits_waiting),
      count(process.cached_denials), count(process.leased_units),
    ];
    numbers.forEach((cell, index) => setText(cell, texts[index]));
  }

  return { nodes: [row], update };
}
