// The bar below: the whole run at once, with marks where something happens. A range input carries
// it, so keyboard and screen reader come with it.

import { fill, h, s } from "./dom.js";
import { newViolations } from "./timeline.js";

// `options`: `onpick(row)`, `onrandom()` where a run can be carried on.
export function createScrubber(place, options) {
  let run = null;
  let at = 0;
  const marks = h("div", { class: "scrub-marks" });
  const input = h("input", { type: "range", min: 0, max: 0, step: 1, value: 0, "aria-label": "Position in the run", oninput: () => options.onpick(Number(input.value)) });
  const label = h("output", { class: "scrub-label" });
  const legend = h(
    "div",
    { class: "scrub-legend quiet", "aria-hidden": "true" },
    [["✗", "violation"], ["▨", "IF or handler changes"], ["◇", "IPI"], ["▼", "no way back"]].map(([glyph, text]) => h("span", {}, h("span", { class: `mark-${text.split(" ")[0]}` }, glyph), ` ${text}`)),
  );
  // Where one goes with the mouse what the arrow keys do; `play` goes on by itself until the end, or until it is pressed again.
  const move = (glyph, words, to) => h("button", { type: "button", class: "button transport", "aria-label": words, title: words, onclick: () => (stop(), options.onpick(to())) }, glyph);
  let timer = 0;
  const play = h("button", { type: "button", class: "button transport", "aria-label": "Play", title: "Play: a step each second", "aria-pressed": "false", onclick: () => (timer ? stop() : start()) }, "▶▶");
  const last = () => run.states.length - 1;
  const transport = h("div", { class: "transports", role: "group", "aria-label": "Steps" }, move("|◀", "First step", () => 0), move("◀", "One step back", () => at - 1), move("▶", "One step on", () => at + 1), move("▶|", "Last step", last), play, options.onrandom && h("button", { type: "button", class: "button transport", "aria-label": "Random run", title: "Random run: from here on by chance, to the end", onclick: () => (stop(), options.onrandom()) }, "⚄"));
  function stop() {
    clearInterval(timer);
    timer = 0;
    play.setAttribute("aria-pressed", "false");
  }
  function start() {
    if (at >= last()) options.onpick(0);
    play.setAttribute("aria-pressed", "true");
    timer = setInterval(() => (at >= last() ? stop() : options.onpick(at + 1)), 1000);
  }
  fill(place, transport, h("div", { class: "scrub-side" }, label, legend), h("div", { class: "scrub-track" }, marks, input));

  function kinds() {
    const out = [];
    const n = run.states.length;
    for (const [row, names] of newViolations(run)) out.push({ row, lane: 0, glyph: "✗", cls: "mark-violation", title: `step ${row}: ${names.join(", ")} violated` });
    for (let row = 1; row < n; row++) {
      run.states[row].cpus.forEach((cpu, c) => {
        const before = run.states[row - 1].cpus[c];
        if (cpu.irqs_on !== before.irqs_on || cpu.in_irq !== before.in_irq) out.push({ row, lane: 1, glyph: "▨", cls: "mark-IF", title: `step ${row}: CPU${c} ${cpu.in_irq && !before.in_irq ? "enters a handler" : cpu.irqs_on ? "IF=1" : "IF=0"}` });
      });
    }
    for (const ipi of run.ipis || []) {
      out.push({ row: ipi.sent, lane: 2, glyph: "◇", cls: "mark-IPI", title: `step ${ipi.sent}: IPI CPU${ipi.from} → CPU${ipi.to} sent` });
      if (ipi.delivered) out.push({ row: ipi.delivered, lane: 2, glyph: "◆", cls: "mark-IPI", title: `step ${ipi.delivered}: IPI delivered to CPU${ipi.to}` });
    }
    if (run.doom !== null && run.doom !== undefined) out.push({ row: run.doom, lane: 0, glyph: "▼", cls: "mark-no", title: `after step ${run.doom} the deadlock cannot be avoided` });
    return out;
  }

  // Drawn once per run and width; a step only moves the line. Marks are placed where the thumb's centre stands: half a thumb in from either end.
  function draw() {
    const last = Math.max(run.states.length - 1, 1);
    const width = marks.clientWidth || 600;
    const x = (row) => 8 + (row / last) * (width - 16);
    const svg = s("svg", { width, height: 40, "aria-hidden": "true" });
    const every = Math.ceil(last / Math.max(width / 30, 1));
    for (let row = 0; row < run.states.length; row += every) svg.append(s("line", { x1: x(row), y1: 36, x2: x(row), y2: 40, class: "tick" }));
    const used = new Set();
    for (const mark of kinds()) {
      const spot = `${mark.lane} ${Math.round(x(mark.row) / 7)}`;
      if (used.has(spot)) continue; // Thousands of steps: one mark per few pixels is enough.
      used.add(spot);
      svg.append(s("text", { x: x(mark.row), y: 11 + mark.lane * 12, class: `mark ${mark.cls}` }, s("title", {}, mark.title), mark.glyph));
    }
    svg.append(s("line", { y1: 0, y2: 40, class: "scrub-here" }));
    fill(marks, svg);
    here();
  }

  function here() {
    const last = Math.max(run.states.length - 1, 1);
    const x = 8 + (at / last) * ((marks.clientWidth || 600) - 16);
    const line = marks.querySelector(".scrub-here");
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
  }

  const watcher = new ResizeObserver(() => run && draw());
  watcher.observe(marks);

  return {
    show(nextRun, row) {
      const known = run === nextRun;
      run = nextRun;
      at = row;
      input.max = run.states.length - 1;
      input.value = row;
      const step = row > 0 ? run.steps[row - 1] : null;
      input.setAttribute("aria-valuetext", step ? `step ${row}, CPU${step.cpu}: ${step.source}` : "start");
      label.textContent = `step ${row} of ${run.states.length - 1}`;
      if (known) here();
      else draw();
    },
    close: () => {
      stop();
      watcher.disconnect();
    },
  };
}
