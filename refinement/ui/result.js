// What a check of a scenario came to: verdicts, the run as lanes, who waits for what, values, the order of waits.

import { prepare } from "./document.js";
import { count, fill, h, sentence } from "./dom.js";
import { createLanes } from "./lanes.js";
import { createScrubber } from "./scrubber.js";
import { standing } from "./standing.js";
import { drawWaits } from "./waits.js";

const TABS = ["Lanes", "Waits", "Values", "Order"];
const GLYPHS = { holds: "✓", violated: "✗", vacuous: "∅", incomplete: "◔" };
const WORDS = {
  holds: "every reachable state was seen, and none violates it",
  vacuous: "what it is about never happens, so that nothing is said about it",
  incomplete: "the search was cut off; nothing seen so far violates it",
};

// What a link says of a check: the violated properties with their steps, or its word.
export function summary(answer) {
  if (!answer.result) return "unreadable";
  const bad = answer.result.properties.filter((p) => p.verdict === "violated");
  return bad.length ? bad.map((p) => `${p.name} violated in ${p.run ? p.run.steps.length : "many"} steps`).join(", ") : answer.result.word === "incomplete" ? "incomplete" : "nothing violated";
}

// `options`: `onmark(lines, line)` with the lines of the text at which something stands.
export function createResult(place, foot, options) {
  let result = null;
  let answer = null;
  let run = null;
  let property = null;
  let at = 0;
  let tab = 0;
  let stale = false;
  const head = h("div", { class: "result-head", role: "status" });
  const buttons = TABS.map((label, n) => h("button", { type: "button", role: "tab", id: `result-tab-${n}`, "aria-controls": "result-panel", onclick: () => nth(n) }, label));
  const bar = h("div", { class: "tabs", role: "tablist", "aria-label": "The run" }, buttons);
  bar.addEventListener("keydown", (event) => {
    const turn = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!turn) return;
    event.preventDefault();
    event.stopPropagation();
    nth((tab + turn + TABS.length) % TABS.length);
    buttons[tab].focus();
  });
  const lanesPlace = h("div", { class: "lanes-place" });
  const other = h("div", { class: "panel", tabindex: 0, role: "region", "aria-label": "About this step" });
  const panel = h("div", { class: "result-panel", id: "result-panel", role: "tabpanel" }, lanesPlace, other);
  const now = h("div", { class: "now", "aria-live": "polite" });
  fill(place, head, bar, panel, now);
  const lanes = createLanes(lanesPlace, { onpick: go, label: "Lanes of the run: one column per CPU, time runs down" });
  const scrubber = createScrubber(foot, { onpick: go });
  clear();

  function clear() {
    result = answer = run = property = null;
    fill(head, h("p", { class: "quiet" }, "Nothing is checked yet."));
    fill(now);
    options.onmark(new Map(), 0);
    layout();
  }

  function layout() {
    place.classList.toggle("no-run", !run);
    foot.hidden = !run;
    buttons.forEach((b, n) => {
      b.setAttribute("aria-selected", n === tab ? "true" : "false");
      b.tabIndex = n === tab ? 0 : -1;
    });
    panel.setAttribute("aria-labelledby", `result-tab-${tab}`);
    lanesPlace.hidden = tab !== 0 || !run;
    other.hidden = tab === 0 && !!run;
  }

  function nth(n) {
    tab = n;
    layout();
    if (run && tab === 0) lanes.show(run, at);
    draw();
  }

  // A check is over. `claimed`: the property and position of a link.
  function show(next, text, claimed) {
    result = next;
    answer = { result: next, text };
    if (!result) {
      clear();
      fill(head, h("p", { class: "result-word bad-text" }, "✗ It cannot be read: nothing was checked."));
      return;
    }
    const wanted = result.properties.find((p) => p.run && p.name === claimed?.p) || result.properties.find((p) => p.run && p.name === result.first) || result.properties.find((p) => p.run);
    pick(wanted, claimed?.at);
  }

  function pick(wanted, position) {
    property = wanted ? wanted.name : null;
    run = wanted ? wanted.run : null;
    drawHead();
    layout();
    if (!run) {
      fill(now);
      options.onmark(new Map(), 0);
      draw();
      return;
    }
    if (!run.prepared) prepare(run);
    Object.defineProperty(run, "prepared", { value: true, configurable: true });
    const last = run.states.length - 1;
    at = position === undefined || position === "" ? last : Math.max(0, Math.min(Number(position) || 0, last));
    lanes.show(run, at);
    draw();
  }

  function drawHead() {
    const good = result.word === "as_expected" && !result.cut;
    const glyph = result.word === "incomplete" ? "◔" : good ? "✓" : "✗";
    const by = (verdict) => result.properties.filter((p) => p.verdict === verdict);
    fill(
      head,
      h("p", { class: `result-word ${good ? "good-text" : result.word === "incomplete" ? "" : "bad-text"}` }, `${glyph} `, sentence(result.sentence)),
      result.cut && h("p", { class: "rule-text" }, `◔ Incomplete: ${result.cut}. What is not violated so far may still be.`),
      h(
        "ul",
        { class: "verdict-chips" },
        by("violated").map((p) => h("li", {}, h("button", { type: "button", class: p.name === property ? "button violated here" : "button violated", "aria-pressed": p.name === property ? "true" : "false", disabled: !p.run, title: p.promise, onclick: () => pick(p) }, `✗ ${p.name} violated`, p.run ? h("span", { class: "quiet" }, ` ${p.run.steps.length} steps`) : " (too long to show)"))),
        ["holds", "vacuous", "incomplete"].filter((v) => by(v).length).map((v) => h("li", { class: `verdict-list ${v}`, title: WORDS[v] }, h("span", { class: v === "holds" ? "good-text" : "" }, `${GLYPHS[v]} ${v}: `), by(v).map((p, n) => [n ? ", " : "", h("span", { class: "mono", title: p.promise }, p.name)]))),
      ),
      h("p", { class: "quiet result-counts" }, `${count(result.states)} states, ${count(result.transitions)} transitions, ${result.elapsed_ms} ms`, result.unreached.length ? ` · never happened: ${result.unreached.join("; ")}` : ""),
    );
  }

  function go(row) {
    if (!run) return;
    const next = Math.max(0, Math.min(row, run.states.length - 1));
    if (next === at) return;
    at = next;
    if (tab === 0) lanes.move(at);
    draw();
  }

  // Everything that follows the position.
  function draw() {
    if (!result) return;
    if (run) {
      scrubber.show(run, at);
      drawNow();
      mark();
    }
    if (tab === 0 && run) return;
    const panels = [
      () => h("p", { class: "empty" }, "No run to show: nothing is violated."),
      () => (run ? [drawWaits(run.states[at].wait_for, run.states[at].cpus), standing(run.states[at])] : panels[0]()),
      () => (run ? values() : panels[0]()),
      order,
    ];
    fill(other, panels[tab]());
  }

  // The step, and what everybody waits for; at the end what is wrong.
  function drawNow() {
    const step = at ? run.steps[at - 1] : null;
    const state = run.states[at];
    const wrong = run.violations.find((v) => v.state === at);
    const waiting = state.cpus.flatMap((cpu, c) => (cpu.contexts || []).filter((x) => x.waits && !(x.waits.kind === "interrupt")).map((x) => [`CPU${c}`, x.program, x.waits.text]));
    fill(
      now,
      h("p", {}, h("strong", {}, step ? `Step ${at}, CPU${step.cpu}: ` : "Start. "), step && h("span", { class: "mono" }, step.source), step?.line ? h("span", { class: "quiet" }, ` line ${step.line}`) : "", step?.note ? ` — ${step.note}` : "", step?.changes.length ? h("span", { class: "quiet" }, ` · ${step.changes.join(", ")}`) : ""),
      wrong && h("p", { class: "sentence bad" }, h("strong", {}, `✗ ${wrong.title}: `), sentence(wrong.sentence)),
      !wrong && waiting.map(([cpu, program, what]) => h("p", { class: "now-wait" }, h("strong", {}, `${cpu} `), h("span", { class: "quiet mono" }, program), " ", sentence(what))),
      run.loops_to !== null && at === run.states.length - 1 && h("p", {}, `↻ From here it goes on as after step ${run.loops_to}, for ever.`),
    );
  }

  // The lines of the text at which the CPUs stand, and the one of the last step.
  function mark() {
    const lines = new Map();
    if (!run) return;
    const add = (line, more) => {
      if (!line) return;
      const known = lines.get(line) || { here: false, chips: [] };
      lines.set(line, { here: known.here || more.here, chips: [...known.chips, ...(more.chips || [])] });
    };
    run.states[at].cpus.forEach((cpu, c) => cpu.contexts.forEach((x) => add(x.line, { here: false, chips: [{ text: `${c}`, stuck: x.stuck, title: `CPU${c}, ${x.program}: ${x.waits ? x.waits.text : "this is next"}` }] })));
    const step = at ? run.steps[at - 1] : null;
    if (step) add(step.line, { here: true });
    options.onmark(stale ? new Map() : lines, stale ? 0 : step ? step.line : 0);
  }

  function values() {
    if (!run.variables.length) return h("p", { class: "empty" }, "No variable changes in this run.");
    return h(
      "table",
      { class: "values" },
      h("thead", {}, h("tr", {}, ["variable", "at the start", "now", "at the end"].map((t) => h("th", { scope: "col" }, t)))),
      h(
        "tbody",
        {},
        run.variables.map((name, n) => {
          const value = (i) => run.states[i].values[n];
          const changed = at > 0 && value(at) !== value(at - 1);
          return h("tr", { class: changed ? "changed" : "" }, h("th", { scope: "row", class: "mono" }, name), h("td", { class: "mono" }, value(0)), h("td", { class: "mono" }, value(at), changed ? h("span", { class: "quiet" }, ` was ${value(at - 1)}`) : ""), h("td", { class: "mono" }, value(run.states.length - 1)));
        }),
      ),
    );
  }

  function order() {
    const o = result.order;
    const words = {
      acyclic: "✓ Acyclic: no deadlock by waiting, for any number of CPUs that run the sources “on any”.",
      cyclic: `△ Cyclic: not proven for any number of CPUs; the check says whether it happens with the CPUs of this text.`,
      "not proven": "△ Not proven: there is no cycle, but what is listed below would have to be taken on trust.",
    };
    return [
      h("p", {}, h("strong", {}, words[o.proof] || o.proof)),
      o.cycles.map((cycle, n) => [h("h3", {}, `Cycle ${n + 1}`), h("ol", { class: "order" }, cycle.map((l) => h("li", {}, h("span", { class: "mono quiet" }, `line ${l.line} `), sentence(l.text))))]),
      o.doubts.length > 0 && [h("h3", {}, "Not understood"), h("ul", {}, o.doubts.map((d) => h("li", {}, h("span", { class: "mono quiet" }, `line ${d.line} `), sentence(d.text))))],
    ];
  }

  return {
    clear,
    show,
    nth,
    mark,
    stale(is) {
      if (stale !== is) {
        stale = is;
        mark();
      }
      place.classList.toggle("stale", is);
      const note = place.querySelector(".stale-note");
      if (is && !note) head.prepend(h("p", { class: "stale-note rule-text" }, "△ The text has changed since this check."));
      if (!is) note?.remove();
    },
    // Moves by steps; by infinity to an end.
    by: (n) => go(Math.abs(n) === Infinity ? (n < 0 ? 0 : run ? run.states.length - 1 : 0) : at + n),
    // What a link says of it.
    told: () => ({ p: property, at: run ? at : null, v: answer ? summary(answer) : null }),
    close() {
      lanes.close();
      scrubber.close();
    },
  };
}
