// Scenarios that come along: historic bugs of this kind and others, each with where it is from.

import { fill, h } from "./dom.js";

// `bug.before.sd`, `bug.after.sd`: one entry for all variants of a bug.
function families(corpus) {
  const all = new Map();
  for (const entry of corpus) {
    const key = entry.name.split(".")[0];
    all.set(key, [...(all.get(key) || []), entry]);
  }
  const rank = (e) => ["before", "without-rule"].findIndex((word) => e.name.includes(`.${word}.`));
  return [...all.values()].map((family) => family.sort((a, b) => rank(b) - rank(a) || a.name.localeCompare(b.name)));
}

// `act`: `open(entry)`, `compare(before, after)`, `template()`; each is told and the gallery closes.
export function showGallery(corpus, act) {
  const dialog = h("dialog", { class: "sheet gallery", "aria-labelledby": "gallery-title" });
  const filter = h("input", { type: "search", placeholder: "filter: rtnl, stop_machine, deadlock", "aria-label": "Filter the gallery", oninput: draw });
  const list = h("ul", { class: "gallery-list" });
  const close = (then) => {
    dialog.close();
    then();
  };

  function draw() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = families(corpus).filter((family) => words.every((word) => family.some((e) => `${e.name} ${e.title} ${e.about.join(" ")} ${e.expect}`.toLowerCase().includes(word))));
    fill(
      list,
      shown.map((family) => {
        const before = family.find((e) => e.name.includes(".before."));
        const after = family.find((e) => e.name.includes(".after."));
        const bad = (e) => e.expect.startsWith("violated");
        return h(
          "li",
          {},
          h("strong", {}, family[0].title.replace(/ \((before|after)\)$/, "")),
          family[0].about.slice(0, 3).map((line, n) => h("div", { class: n ? "" : "quiet" }, line)),
          h(
            "div",
            { class: "gallery-actions" },
            family.map((e) => h("button", { type: "button", class: "button", onclick: () => close(() => act.open(e)) }, h("span", { class: bad(e) ? "bad-text" : "good-text", "aria-hidden": "true" }, bad(e) ? "✗" : "✓"), h("span", { class: "mono" }, e.name), h("span", { class: "quiet" }, e.expect))),
            before && after && h("button", { type: "button", class: "button", onclick: () => close(() => act.compare(before.name, after.name)) }, "Compare them"),
          ),
        );
      }),
      !shown.length && h("li", { class: "empty" }, "No scenario has these words."),
    );
  }

  fill(
    dialog,
    h("h2", { id: "gallery-title" }, "Gallery"),
    h("div", { class: "tools" }, filter, act.template && h("button", { type: "button", class: "button", onclick: () => close(act.template) }, "Empty template")),
    list,
    h("form", { method: "dialog" }, h("button", { class: "button" }, "Close")),
  );
  draw();
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
