// Asks the operator to confirm a change.

import { byId } from "./dom.js";

/** Shows the question. Returns a promise of `true` if the operator confirms the change. */
export function confirmChange({ question, label }, warning) {
  const dialog = byId("confirm");
  byId("confirm-heading").textContent = question;
  byId("confirm-text").replaceChildren(warning);
  const accept = byId("confirm-accept");
  accept.textContent = label;
  accept.onclick = () => dialog.close("accept");
  byId("confirm-cancel").onclick = () => dialog.close();
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "accept"), { once: true });
  });
}
