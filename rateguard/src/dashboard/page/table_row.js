// Creates the rows of tables.

import { element } from "./dom.js";

/**
 * Creates a row with a cell for each column heading of its table. The first cell is the heading of the row. On narrow
 * screens, the style shows a row as a block and the attribute `data-label` before each cell. The roles keep the meaning
 * of the table, because browsers drop it if the style changes `display`.
 */
export function tableRow(body) {
  const headings = [...body.closest("table").querySelectorAll("thead th")];
  const cells = headings.map((heading, index) =>
    element(index === 0 ? "th" : "td", {
      scope: index === 0 ? "row" : undefined,
      role: index === 0 ? "rowheader" : "cell",
      class: heading.className || undefined,
      "data-label": heading.textContent.trim(),
    }),
  );
  return { row: element("tr", { role: "row" }, ...cells), cells };
}

/** Sets the roles of the static parts of all tables on the page. */
export function keepTableRoles() {
  const roles = { table: "table", thead: "rowgroup", tbody: "rowgroup", "thead tr": "row", "thead th": "columnheader" };
  for (const [selector, role] of Object.entries(roles)) {
    document.querySelectorAll(selector).forEach((node) => node.setAttribute("role", role));
  }
}
