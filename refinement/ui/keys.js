// The keyboard: one table that is both what `?` shows and what is obeyed.

import { fill, h } from "./dom.js";

let table = [];

// `rows`: `{ keys: ["ArrowLeft", "h"], shown: "←", what, run }`, in the groups they are shown in.
export function setKeys(groups) {
  table = groups;
}

function typing(target) {
  return target.closest("input:not([type=range]), select, textarea, [contenteditable]");
}

export function startKeys() {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]")) return;
    if (typing(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    // Enter and the space bar belong to whatever button has the focus.
    if ((event.key === "Enter" || event.key === " ") && event.target.closest("button, a, summary")) return;
    for (const group of table) {
      for (const row of group.rows) {
        if (row.keys.includes(event.key)) {
          event.preventDefault();
          row.run(event);
          return;
        }
      }
    }
  });
}

// The overlay.
export function showKeys() {
  const dialog = h("dialog", { class: "sheet", "aria-labelledby": "keys-title" });
  fill(
    dialog,
    h("h2", { id: "keys-title" }, "Keys"),
    h(
      "div",
      { class: "keys" },
      table.map((group) =>
        h(
          "section",
          {},
          h("h3", {}, group.name),
          h("dl", {}, group.rows.map((row) => [h("dt", {}, row.shown.map((k) => h("kbd", {}, k))), h("dd", {}, row.what)])),
        ),
      ),
    ),
    h("form", { method: "dialog" }, h("button", { class: "button" }, "Close")),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
