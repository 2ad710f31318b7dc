// The table of policies and limits. A button opens the details of a policy.

import { createChart } from "./chart.js";
import { byId, element, setContent, setText, syncList } from "./dom.js";
import { NONE, count, duration, quotasText, rate } from "./format.js";
import { createDetails } from "./policy_details.js";
import { tableRow } from "./table_row.js";
import { dataText, escapeInvisible } from "./text.js";

/** From this number of policies, the page shows the field that finds a policy. */
const MIN_TO_FILTER = 8;

const NO_CHECKS = {
  allowed_per_second: 0, denied_per_second: 0, waiting: 0,
  totals: { allowed: 0, denied: 0, banned: 0, rejected: 0, undecided_passed: 0, waited: 0, would_deny: 0 },
};

/** `actOn(target)` fills the form for actions. */
export function createPolicies(actOn) {
  const body = byId("policy-rows");
  const filter = byId("policy-filter");
  const order = byId("policy-order");
  let last = null;

  function update(snapshot) {
    last = snapshot;
    const all = snapshot.names.map((name) => policyView(name, snapshot));
    byId("policy-controls").hidden = all.length < MIN_TO_FILTER;
    const wanted = filter.value.trim().toLowerCase();
    const shown = all.filter((policy) => policy.name.toLowerCase().includes(wanted));
    if (order.value !== "name") {
      const perSecond = (policy) => policy.counts?.[`${order.value}_per_second`] ?? 0;
      shown.sort((one, other) => perSecond(other) - perSecond(one));
    }
    syncList(body, shown, (policy) => policy.name, (policy) => createRow(body, policy, actOn));
    const empty = byId("no-policies");
    empty.hidden = shown.length > 0;
    setText(empty, all.length > 0 ? "No policy has this text in its name." : noPolicies(snapshot));
  }

  filter.addEventListener("input", () => last && update(last));
  order.addEventListener("change", () => last && update(last));
  return update;
}

function noPolicies({ updatedAt }) {
  if (updatedAt === null) return "No data yet.";
  return "The guard has no limits. Add #[rate_limit] to a handler, or wrap a scope with RateLimit.";
}

/** The data of one policy from all endpoints. */
function policyView(name, snapshot) {
  const limits = snapshot.limitsOf(name);
  return {
    name,
    limits,
    policy: snapshot.policyOf(name) ?? limits[0],
    // The statistics have no entry for a policy without checks, unless it is one of those that are counted together.
    counts: snapshot.countsOf(name) ?? (snapshot.statistics?.omitted_policies === 0 ? NO_CHECKS : undefined),
    shadow: snapshot.health?.shadow.find((shadow) => shadow.policy === name),
    history: snapshot.history.of(name),
    intervalSeconds: snapshot.history.seconds,
    span: snapshot.history.span,
  };
}

function createRow(body, { name }, actOn) {
  const { row, cells } = tableRow(body);
  const [nameCell, key, quotas, allowed, denied, waiting, hour] = cells;
  const details = createDetails(name, cells.length, actOn);
  let policy = null;

  const toggle = element("button", {
    type: "button",
    class: "disclosure",
    "aria-expanded": "false",
    click() {
      details.row.hidden = !details.row.hidden;
      toggle.setAttribute("aria-expanded", String(!details.row.hidden));
      if (!details.row.hidden) details.update(policy);
    },
  }, element("bdi", { class: "data" }, escapeInvisible(name)));
  const badges = element("span", { class: "badges" });
  nameCell.append(toggle, badges);
  const chart = createChart();
  hour.append(chart.image);
  hour.classList.add("sparkline");

  function update(next) {
    policy = next;
    const { limits, counts, history, intervalSeconds } = next;
    const texts = badgeTexts(next);
    setContent(badges, texts.join("\n"), () => texts.map((text) => element("span", { class: "badge" }, text)));
    const keys = [...new Set(limits.map((limit) => limit.key))];
    setContent(key, keys.join("\n"), () => (keys.length > 0 ? keys.flatMap((text) => [dataText(text), " "]) : NONE));
    const text = limits.some((limit) => limit.is_per_request) ? "chosen for each request" : quotasText(next.policy?.quotas);
    setContent(quotas, text, () => (text === NONE ? text : dataText(text)));
    setText(allowed, rate(counts?.allowed_per_second));
    setText(denied, rate(counts?.denied_per_second));
    denied.classList.toggle("is-denying", counts?.denied_per_second > 0);
    setText(waiting, count(counts?.waiting));
    chart.image.classList.toggle("is-empty", !history);
    if (history) chart.update(history, intervalSeconds);
    if (!details.row.hidden) details.update(next);
  }

  return { nodes: [row, details.row], update };
}

/** Short notes about settings that change what the numbers mean. */
function badgeTexts({ limits, policy }) {
  const texts = [];
  if (policy?.is_in_shadow) texts.push("shadow mode");
  if (policy?.candidate) texts.push(policy.rollout_percent > 0 ? `candidate ${policy.rollout_percent} %` : "candidate");
  const wait = Math.max(0, ...limits.map((limit) => limit.wait_seconds));
  if (wait > 0) texts.push(`waits ${duration(wait)}`);
  const overridden = limits[0]?.overridden_keys ?? 0;
  if (overridden > 0) texts.push(overridden === 1 ? "1 override" : `${count(overridden)} overrides`);
  if (limits.some((limit) => limit.is_permissive)) texts.push("permissive");
  return texts;
}
