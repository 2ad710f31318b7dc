// Draws the counts of the last hour as stacked areas in SVG.

import { svg } from "./dom.js";
import { count, rate } from "./format.js";
import { sum } from "./history.js";

/** The areas, from the bottom to the top. */
const AREAS = ["allowed", "denied", "undecided"];

/** The height of the drawing in its own units. The style determines the height on the screen. */
const HEIGHT = 100;

/** Creates a chart without data. */
export function createChart() {
  const paths = Object.fromEntries(AREAS.map((name) => [name, svg("path", { class: `area-${name}` })]));
  const image = svg("svg", { class: "plot", role: "img", preserveAspectRatio: "none" }, ...Object.values(paths));
  let drawn = "";

  /** Draws the lists. Returns the largest number of checks per second, which is at the top of the drawing. */
  function update(lists, intervalSeconds) {
    const totals = lists.allowed.map((_, index) => AREAS.reduce((total, name) => total + lists[name][index], 0));
    const max = Math.max(1, ...totals);
    const key = JSON.stringify(AREAS.map((name) => lists[name]));
    if (key !== drawn) {
      drawn = key;
      image.setAttribute("viewBox", `0 0 ${Math.max(totals.length, 1)} ${HEIGHT}`);
      image.setAttribute("aria-label", summary(lists, totals, intervalSeconds));
      let lower = totals.map(() => 0);
      for (const name of AREAS) {
        const upper = lower.map((value, index) => value + lists[name][index]);
        paths[name].setAttribute("d", areaBetween(lower, upper, max));
        lower = upper;
      }
    }
    return Math.max(0, ...totals) / intervalSeconds;
  }

  return { image, update };
}

function summary(lists, totals, intervalSeconds) {
  const peak = Math.max(0, ...totals) / intervalSeconds;
  const { allowed, denied, undecided } = lists;
  const passed = sum(undecided) > 0 ? `, ${count(sum(undecided))} passed without a decision` : "";
  return `Last hour: ${count(sum(allowed))} allowed, ${count(sum(denied))} denied${passed}. At most ${rate(peak)} per second.`;
}

/** Returns a path with one step for each interval: right along the upper values, and back along the lower ones. */
function areaBetween(lower, upper, max) {
  if (sum(upper) === sum(lower)) return "";
  const y = (value) => (HEIGHT * (1 - value / max)).toFixed(2);
  const top = upper.map((value, index) => `${index === 0 ? "M0 " : "V"}${y(value)}H${index + 1}`);
  const bottom = lower.map((value, index) => `V${y(value)}H${index}`).reverse();
  return `${top.join("")}${bottom.join("")}Z`;
}
