// The actions on a key: what they need, and what they change in words.

import { count, duration, plural } from "./format.js";

/**
 * `endpoint` is the path of the request. `question` and `warning(target)`, which says what will happen, are for the confirmation. `done(reply)`
 * says what has happened. An action without `warning` changes nothing.
 */
export const OPERATIONS = {
  explain: { label: "Explain", endpoint: "explain" },
  reset: {
    label: "Reset",
    endpoint: "reset",
    question: "Reset this key?",
    warning: ({ limit, key, where }) =>
      `This deletes the counts of the key ${key} under ${limit}, ${where}. It also ends a ban of the key, and releases its permits. The key can use its whole limit again immediately.`,
    done: () => "The counts of the key are deleted.",
  },
  ban: {
    label: "Ban",
    endpoint: "ban",
    question: "Ban this key?",
    hasDuration: true,
    warning: ({ limit, key, seconds, where }) => `For ${duration(seconds)}, ${limit} will deny every request of the key ${key}, ${where}.`,
    done: (reply) => `The key is banned for ${duration(reply.banned_for_seconds)}.`,
  },
  unban: {
    label: "Unban",
    endpoint: "unban",
    question: "End the ban of this key?",
    warning: ({ limit, key, where }) => `This ends the ban of the key ${key} under ${limit}, ${where}.`,
    done: () => "The key is not banned.",
  },
  set_override: {
    label: "Set override",
    endpoint: "set_override",
    question: "Set an override for this key?",
    hasDuration: true,
    hasQuotas: true,
    warning: ({ limit, key, seconds, quotas, current, where }) =>
      `For ${duration(seconds)}, the key ${key} will have the quotas ${quotas} under ${limit} in place of ${current}, ${where}.`,
    done: (reply) => `The override is in effect for ${duration(reply.ends_after_seconds)}.`,
  },
  remove_override: {
    label: "Remove override",
    endpoint: "remove_override",
    question: "Remove the override of this key?",
    warning: ({ limit, key, current, where }) => `The quotas of ${limit}, ${current}, will apply to the key ${key} again, ${where}.`,
    done: (reply) => (reply.was_overridden ? "The override is removed." : "The key had no override."),
  },
};

/** Describes an explanation in sentences. */
export function explanationTexts(reply) {
  const texts = [outcomeText(reply)];
  if (reply.is_in_shadow) texts.push(`The policy is in shadow mode, so it denies no request.${reply.would_deny ? " It would deny this one." : ""}`);
  else if (reply.would_deny) texts.push("The candidate would deny this request.");
  if (reply.is_overridden) texts.push("An override replaces the quotas of the policy for this key.");
  if (reply.is_rolled_out) texts.push("The candidate is enforced for this key.");
  if (reply.is_local) texts.push("The store does not answer, so the numbers are those of this process.");
  if (reply.is_too_costly) texts.push("The cost of the request is more than the quota.");
  if (reply.is_denied_by_concurrency) texts.push("Only requests in progress prevent an admission.");
  return texts;
}

function outcomeText({ outcome, because_text: because, passes, retry_after_seconds: retry, banned_for_seconds: ban }) {
  if (outcome === "exempt") return `One more request would pass without being counted: ${because}.`;
  if (outcome === "rejected") return `One more request would be rejected: ${because}.`;
  if (outcome === "unknown" || outcome === "unavailable") return `The outcome of one more request is unknown: ${because}.`;
  if (ban !== null) return `The key is banned for another ${duration(ban)}.`;
  if (passes) return "One more request would pass.";
  return retry === null ? "One more request would be denied." : `One more request would be denied. There is room in ${duration(retry)}.`;
}

/** The cells of a quota in an explanation. */
export function quotaCells(status) {
  return [
    status.quota,
    `${count(status.limit - status.remaining)} of ${count(status.limit)}`,
    status.held === null ? `full again in ${duration(status.reset_after_seconds)}` : `${plural(status.held, "permit")} held`,
  ];
}
