// The right side: what is known about the state at the position, in five tabs.

import { fill, h, s } from "./dom.js";
import { standing } from "./standing.js";
import { createStateTab } from "./state_tab.js";
import { waitsSince } from "./timeline.js";
import { drawWaits } from "./waits.js";

const TABS = [
  ["waits", "Waits", "Who waits for whom"],
  ["state", "State", "The state, and what the step changed"],
  ["columns", "Columns", "The steps as lockdep prints them"],
  ["properties", "Properties", "Every property, judged on this state"],
  ["source", "Source", "The programs, with the CPUs' cursors"],
];

// `options`: `onpick(row)`, `properties` (of /api/about).
export function createInspector(place, options) {
  let tab = "waits";
  let run = null;
  let at = 0;
  let program = null;
  const stateTab = createStateTab();
  const buttons = TABS.map(([id, name, title], n) =>
    h("button", { type: "button", role: "tab", id: `tab-${id}`, "aria-controls": "tab-panel", title: `${title} (${n + 1})`, onclick: () => select(id) }, name),
  );
  const bar = h("div", { class: "tabs", role: "tablist", "aria-label": "Inspector" }, buttons);
  bar.addEventListener("keydown", (event) => {
    const turn = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!turn) return;
    event.preventDefault();
    const n = (TABS.findIndex(([id]) => id === tab) + turn + TABS.length) % TABS.length;
    select(TABS[n][0]);
    buttons[n].focus();
  });
  const panel = h("div", { class: "panel", role: "tabpanel", id: "tab-panel", tabindex: 0 });
  fill(place, bar, panel);

  function select(id) {
    if (!TABS.some(([name]) => name === id)) return;
    tab = id;
    panel.scrollTop = 0;
    draw();
  }

  function draw() {
    TABS.forEach(([id], n) => {
      buttons[n].setAttribute("aria-selected", id === tab ? "true" : "false");
      buttons[n].tabIndex = id === tab ? 0 : -1;
    });
    panel.setAttribute("aria-labelledby", `tab-${tab}`);
    if (!run) return;
    const state = run.states[at];
    if (tab === "state") {
      if (panel.firstChild !== stateTab.root) fill(panel, stateTab.root);
      stateTab.show(run, at);
    } else if (tab === "waits") fill(panel, drawWaits(state.wait_for, state.cpus, waitsSince(run, at), options.onpick), standing(state));
    else if (tab === "columns") columns();
    else if (tab === "properties") fill(panel, properties());
    else source();
  }

  function columns() {
    const cpus = run.states[0].cpus.length;
    const rows = run.steps.map((step, i) => [step, i + 1]).filter(([step, row]) => step.matters || row === at);
    // A window around the position: the whole run may have thousands of steps.
    const middle = rows.findIndex(([, row]) => row >= at);
    const from = Math.max(0, (middle < 0 ? rows.length : middle) - 120);
    const part = rows.slice(from, from + 240);
    fill(
      panel,
      h(
        "table",
        { class: "columns" },
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "step"), Array.from({ length: cpus }, (_, c) => h("th", { scope: "col" }, `CPU${c}`)))),
        h(
          "tbody",
          {},
          part.map(([step, row]) =>
            h(
              "tr",
              { class: row === at ? "here" : row > at ? "later" : "", onclick: () => options.onpick(row) },
              h("td", { class: "quiet" }, row),
              Array.from({ length: cpus }, (_, c) => h("td", { class: "mono" }, c === step.cpu ? [step.level === "irq" && h("span", { class: "quiet" }, "<irq> "), step.source] : "")),
            ),
          ),
        ),
      ),
      part.length < rows.length && h("p", { class: "quiet" }, `${part.length} of ${rows.length} steps that matter, around the position.`),
      block(run.states[at]),
    );
    panel.querySelector("tr.here")?.scrollIntoView({ block: "nearest" });
  }

  // What DEPT prints of a wait: context, start, wait, event.
  function block(state) {
    const stuck = state.cpus.map((cpu, c) => [cpu, c]).filter(([cpu]) => cpu.waits && cpu.waits.kind !== "interrupt");
    if (!stuck.length) return null;
    const lines = stuck.flatMap(([cpu, c]) => [
      `context CPU${c}${cpu.irqs_on ? "" : "  (IF=0)"}`,
      ...cpu.holds.map((lock) => `    [S] ${lock}`),
      `    [W] ${cpu.waits.text}`,
      ...cpu.holds.map((lock) => `    [E] unlock of ${lock}, not reached`),
    ]);
    return h("pre", { class: "dept", tabindex: 0, "aria-label": "Start, wait and event of each context" }, lines.join("\n"));
  }

  function spark(name) {
    const n = run.states.length;
    const step = 120 / Math.max(n, 1);
    const svg = s("svg", { class: "spark", viewBox: "0 0 120 14", role: "img", "aria-label": `${name}: violated in ${run.states.filter((x) => (x.violated || []).includes(name)).length} of ${n} states` });
    svg.append(s("line", { x1: 0, y1: 11, x2: 120, y2: 11, class: "spark-line" }));
    let from = null;
    for (let i = 0; i <= n; i++) {
      const bad = i < n && (run.states[i].violated || []).includes(name);
      if (bad && from === null) from = i;
      if (!bad && from !== null) {
        svg.append(s("rect", { x: from * step, y: 2, width: Math.max((i - from) * step, 1.5), height: 9, class: "spark-bad" }));
        from = null;
      }
    }
    svg.append(s("line", { x1: (at + 0.5) * step, y1: 0, x2: (at + 0.5) * step, y2: 14, class: "spark-here" }));
    return svg;
  }

  function properties() {
    const state = run.states[at];
    const known = options.properties();
    const bad = state.violated || [];
    const list = known.length ? known : bad.map((name) => ({ name, promise: "" }));
    const sorted = [...list].sort((a, b) => bad.includes(b.name) - bad.includes(a.name));
    return h(
      "ul",
      { class: "properties" },
      sorted.map((p) => {
        const broken = bad.includes(p.name);
        const onRuns = p.on_graph;
        const first = run.states.findIndex((x) => (x.violated || []).includes(p.name));
        return h(
          "li",
          { class: broken ? "broken" : "" },
          h("div", { class: "property-top" }, h("span", { class: broken ? "glyph bad-text" : "glyph good-text", title: broken ? "violated in this state" : "not violated in this state" }, broken ? "✗" : onRuns ? "·" : "✓"), h("span", { class: "mono name" }, breakable(p.name)), spark(p.name)),
          h(
            "details",
            { open: broken },
            h("summary", {}, broken ? "violated here" : onRuns ? "a property of runs, not of states" : first >= 0 ? `not here; violated from step ${first} on` : "not violated in this run"),
            h("p", {}, p.promise),
            p.relies && h("p", { class: "quiet" }, `Relied on by: ${p.relies}`),
            p.not_covered && h("p", { class: "quiet" }, `Not covered: ${p.not_covered}`),
            first >= 0 && first !== at && h("button", { type: "button", class: "plain", onclick: () => options.onpick(first) }, `Go to step ${first}`),
          ),
        );
      }),
    );
  }

  function source() {
    const state = run.states[at];
    const cursors = state.cpus.flatMap((cpu, c) => (cpu.contexts || []).map((context, n) => ({ cpu: c, context, top: n === 0 })));
    const all = run.programs || [];
    const running = [...new Set(cursors.map((x) => x.context.program))];
    const names = [...new Set([...running, ...all.map((p) => p.name)])];
    const wanted = names.includes(program) ? [program] : running.length ? running : names.slice(0, 1);
    const pick = h(
      "select",
      { "aria-label": "Program", onchange: () => ((program = pick.value || null), draw()) },
      h("option", { value: "" }, running.length ? "programs that run now" : "first program"),
      names.map((name) => h("option", { value: name, selected: name === program }, name)),
    );
    fill(
      panel,
      h("div", { class: "tab-tools" }, pick),
      wanted.map((name) => {
        const p = all.find((x) => x.name === name);
        if (!p) return h("p", { class: "empty" }, `${name}: its lines are not part of this document.`);
        let inside = null;
        return h(
          "section",
          {},
          h("h3", { class: "mono" }, `${name}()`),
          h(
            "ol",
            { class: "source mono" },
            p.lines.map((line, n) => {
              const here = cursors.filter((x) => x.context.program === name && x.context.line === n);
              const enters = line.function && line.function !== inside && line.function !== name;
              inside = line.function || inside;
              return [
                enters && h("li", { class: "function" }, `${line.function}():`),
                h(
                  "li",
                  { class: here.length ? "here" : "" },
                  h("span", { class: "cursors" }, here.map((x) => h("span", { class: x.top ? "cursor-chip" : "cursor-chip below", title: x.top ? "executes this next" : "interrupted here" }, `${x.top ? "▶" : "⏸"}CPU${x.cpu}`))),
                  h("span", { class: "code" }, line.source),
                ),
              ];
            }),
          ),
        );
      }),
    );
  }

  return {
    select,
    nth: (n) => TABS[n] && select(TABS[n][0]),
    show(nextRun, row) {
      run = nextRun;
      at = row;
      draw();
    },
    filterState() {
      select("state");
      stateTab.focusFilter();
    },
  };
}

// `no_lock_held_across_ipi_wait` may be broken after an underscore.
function breakable(name) {
  return name.split("_").flatMap((part, n) => (n ? ["_", h("wbr", {}), part] : [part]));
}
