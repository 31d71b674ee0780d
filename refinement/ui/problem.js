// An error, where it happened, in the server's words and with its hint.

import { h } from "./dom.js";

export function problem(error, again) {
  return h(
    "div",
    { class: "problem", role: "alert" },
    h("p", {}, h("span", { class: "glyph", "aria-hidden": "true" }, "✗ "), h("strong", {}, error.message)),
    error.hint && h("p", {}, error.hint),
    again && h("button", { type: "button", class: "button", onclick: again }, "Try again"),
  );
}
