// The table of the overrides in effect.

import { byId, element, setContent, setText, syncList } from "./dom.js";
import { NONE, duration, quotasText } from "./format.js";
import { tableRow } from "./table_row.js";
import { dataText } from "./text.js";

export function createOverrides(actOn) {
  const body = byId("override-rows");

  return function update({ overrides, updatedAt }) {
    syncList(body, overrides, (item) => `${item.policy}\n${item.key_digest}`, (item) => createRow(body, item, actOn));
    const empty = byId("no-overrides");
    empty.hidden = overrides.length > 0;
    setText(empty, updatedAt === null ? "No data yet." : "No override is in effect. To set one, choose “Set override” under “Act on a key”.");
  };
}

function createRow(body, item, actOn) {
  const { row, cells } = tableRow(body);
  const [policy, key, quotas, end, description, action] = cells;
  policy.append(dataText(item.policy));
  key.append(dataText(item.key_digest));
  action.append(element("button", {
    type: "button",
    "aria-label": `Act on the key ${item.key_digest} of ${item.policy}`,
    click: () => actOn({ policy: item.policy, digest: item.key_digest, name: null }),
  }, "Act"));

  function update(next) {
    const text = quotasText(next.quotas);
    setContent(quotas, text, () => dataText(text));
    setText(end, duration(next.ends_after_seconds));
    setContent(description, next.description ?? "", () => (next.description ? dataText(next.description) : NONE));
  }

  return { nodes: [row], update };
}
