// Shows text of clients and of other processes as data: it cannot hide, reorder or imitate parts of the page.

import { element } from "./dom.js";

/** The number of characters of a text that the page shows at first. */
const MAX_LENGTH = 48;

/** Characters that are invisible or change the order of a line, and all spaces except the ordinary one. */
const INVISIBLE = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}|\p{M}{4,}/gu;

/** Returns the text with invisible characters as escapes, such as `\u{202e}`. */
export function escapeInvisible(text) {
  const escape = (character) => `\\u{${character.codePointAt(0).toString(16)}}`;
  return String(text).replace(INVISIBLE, (found) => [...found].map(escape).join(""));
}

/** Creates an element that shows the text. A button shows the rest of a long text. */
export function dataText(text) {
  if (text === "") return element("span", { class: "muted" }, "(empty text)");
  const characters = [...escapeInvisible(text)];
  const whole = characters.join("");
  if (characters.length <= MAX_LENGTH) return element("bdi", { class: "data" }, whole);

  const part = `${characters.slice(0, MAX_LENGTH - 1).join("")}…`;
  const shown = element("bdi", { class: "data" }, part);
  const button = element("button", { type: "button", class: "link", "aria-expanded": "false", click: toggle }, "show all");
  function toggle() {
    const isOpen = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!isOpen));
    button.textContent = isOpen ? "show all" : "show less";
    shown.textContent = isOpen ? part : whole;
    // The whole text scrolls, and the keyboard can only scroll an element that has the focus.
    shown.tabIndex = isOpen ? -1 : 0;
    shown.classList.toggle("is-whole", !isOpen);
  }
  return element("span", {}, shown, " ", button);
}
