// How to read the picture: each mark beside what it means.

import { h, s } from "./dom.js";

const ROWS = [
  [() => s("rect", { x: 6, y: 1, width: 12, height: 20, class: "held lk0" }), "solid: the CPU holds the lock"],
  [() => s("g", { class: "lk0" }, s("rect", { x: 6, y: 1, width: 12, height: 20, class: "spin", fill: "none" }), s("path", { d: "M6 9l12-8M6 16l12-8M6 21l12-6", class: "spin" })), "striped: it spins for the lock; a torn end: still so at the end"],
  [() => s("g", {}, s("rect", { x: 6, y: 1, width: 12, height: 20, class: "off", fill: "none" }), s("path", { d: "M6 1l12 8M6 8l12 8M6 15l9 6", class: "off", fill: "none" })), "hatched: interrupts off (IF=0)"],
  [() => s("rect", { x: 6, y: 1, width: 12, height: 20, class: "acks", fill: "none" }), "dashed: awaits acknowledgements"],
  [() => s("g", { class: "ipi" }, s("line", { x1: 22, y1: 6, x2: 8, y2: 6 }), s("circle", { cx: 5, cy: 6, r: 3.5, class: "dot" }), s("line", { x1: 5, y1: 10, x2: 5, y2: 16, class: "waits" }), s("circle", { cx: 5, cy: 18, r: 3, class: "dot full" })), "flush IPI: sent ◯, taken ●; two ◯: never taken"],
  [() => s("rect", { x: 8, y: 1, width: 8, height: 20, class: "tlb" }), "the TLB has the entry; hatched with !: it is stale"],
  [() => s("text", { x: 5, y: 15, class: "fate always" }, "●"), "every way on deadlocks; ◐ some do; ○ none"],
];

export function legend() {
  return h(
    "details",
    { class: "picture-legend" },
    h("summary", {}, "How to read the picture"),
    h("ul", {}, ROWS.map(([mark, text]) => h("li", {}, s("svg", { width: 26, height: 22, "aria-hidden": "true" }, mark()), h("span", {}, text)))),
  );
}
