// A text with its line numbers, its words in colour, what is wrong with it at its place, and the lines at which the CPUs
// of a run stand. A plain text area carries it; what is painted lies below and is not for screen readers, which have the
// list of problems and the steps.

import { fill, h } from "./dom.js";
import { colour } from "./syntax.js";

// From this length on words are not coloured: nobody writes that by hand, and it has to stay quick.
const LONG = 120000;

// Cuts a line into pieces at which nothing changes, each with its classes.
function pieces(length, spans) {
  const cuts = [...new Set([0, length, ...spans.flatMap(([from, to]) => [from, to])])].filter((n) => n >= 0 && n <= length).sort((a, b) => a - b);
  const out = [];
  for (let i = 0; i + 1 < cuts.length; i++) {
    const [from, to] = [cuts[i], cuts[i + 1]];
    out.push([from, to, spans.filter((s) => s[0] <= from && to <= s[1]).map((s) => s[2]).join(" ")]);
  }
  return out;
}

// `options`: `label`, `oninput(text)`, `oncheck()`, `words` (`keywords`, `calls`), `id`, `readonly`.
export function createEditor(place, options) {
  const words = { keywords: new Set(options.words.keywords.flatMap((word) => word.split(" "))), calls: new Set(options.words.calls) };
  const gutter = h("div", { class: "gutter", "aria-hidden": "true" });
  const paint = h("pre", { class: "paint", "aria-hidden": "true" });
  const area = h("textarea", { id: options.id, class: "typed", spellcheck: "false", autocomplete: "off", autocapitalize: "off", wrap: "off", "aria-label": options.label, readonly: options.readonly });
  const scroller = h("div", { class: "editor" }, gutter, h("div", { class: "page" }, paint, area));
  fill(place, scroller);
  let wrong = [];
  let marks = new Map();
  let rows = [];

  function draw() {
    const text = area.value;
    const lines = text.split("\n");
    const painted = text.length > LONG ? lines.map(() => []) : colour(lines, words);
    let start = 0;
    const messages = new Map();
    for (const d of wrong) messages.set(d.at.line, [...(messages.get(d.at.line) || []), d]);
    rows = lines.map((line, n) => {
      const spans = painted[n];
      for (const d of wrong) {
        for (const [label, cls] of [[d.at, `wavy ${d.severity}`], ...d.also.map((a) => [a, "wavy also"])]) {
          const from = Math.max(label.start - start, 0);
          const to = Math.min(Math.max(label.end, label.start + 1) - start, Math.max(line.length, 1));
          if (label.line && from < to && label.start < start + line.length + 1 && label.end >= start) spans.push([from, Math.min(to, line.length || 1), cls]);
        }
      }
      const shown = line || " ";
      const told = (messages.get(n + 1) || []).map((d) => h("span", { class: `lens ${d.severity}` }, `${d.severity === "error" ? "✗" : "△"} ${d.code}: ${d.message}`));
      start += line.length + 1;
      return h("span", { class: "code-line" }, pieces(shown.length, spans).map(([from, to, cls]) => (cls ? h("span", { class: cls }, shown.slice(from, to)) : shown.slice(from, to))), told);
    });
    fill(paint, rows);
    fill(gutter, lines.map((_, n) => h("div", { class: "gutter-line" }, h("span", { class: "chips" }), h("span", {}, n + 1))));
    drawMarks();
  }

  function drawMarks() {
    rows.forEach((row, n) => {
      const mark = marks.get(n + 1);
      row.className = ["code-line", mark && (mark.here ? "here" : "stands")].filter(Boolean).join(" ");
      const line = gutter.children[n];
      if (line) fill(line.firstChild, (mark?.chips || []).map((chip) => h("span", { class: `gutter-chip${chip.stuck ? " stuck" : ""}`, title: chip.title }, chip.text)));
    });
  }

  area.addEventListener("input", () => {
    wrong = [];
    marks = new Map();
    draw();
    options.oninput?.(area.value);
  });
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      options.oncheck?.();
    }
  });

  return {
    area,
    text: () => area.value,
    // Another text; what was known of the old one goes.
    set(text) {
      area.value = text;
      wrong = [];
      marks = new Map();
      draw();
      scroller.scrollTop = 0;
    },
    // What is wrong, as the server tells it.
    diagnose(list) {
      wrong = list;
      draw();
    },
    // Lines at which something stands: `line` to `{ here, chips: [{ text, title, stuck }] }`.
    mark(lines, reveal) {
      marks = lines;
      drawMarks();
      const row = reveal && rows[reveal - 1];
      if (!row) return;
      const top = row.offsetTop;
      if (top < scroller.scrollTop + 20 || top > scroller.scrollTop + scroller.clientHeight - 40) scroller.scrollTop = Math.max(0, top - scroller.clientHeight / 2);
    },
    // Puts the caret somewhere.
    goTo(start) {
      area.focus();
      area.setSelectionRange(start, start);
      const row = rows[area.value.slice(0, start).split("\n").length - 1];
      if (row) scroller.scrollTop = Math.max(0, row.offsetTop - scroller.clientHeight / 2);
    },
  };
}
