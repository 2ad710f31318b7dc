// The fields for the parts of a key. They follow from the key of the limit in the notation of the attribute.

import { byId, element } from "./dom.js";

/** Names a key by its digest, which the lists on the page show. */
export const DIGEST = "digest";
const FUNCTION = "function";
const MAX_PARTS = 4;

/** The ways to name a key of the limits with one name: the values of `by`, each with a text for the operator. */
export function keyTypes(limits) {
  const keys = [...new Set(limits.map((limit) => limit.key))];
  const types = keys.filter((key) => key !== FUNCTION).map((key) => [key, `Parts of the key ${key}`]);
  // A function reads the key, or no limit uses the policy. Only the operator can know the type of the key.
  if (keys.length === 0 || keys.includes(FUNCTION)) {
    types.push(["value", "Value of Key::from"], ["parts", "Parts of Key::from_parts"]);
  }
  if (limits.some((limit) => limit.missing_key === "ip" && mayBeMissing(limit.key))) {
    types.push(["no_key", "Address of a client without a key"]);
  }
  return [...types, [DIGEST, "Digest from a list on this page"]];
}

function mayBeMissing(key) {
  return !key.split("+").every((part) => isAddress(part) || part === "global" || part === "method");
}

const isAddress = (part) => part === "ip" || part.startsWith("ip/");

/** Shows the fields for a key type. */
export function showKeyFields(by) {
  const fields = byId("key-fields");
  const children = fieldsOf(by);
  fields.replaceChildren(...children);
  fields.hidden = children.length === 0;
}

function fieldsOf(by) {
  if (by === DIGEST) return [field("Digest of the key", { name: "digest", "data-kind": "digest", maxlength: 32, class: "data" })];
  if (by === "no_key") return [field("Client address", { "data-kind": "address" })];
  if (by === "value" || by === "parts") return [partList(by === "value")];
  const parts = by.split("+");
  const others = parts.filter((part) => !isAddress(part) && part !== "global");
  const fields = others.map((part) => field(labelOf(part), { "data-kind": "text" }));
  // One address is the value of all address parts.
  if (parts.some(isAddress)) fields.push(field("Client address", { "data-kind": "address" }));
  return fields;
}

const LABELS = {
  user: "User id", identity: "Identity", bearer: "Bearer token", route: "Route", method: "Method",
  session: "Session value", header: "Header", cookie: "Cookie", path: "Path parameter", json: "JSON value", form: "Form field",
};

function labelOf(part) {
  const [kind, ...name] = part.split(":");
  return [LABELS[kind] ?? kind, name.join(":")].filter(Boolean).join(" ");
}

function field(label, attributes) {
  return element("label", { class: "wide" }, label, element("input", { spellcheck: "false", ...attributes }));
}

/** Creates a list of fields that the operator can extend. With types, each value is a text, a number or an address. */
function partList(hasTypes) {
  const list = element("div", { class: "parts" });
  const add = element("button", { type: "button", class: "link", click: addPart }, "Add a part");
  const remove = element("button", { type: "button", class: "link", click: removePart }, "Remove the last part");

  function addPart() {
    const number = list.children.length + 1;
    const input = element("input", { "data-kind": "text", spellcheck: "false", "aria-label": `Part ${number}` });
    const type = element("select", { "aria-label": `Type of part ${number}`, change: () => (input.dataset.kind = type.value) },
      ...["text", "number", "address"].map((kind) => element("option", { value: kind }, kind)));
    list.append(element("div", { class: "part" }, input, hasTypes ? type : null));
    if (number > 1) input.focus();
    showButtons();
  }
  function removePart() {
    list.lastChild.remove();
    showButtons();
    if (remove.hidden) add.focus();
  }
  function showButtons() {
    remove.hidden = list.children.length < 2;
    add.hidden = hasTypes && list.children.length >= MAX_PARTS;
  }
  addPart();
  return element("div", { class: "wide", role: "group", "aria-label": "Parts of the key" }, list, add, " ", remove);
}

/**
 * Reads the fields. Returns the fields of a request body as pairs of a name and JSON text, and a text that names the key.
 * Throws an `InvalidField` if a value is missing or has a wrong form.
 */
export function readKey(by) {
  const inputs = [...byId("key-fields").querySelectorAll("input")];
  inputs.forEach((input) => input.removeAttribute("aria-invalid"));
  const values = inputs.map((input) => ({ input, kind: input.dataset.kind, text: input.value }));
  for (const value of values) check(value);
  const text = values.map((value) => value.text.trim() || "(empty text)").join(" + ") || "global";
  if (by === DIGEST) return { pairs: [["key_digest", JSON.stringify(values[0].text.trim().toLowerCase())]], text };

  const pairs = [["by", JSON.stringify(by)]];
  const address = values.find((value) => value.kind === "address");
  if (address) pairs.push(["address", JSON.stringify(address.text.trim())]);
  const others = values.filter((value) => value !== address);
  if (others.length > 0) pairs.push(["key", `[${others.map(jsonOf).join(",")}]`]);
  return { pairs, text };
}

/** A number of 64 bits is more than a number of JavaScript can hold, so its digits go into the JSON as they are. */
const jsonOf = ({ kind, text }) => (kind === "number" ? text.trim() : JSON.stringify(text));

export class InvalidField extends Error {
  constructor(message, input) {
    super(message);
    this.input = input;
  }
}

const FORMS = {
  digest: [/^[0-9a-f]{32}$/i, "a digest of 32 hexadecimal digits"],
  address: [/^[0-9a-f:.]+$/i, "an IPv4 or IPv6 address"],
  number: [/^(0|-?[1-9][0-9]{0,19})$/, "a whole number"],
};

function check({ input, kind, text }) {
  const [form, name] = FORMS[kind] ?? [];
  if (form && !form.test(text.trim())) {
    throw new InvalidField(`${input.ariaLabel ?? input.labels[0].firstChild.textContent}: expected ${name}`, input);
  }
}
