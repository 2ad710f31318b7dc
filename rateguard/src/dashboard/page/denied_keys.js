// The table of the keys with the most denials.

import { byId, element, setContent, setText, syncList } from "./dom.js";
import { count, duration } from "./format.js";
import { tableRow } from "./table_row.js";
import { dataText } from "./text.js";

export function createDeniedKeys(actOn) {
  const body = byId("denied-key-rows");

  return function update({ statistics, statisticsMissing }) {
    const keys = statistics?.denied_keys ?? [];
    syncList(body, keys, (item) => `${item.policy}\n${item.key_digest}`, (item) => createRow(body, item, actOn));
    const empty = byId("no-denied-keys");
    empty.hidden = keys.length > 0;
    setText(empty, statistics === null ? missing(statisticsMissing) : "No key was denied in the last minutes.");
    setText(byId("denied-keys-note"), statistics === null ? "" : note(statistics));
  };
}

function missing(cause) {
  return cause === null ? "No data yet." : "Denied keys need statistics: see the message at the top of the page.";
}

function note({ denied_keys_since_seconds: since, has_readable_keys: isReadable }) {
  const digests = isReadable ? "" : " A digest replaces each key. Statistics::readable_keys shows the keys.";
  return `Denials of the last ${duration(since)}.${digests}`;
}

function createRow(body, item, actOn) {
  const { row, cells } = tableRow(body);
  const [policy, key, denials, action] = cells;
  policy.append(dataText(item.policy));
  const act = element("button", {
    type: "button",
    "aria-label": `Act on the key ${item.key ?? item.key_digest} of ${item.policy}`,
    click: () => actOn({ policy: item.policy, digest: item.key_digest, name: item.key }),
  }, "Act");
  action.append(act);

  function update({ key: readable, key_digest: digest, denials: number, max_overcount: overcount }) {
    setContent(key, `${readable}\n${digest}`, () =>
      readable === null ? [dataText(digest)] : [dataText(readable), element("span", { class: "below data" }, digest)],
    );
    // The counter of frequent keys has a fixed size, so it can count a key too often, by a known number at most.
    const text = overcount > 0 ? `up to ${count(overcount)} too many` : "";
    setContent(denials, `${number}\n${text}`, () => [count(number), element("span", { class: "below" }, text)]);
  }

  return { nodes: [row], update };
}
