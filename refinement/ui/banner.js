// The line under the bar: one message per cause, gone when its cause is.

import { fill, h } from "./dom.js";

const messages = new Map();

// Shows `text` for `cause`, or takes it away (`null`).
export function banner(text, cause, kind) {
  if (text === null ? !messages.delete(cause) : messages.get(cause)?.text === text) return;
  if (text !== null) messages.set(cause, { text, kind: kind || "warn" });
  const place = document.getElementById("banner");
  fill(
    place,
    [...messages].map(([key, m]) =>
      h(
        "p",
        { class: `notice ${m.kind}` },
        h("span", { class: "glyph", "aria-hidden": "true" }, m.kind === "bad" ? "✗" : "△"),
        h("span", {}, m.text),
        key !== "lost" && h("button", { type: "button", class: "plain", onclick: () => banner(null, key) }, "Dismiss"),
      ),
    ),
  );
}
