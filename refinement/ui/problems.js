// What is wrong with a scenario's text, as a list: place, code, message, what to write instead.

import { fill, h, sentence } from "./dom.js";

// `text`: what the server said of it; `go(start)` puts the caret there.
export function drawProblems(place, text, go) {
  if (!text) return fill(place);
  const errors = text.diagnostics.filter((d) => d.severity === "error").length;
  const warnings = text.diagnostics.length - errors;
  const words = [errors && `${errors}${text.more ? " or more" : ""} ${errors === 1 ? "error" : "errors"}`, warnings && `${warnings} ${warnings === 1 ? "warning" : "warnings"}`].filter(Boolean).join(", ");
  fill(
    place,
    h("p", { class: "problems-head", role: "status" }, errors ? h("strong", { class: "bad-text" }, `✗ ${words}`) : warnings ? h("span", { class: "rule-text" }, `△ ${words}`) : h("span", { class: "good-text" }, "✓ it reads"), text.size ? h("span", { class: "quiet" }, ` · ${text.size}`) : ""),
    text.diagnostics.length > 0 && h("ul", { class: "problems" }, text.diagnostics.map((d) => one(d, go))),
  );
}

function one(d, go) {
  return h(
    "li",
    { class: d.severity },
    h(
      "div",
      {},
      d.at.line > 0 && h("button", { type: "button", class: "plain mono", onclick: () => go(d.at.start) }, `${d.at.line}:${d.at.column}`),
      " ",
      h("span", { class: d.severity === "error" ? "bad-text" : "rule-text" }, h("strong", {}, `${d.severity}[${d.code}]`)),
      " ",
      sentence(d.message),
    ),
    d.at.text && h("div", { class: "quiet" }, sentence(d.at.text)),
    d.also.map((a) => h("div", { class: "quiet" }, h("button", { type: "button", class: "plain mono", onclick: () => go(a.start) }, `${a.line}:${a.column}`), ` ${a.text}`)),
    d.within && h("div", { class: "quiet" }, `in: ${d.within}`),
    d.notes.map((note) => h("div", { class: "quiet" }, "note: ", sentence(note))),
    d.help.map((help) => h("div", {}, h("strong", {}, "help: "), sentence(help))),
    h("details", {}, h("summary", { class: "quiet" }, "why"), h("p", { class: "explain" }, sentence(d.explain))),
  );
}
