// The form "Act on a key".

import { CallError, postJson } from "./api.js";
import { confirmChange } from "./confirm.js";
import { byId, element, setContent } from "./dom.js";
import { quotasText } from "./format.js";
import { DIGEST, InvalidField, keyTypes, readKey, showKeyFields } from "./key_fields.js";
import { OPERATIONS, explanationTexts, quotaCells } from "./operations.js";
import { dataText, escapeInvisible } from "./text.js";

/** `afterChange()` is called after a successful change. Returns the functions `update(snapshot)` and `actOn(target)`. */
export function createActions(afterChange) {
  const form = byId("act-form");
  const { policy, by, duration: length, unit, quotas, description } = form.elements;
  const result = byId("act-result");
  let snapshot = null;
  /** The last target that a list has put into the form. */
  let filled = {};

  byId("act-choices").append(...Object.entries(OPERATIONS).map(([name, { label }], index) =>
    element("label", {}, element("input", { type: "radio", name: "operation", value: name, checked: index === 0 }), ` ${label}`),
  ));
  const operation = () => OPERATIONS[form.elements.operation.value];

  function showOperation() {
    const { hasDuration, hasQuotas, label, warning } = operation();
    byId("duration-fields").hidden = !hasDuration;
    byId("override-fields").hidden = !hasQuotas;
    // The dots say that a question follows.
    byId("act-submit").textContent = warning ? `${label} …` : label;
  }

  /** Shows the key types of the selected limit. The selected type stays if the limit has it. */
  function showKeyTypes() {
    const types = keyTypes(snapshot?.limitsOf(policy.value) ?? []);
    const old = by.value;
    setContent(by, JSON.stringify(types), () => types.map(([value, text]) => element("option", { value }, text)));
    if (types.some(([value]) => value === old)) by.value = old;
    if (by.value !== old) showKeyFields(by.value);
  }

  function update(next) {
    snapshot = next;
    const old = policy.value;
    const names = next.names;
    setContent(policy, names.join("\n"), () => names.map((name) => element("option", { value: name }, escapeInvisible(name))));
    if (names.includes(old)) policy.value = old;
    showKeyTypes();
  }

  /** Fills the form. `target` has a policy, and maybe the digest and the name of a key. */
  function actOn(target) {
    filled = target;
    policy.value = target.policy;
    showKeyTypes();
    if (target.digest) {
      by.value = DIGEST;
      showKeyFields(DIGEST);
      form.elements.digest.value = target.digest;
      byId("key-fields").append(target.name ? element("p", { class: "note wide" }, "Key: ", dataText(target.name)) : "");
    }
    result.replaceChildren();
    byId("act").scrollIntoView({ block: "nearest" });
    byId("act-heading").focus();
  }

  function keyInWords(text) {
    const isFilled = by.value === DIGEST && text === filled.digest && filled.name;
    return isFilled ? `“${escapeInvisible(filled.name)}” (digest ${text})` : `“${escapeInvisible(text)}”`;
  }

  /** The target of the request in words, and its body as JSON text. */
  function readForm() {
    const { hasDuration, hasQuotas } = operation();
    const key = readKey(by.value);
    const pairs = [["policy", JSON.stringify(policy.value)], ...key.pairs];
    const target = {
      limit: `the limit “${escapeInvisible(policy.value)}”`,
      key: keyInWords(key.text),
      current: quotasText((snapshot.policyOf(policy.value) ?? snapshot.limitsOf(policy.value)[0])?.quotas),
      where: snapshot.isShared ? "in all processes" : "in this process",
    };
    if (hasDuration) {
      target.seconds = Number(length.value) * Number(unit.value);
      if (!(target.seconds > 0)) throw new InvalidField("Duration: expected a number above 0", length);
      pairs.push(["for_seconds", JSON.stringify(target.seconds)]);
    }
    if (hasQuotas) {
      target.quotas = quotas.value.trim();
      if (target.quotas === "") throw new InvalidField("Quotas: expected quotas such as 1000/minute", quotas);
      pairs.push(["quotas", JSON.stringify(target.quotas)]);
      if (description.value !== "") pairs.push(["description", JSON.stringify(description.value)]);
    }
    const body = `{${pairs.map(([name, json]) => `${JSON.stringify(name)}:${json}`).join(",")}}`;
    return { target, body };
  }

  async function submit(event) {
    event.preventDefault();
    for (const input of [length, quotas]) input.removeAttribute("aria-invalid");
    const { label, endpoint, warning, done } = operation();
    try {
      const { target, body } = readForm();
      if (warning && !(await confirmChange(operation(), warning(target)))) return;
      byId("act-submit").disabled = true;
      const reply = await postJson(endpoint, body);
      show("good", [escapeInvisible(policy.value)], done ? [done(reply)] : explanationTexts(reply), reply.statuses);
      if (done) afterChange();
    } catch (error) {
      if (error instanceof InvalidField) {
        error.input.setAttribute("aria-invalid", "true");
        error.input.focus();
      } else if (!(error instanceof CallError)) throw error;
      const status = error.status > 0 ? ` (status ${error.status})` : "";
      show("bad", [`${label} failed${status}`], [error.message], null);
    } finally {
      byId("act-submit").disabled = false;
    }
  }

  function show(state, [heading], texts, statuses) {
    result.replaceChildren(
      element("h3", { class: state === "bad" ? "bad" : undefined }, heading),
      ...texts.map((text) => element("p", {}, escapeInvisible(text))),
      statuses?.length > 0 ? statusTable(statuses) : "",
    );
  }

  form.addEventListener("submit", submit);
  form.addEventListener("change", ({ target }) => {
    if (target === policy) showKeyTypes();
    else if (target === by) showKeyFields(by.value);
    else if (target.name === "operation") showOperation();
  });
  showOperation();
  return { update, actOn };
}

function statusTable(statuses) {
  const head = ["Quota", "Used", "State"].map((text) => element("th", { scope: "col" }, text));
  const rows = statuses.map((status) => element("tr", {}, ...quotaCells(status).map((text) => element("td", {}, text))));
  return element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
}
