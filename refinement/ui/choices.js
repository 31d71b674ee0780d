// The left side: what each CPU can do next, what it cannot and which guard is false, and whether a
// deadlock follows.

import { fill, h } from "./dom.js";

const FATES = {
  always: ["●", "leads to deadlock: always"],
  maybe: ["◐", "leads to deadlock: maybe"],
  never: ["○", "leads to deadlock: never"],
  unknown: ["", ""],
};

export function fateMark(fate) {
  const [glyph, text] = FATES[fate] || FATES.unknown;
  return glyph ? h("span", { class: `fate ${fate}`, title: text }, glyph, h("span", { class: "fate-word" }, ` ${fate}`)) : null;
}

// `options`: `take(choice)`, `offline`.
export function createChoices(place, options) {
  let list = [];
  let highlighted = 0;
  let enabled = [];
  const body = h("div", { class: "choices" });
  fill(place, body);

  function draw(focus) {
    enabled = list.filter((c) => c.enabled);
    highlighted = Math.min(highlighted, Math.max(enabled.length - 1, 0));
    const cpus = [...new Set(list.map((c) => c.cpu))].sort();
    if (!list.length) {
      fill(body, h("p", { class: "empty" }, options.offline ? "What else could happen here is not part of this file." : "…"));
      return;
    }
    fill(
      body,
      !enabled.length && h("p", { class: "sentence bad" }, "✗ Nothing can happen any more."),
      cpus.map((cpu) => {
        const mine = list.filter((c) => c.cpu === cpu);
        return h(
          "section",
          { class: "choice-group" },
          h("h3", {}, `CPU${cpu}`),
          h(
            "ul",
            {},
            mine.filter((c) => c.enabled).map((c) => {
              const n = enabled.indexOf(c);
              return h(
                "li",
                {},
                h(
                  "button",
                  {
                    type: "button",
                    class: ["choice", n === highlighted && "highlighted", c.taken && "taken"].filter(Boolean).join(" "),
                    disabled: options.offline && !c.taken,
                    title: c.action,
                    onclick: () => options.take(c),
                  },
                  h("span", { class: "choice-label mono" }, c.label),
                  h("span", { class: "choice-side" }, fateMark(c.fate), c.taken && h("span", { class: "chip", title: "the step this run takes next" }, "next")),
                ),
              );
            }),
            mine.filter((c) => !c.enabled).map((c) =>
              h("li", { class: "refused" }, h("span", { class: "mono" }, h("span", { "aria-hidden": "true" }, "⊘ "), c.label), h("span", { class: "guard" }, h("span", { class: "unseen" }, "not possible: "), c.guard)),
            ),
          ),
        );
      }),
    );
    if (focus) body.querySelector(".highlighted")?.scrollIntoView({ block: "nearest" });
  }

  return {
    show(choices) {
      list = choices || [];
      const taken = list.filter((c) => c.enabled).findIndex((c) => c.taken);
      highlighted = Math.max(taken, 0);
      draw(false);
    },
    move(by) {
      if (!enabled.length) return;
      highlighted = (highlighted + by + enabled.length) % enabled.length;
      draw(true);
    },
    takeHighlighted() {
      if (enabled[highlighted] && !(options.offline && !enabled[highlighted].taken)) options.take(enabled[highlighted]);
    },
  };
}
