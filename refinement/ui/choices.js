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
  let finished = false;
  let fates = true;
  const body = h("div", { class: "choices" });
  fill(place, body);

  function draw(focus) {
    // What the hardware may do by itself comes last: no statement of the kernel is executed by it.
    const hardware = (c) => c.kind === "fill";
    list = [...list.filter((c) => !hardware(c)), ...list.filter(hardware)];
    enabled = list.filter((c) => c.enabled);
    const statements = enabled.filter((c) => !hardware(c)).length;
    highlighted = Math.min(highlighted, Math.max(enabled.length - 1, 0));
    const cpus = [...new Set(list.map((c) => c.cpu))].sort();
    if (!list.length) {
      fill(body, h("p", { class: "empty" }, options.offline ? "What else could happen here is not part of this file." : "…"));
      return;
    }
    fill(
      body,
      finished && !statements ? h("p", { class: "sentence good-text" }, "✓ All operations are done.") : !enabled.length ? h("p", { class: "sentence bad" }, "✗ Nothing can happen any more.") : !statements && h("p", { class: "sentence bad" }, "✗ No CPU can execute another statement: only the page walker can move."),
      [...cpus, "hardware"].map((cpu) => {
        const mine = list.filter((c) => (cpu === "hardware" ? hardware(c) : c.cpu === cpu && !hardware(c)));
        if (!mine.length) return null;
        return h(
          "section",
          { class: "choice-group" },
          h("h3", {}, cpu === "hardware" ? "Hardware: page walks" : `CPU${cpu}`),
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
                  h("span", { class: "choice-label mono" }, cpu === "hardware" ? `CPU${c.cpu}: ${c.label}` : c.label),
                  h("span", { class: "choice-side" }, fates && fateMark(c.fate), c.taken && h("span", { class: "chip", title: "the step this run takes next" }, "next")),
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
    // `state` is the one they are choices of; `aboutDeadlock`: whether one follows is worth saying.
    show(choices, state, aboutDeadlock) {
      list = choices || [];
      finished = !!state && state.finished;
      fates = aboutDeadlock;
      draw(false);
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
