// The bar on top: where one is, and what can be done from there.

import { fill, h } from "./dom.js";
import { showKeys } from "./keys.js";
import { toggleTheme } from "./theme.js";

// `parts`: `where` (elements), `actions` (`[label, key, run]`), `home` (false in a one-file copy).
export function drawBar({ where, actions, home }) {
  const button = (label, key, run) => h("button", { type: "button", class: "button", title: key ? `${label} (${key})` : label, onclick: run }, label, key && h("kbd", { "aria-hidden": "true" }, key));
  fill(
    document.getElementById("bar"),
    home === false ? h("span", { class: "brand" }, "shootdown") : h("a", { class: "brand", href: "#/", title: "Start page" }, "shootdown"),
    h("div", { class: "where" }, where || []),
    h(
      "div",
      { class: "bar-actions" },
      (actions || []).map((action) => (action instanceof Node ? action : button(...action))),
      button("Dark / light", "d", toggleTheme),
      button("Keys", "?", showKeys),
    ),
  );
}
