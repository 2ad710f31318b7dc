// The state of the policies file.

import { byId, element, setContent } from "./dom.js";
import { duration } from "./format.js";
import { dataText, escapeInvisible } from "./text.js";

export function createPoliciesFile() {
  return function update({ health }) {
    const file = health?.policies_file ?? null;
    const age = file ? duration(Date.now() / 1_000 - file.since_unix_seconds) : "";
    setContent(byId("policies-file-state"), JSON.stringify([health === null, file, age]), () => {
      if (health === null) return element("p", { class: "empty" }, "No data yet.");
      if (file === null) return element("p", { class: "empty" }, "This guard has no policies file. RateGuardBuilder::policies_file reads limits from a file.");
      return [
        element("p", {}, dataText(file.path), ` · version ${file.generation} since the start, in effect for ${age}`),
        file.error === null
          ? element("p", { class: "good" }, "The content of the file is in effect.")
          : element("div", { class: "message bad" },
              "The current content of the file is not in effect. The earlier policies stay in effect.",
              // The error of a TOML parser has several lines.
              element("pre", {}, file.error.split("\n").map(escapeInvisible).join("\n"))),
      ];
    });
  };
}
