// Creates and updates elements. All values go into text nodes and attributes, so no value can become markup.

const SVG = "http://www.w3.org/2000/svg";

/** Creates an element. A function among the attributes becomes a listener of the event with this name. */
export function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** Creates an SVG element. */
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== undefined && child !== null));
  return node;
}

export const byId = (id) => document.getElementById(id);

/** Sets the text of a node. An equal text stays, so that a selection of the operator in it stays, too. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const contentKeys = new WeakMap();

/** Replaces the children of a node with those that `build` returns, if the key differs from that of the last call. */
export function setContent(node, key, build) {
  if (contentKeys.get(node) === key) return;
  contentKeys.set(node, key);
  node.replaceChildren(...[build()].flat());
}

const lists = new WeakMap();

/**
 * Shows one view for each item. `create(item)` returns a view: its list `nodes`, and the function `update(item)`. The
 * view of an item stays while the item has the same key, so the keyboard focus and open details stay, too.
 */
export function syncList(parent, items, keyOf, create) {
  const focused = document.activeElement;
  const old = lists.get(parent) ?? new Map();
  const views = new Map();
  for (const item of items) {
    const key = keyOf(item);
    const view = old.get(key) ?? create(item);
    view.update(item);
    views.set(key, view);
  }
  lists.set(parent, views);
  for (const [key, view] of old) {
    if (!views.has(key)) view.nodes.forEach((node) => node.remove());
  }
  const nodes = [...views.values()].flatMap((view) => view.nodes);
  nodes.forEach((node, index) => {
    if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null);
  });
  // A node that moves loses the focus.
  if (focused !== document.activeElement && parent.contains(focused)) focused.focus({ preventScroll: true });
}
