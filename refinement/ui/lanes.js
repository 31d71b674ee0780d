// The picture: time runs down, as in the mails and in lockdep's reports. Each CPU has a lane of
// strips (IPIs not taken yet, interrupt flag, locks, TLB) beside the statements it executes; lock
// lanes stand to the right. Only the rows on screen are drawn.

import { fill, h, s, wrapText } from "./dom.js";
import { shortLock, timeline, topContext } from "./timeline.js";

const ROW = 36;
const TAIL = 122;
const GUTTER = 50;
const STRIP = 17;
const TLB = 12;
const IPI = 14;
const LOCK = 64;
const CHAR = 7.25;
const SMALL = 6.9;
const BOLD = 8;
// Below this width the lock lanes are left out: who holds what stands in the lanes of the CPUs, too.
const NARROW = 520;

let counter = 0;

// Stripes and hatches, in the colours of the theme. Once per picture: the ids must be unique.
function patterns(id) {
  const stripes = (name, cls, size, turn) =>
    s(
      "pattern",
      { id: `${id}-${name}`, width: size, height: size, patternUnits: "userSpaceOnUse", patternTransform: `rotate(${turn})` },
      s("rect", { width: size, height: size, class: `${cls}-ground` }),
      s("rect", { width: size / 2, height: size, class: cls }),
    );
  return s(
    "defs",
    {},
    [0, 1, 2, 3, 4, 5].map((n) => stripes(`spin${n}`, `stripe lk${n}`, 7, -45)),
    stripes("off", "hatch", 5, 45),
    stripes("irq", "irqfill", 4, 0),
    stripes("acks", "ackfill", 6, 90),
    stripes("stale", "stalefill", 4, 45),
    ["head", "late"].map((name) => s("marker", { id: `${id}-${name}`, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, markerUnits: "userSpaceOnUse", orient: "auto" }, s("path", { d: "M0 0 8 4 0 8z", class: name === "late" ? "arrowhead late" : "arrowhead" }))),
  );
}

// A picture in `place`. `options`: `onpick(row)`, `compact` (no lock lanes), `label`,
// `divergence` ({row, cpu, text}).
export function createLanes(place, options) {
  const id = `lanes${++counter}`;
  const heads = h("div", { class: "lane-heads" });
  const sheet = h("div", { class: "lane-sheet" });
  const scroller = h(
    "div",
    { class: "lane-scroll", tabindex: 0, role: "region", "aria-label": options.label || "Lanes of the run: one column per CPU, time runs down" },
    sheet,
  );
  place.classList.add("lanes");
  fill(place, heads, scroller);
  let model = null;
  let at = 0;
  let found = new Set();
  let focus = null;
  let plan = null;
  let drawn = null;

  const rows = () => model.last + 1;
  const height = () => rows() * ROW + TAIL;

  function measure() {
    const width = Math.max(scroller.clientWidth - 2, 300);
    const locks = options.compact || width < NARROW ? [] : model.locks;
    const locksWidth = locks.length * LOCK + (locks.length ? 8 : 0);
    const each = Math.max((width - GUTTER - locksWidth) / model.cpus.length, 132);
    let x = GUTTER;
    const cpus = model.cpus.map((cpu) => {
      const ipi = x + 4;
      const irq = ipi + IPI;
      const bars = irq + STRIP + 2;
      const tlb = bars + Math.max(cpu.columns, 1) * (STRIP + 1);
      const text = tlb + cpu.tlb.length * (TLB + 1) + 6;
      const out = { cpu, x, width: each, ipi, irq, bars, tlb, text, end: x + each - 4 };
      x += each;
      return out;
    });
    return {
      width: Math.max(width, x + locksWidth),
      cpus,
      locks: locks.map((lock, n) => ({ lock, x: x + 8 + n * LOCK })),
      lanesEnd: x,
    };
  }

  const top = (row) => row * ROW;
  const bottom = (row) => (row + 1) * ROW;
  const open = (span) => span.to === model.last;

  function bar(out, { x, width, from, to, cls, text, title, isOpen, paint }) {
    const y = top(from) + 2;
    const full = bottom(to) - 2 - y + (isOpen ? 26 : 0);
    const shape = isOpen
      ? // An open end: what is held or waited for here goes on.
        `M${x} ${y}h${width}v${full - 5}l${-width / 4} 5 ${-width / 4} -5 ${-width / 4} 5 ${-width / 4} -5z`
      : `M${x} ${y}h${width}v${full}h${-width}z`;
    const group = s("g", {}, s("title", {}, title || text), s("path", { d: shape, class: cls, fill: paint ? `url(#${id}-${paint})` : false }));
    const room = Math.floor((full - 10) / SMALL);
    const label = text && [text].flat().find((t) => t.length <= room);
    if (label) {
      // The label stays in sight on long bars: one every twelve rows of those that are drawn.
      const skip = Math.max(0, Math.floor((drawn[0] - from) / 12)) * 12;
      for (let row = from + skip; row <= Math.min(to, drawn[1]); row += 12) {
        const ly = Math.max(y, top(row) + 2) + 6;
        if (row !== from && bottom(to) - ly < label.length * SMALL + 10) break;
        group.append(s("text", { class: `bartext ${paint ? "onstripes" : "onbar"}`, transform: `translate(${x + width / 2 - 4.2} ${ly}) rotate(90)` }, label));
      }
    }
    out.append(group);
  }

  function drawCpu(out, p, r0, r1) {
    const { cpu } = p;
    const near = (span) => span.to >= r0 && span.from <= r1;
    out.append(s("line", { x1: p.x, y1: top(r0), x2: p.x, y2: height(), class: "lane-edge" }));
    for (const block of cpu.blocks.filter(near)) {
      const y = top(block.from) + 1;
      const end = bottom(block.to) - 1 + (open(block) ? TAIL - 12 : 0);
      out.append(s("rect", { x: p.text - 3, y, width: p.end - p.text + 3, height: end - y, rx: 4, class: "block" }, s("title", {}, block.title)));
      out.append(s("line", { x1: p.text - 3, y1: y + 3, x2: p.text - 3, y2: end - 3, class: "block-edge" }));
    }
    for (const span of cpu.irq.filter(near)) {
      const handler = span.key === "irq";
      bar(out, {
        x: p.irq, width: STRIP - 2, from: span.from, to: span.to, isOpen: open(span), cls: handler ? "irq" : "off", paint: handler ? "irq" : "off",
        text: handler ? ["in handler", "irq"] : ["interrupts off  IF=0", "IF=0"],
        title: handler ? `${cpu.name} is in an interrupt handler` : `${cpu.name} has interrupts off (IF=0)`,
      });
    }
    for (const whole of cpu.bars.filter(near)) {
      const x = p.bars + whole.slot * (STRIP + 1);
      if (whole.kind !== "lock") {
        const text = whole.value.cpus ? "" : whole.value.waits.text;
        bar(out, { x, width: STRIP - 1, from: whole.from, to: whole.to, isOpen: open(whole), cls: "acks", paint: "acks", text: [text, whole.kind === "acks" ? "awaits acks" : "waits", "acks"], title: `${cpu.name} ${text}` });
        continue;
      }
      for (const part of whole.parts) {
        const held = part.key === "held";
        const name = whole.name;
        bar(out, {
          x, width: STRIP - 1, from: part.from, to: part.to, isOpen: open(part),
          cls: held ? `held lk${whole.colour}` : `spin lk${whole.colour}`, paint: held ? null : `spin${whole.colour}`,
          text: held ? [`holds ${shortLock(name)}`, shortLock(name), shortLock(name).split(" ")[0]] : [`spins for ${shortLock(name)}`, `spins ${shortLock(name)}`, "spins"],
          title: `${cpu.name} ${held ? "holds" : "spins for"} ${name}`,
        });
      }
    }
    cpu.tlb.forEach((entry, n) => {
      const x = p.tlb + n * (TLB + 1);
      for (const span of entry.spans.filter(near)) {
        const stale = span.key !== "coherent";
        bar(out, { x, width: TLB - 2, from: span.from, to: span.to, isOpen: open(span), cls: stale ? "tlb stale" : "tlb", paint: stale ? "stale" : null, text: stale ? [`TLB ${entry.key}: ${span.key}`, `TLB ${span.key}`] : [`TLB ${entry.key}`, "TLB"], title: `${cpu.name}: TLB entry ${entry.key} ${span.key}` });
        if (stale) out.append(s("text", { x: x + 2.5, y: bottom(span.from) - 3, class: "stale-mark" }, "!"));
      }
    });
  }

  function drawSteps(out, r0, r1) {
    const { run } = model;
    for (let row = Math.max(r0, 1); row <= r1; row++) {
      const step = run.steps[row - 1];
      const p = plan.cpus[step.cpu];
      const chars = Math.max(8, Math.floor((p.end - p.text - 8) / CHAR));
      const lines = wrapText(step.source, chars, 2);
      const entered = model.entered[row - 1];
      const remark = step.note || (entered && `in ${entered}()`);
      const cls = step.starts ? "statement starts" : step.level === "irq" ? "statement inirq" : step.matters ? "statement" : "statement minor";
      const group = s(
        "g",
        {},
        s("title", {}, [`step ${row}, ${p.cpu.name}: ${step.source}`, step.function && `in ${step.function}()`, step.note].filter(Boolean).join("\n")),
        lines.map((line, n) => s("text", { x: p.text + 4, y: top(row) + 15 + n * 15, class: cls }, line)),
      );
      if (lines.length === 1 && remark) {
        group.append(s("text", { x: p.text + 4, y: top(row) + 30, class: "remark" }, wrapText(remark, Math.floor((p.end - p.text - 6) / SMALL), 1)[0]));
      }
      out.append(group);
    }
  }

  function drawIpis(out, r0, r1) {
    for (const ipi of model.ipis) {
      const end = Math.max(ipi.delivered ?? model.last, ipi.acked ?? 0);
      if (end < r0 || ipi.sent > r1) continue;
      const from = plan.cpus[ipi.from];
      const to = plan.cpus[ipi.to];
      const leftward = to.x < from.x;
      const y = top(ipi.sent) + 22;
      const x1 = leftward ? from.ipi - 2 : from.end;
      const x2 = to.ipi + IPI / 2 - 1;
      const pending = ipi.delivered === null || ipi.delivered === undefined;
      const what = ipi.what || `flush IPI, ${ipi.mm}`;
      const group = s("g", { class: pending ? "ipi pending" : "ipi" }, s("title", {}, `${what} from CPU${ipi.from} to CPU${ipi.to}, sent in step ${ipi.sent}${pending ? `, not delivered: ${ipi.why_pending || "not taken yet"}` : `, delivered in step ${ipi.delivered}`}${ipi.acked ? `, acknowledged in step ${ipi.acked}` : ""}`));
      // What a CPU raises for itself goes nowhere.
      if (ipi.from !== ipi.to) {
        group.append(s("circle", { cx: leftward ? from.ipi + 2 : from.end, cy: y, r: 2.6, class: "dot full" }));
        group.append(s("line", { x1, y1: y, x2: leftward ? x2 + 5 : x2 - 5, y2: y, "marker-end": `url(#${id}-${pending ? "late" : "head"})` }));
      }
      const tag = what;
      const room = (leftward ? to.end : to.x) - x2;
      if (leftward && room > tag.length * SMALL) group.append(s("text", { x: to.text + 4, y: y - 4, class: "ipi-text" }, `${tag}  CPU${ipi.from} → CPU${ipi.to}`));
      group.append(s("circle", { cx: x2, cy: y, r: 4.2, class: "dot" }));
      if (pending) {
        const endY = bottom(model.last) + 20;
        group.append(s("line", { x1: x2, y1: y + 4, x2, y2: endY - 5, class: "waits" }), s("circle", { cx: x2, cy: endY, r: 4.6, class: "dot" }));
      } else {
        const dy = top(ipi.delivered) + 10;
        group.append(s("line", { x1: x2, y1: y + 4, x2, y2: dy - 3, class: "waits" }), s("circle", { cx: x2, cy: dy, r: 3.6, class: "dot full" }));
      }
      if (ipi.acked !== null && ipi.acked !== undefined && ipi.from !== ipi.to) {
        const ay = top(ipi.acked) + 28;
        const ax = leftward ? to.end : to.ipi + 2;
        const bx = leftward ? from.ipi + 2 : from.end;
        group.append(s("line", { x1: ax, y1: ay, x2: bx, y2: ay, class: "ack", "marker-end": `url(#${id}-head)` }));
        group.append(s("text", { x: leftward ? ax - 22 : ax - 24, y: ay - 3, class: "ipi-text" }, "ack"));
      }
      out.append(group);
    }
  }

  function drawLocks(out, r0, r1) {
    for (const { lock, x } of plan.locks) {
      out.append(s("line", { x1: x - 4, y1: top(r0), x2: x - 4, y2: height(), class: "lane-edge" }));
      const near = (span) => span.to >= r0 && span.from <= r1;
      for (const span of lock.owners.filter(near)) {
        const y = top(span.from) + 2;
        bar(out, { x, width: 40, from: span.from, to: span.to, isOpen: open(span), cls: `held lk${lock.colour}`, text: "", title: `${lock.name} is held by ${span.key}` });
        wrapText(span.key, 6, 2).forEach((line, n) => out.append(s("text", { x: x + 20, y: y + 16 + n * 14, class: "onbar owner" }, line)));
      }
      lock.waiters.forEach((waiter, n) => {
        for (const span of waiter.spans.filter(near)) {
          bar(out, { x: x + 42 + n * 4, width: 17, from: span.from, to: span.to, isOpen: open(span), cls: `spin lk${lock.colour}`, paint: `spin${lock.colour}`, text: [`${waiter.who} waits`, waiter.who], title: `${waiter.who} waits for ${lock.name}` });
        }
      });
    }
  }

  // A lane without a statement in these rows: where words can stand.
  function quietLane(rows) {
    const acting = rows.map((row) => model.run.steps[row - 1]?.cpu);
    return plan.cpus.find((x) => !acting.includes(x.cpu.index)) || plan.cpus[plan.cpus.length - 1];
  }

  // The first state after which the deadlock cannot be avoided. Its words stand where no statement is.
  function drawDoom(doom) {
    const y = top(doom);
    const p = quietLane([doom, doom - 1]);
    const words = ["▼ from here on", ...wrapText("the deadlock is unavoidable", Math.floor((p.end - p.text - 4) / SMALL), 3)];
    return s(
      "g",
      { class: "doom" },
      s("title", {}, `after step ${doom} every way on ends in the deadlock`),
      s("line", { x1: 0, y1: y, x2: plan.width, y2: y }),
      words.map((line, n) => s("text", { x: p.text + 4, y: y - 5 + n * 17 }, line)),
    );
  }

  // Below the last row: where everybody stands.
  function drawTail(out) {
    const state = model.run.states[model.last];
    const y = bottom(model.last) + 6;
    for (const p of plan.cpus) {
      const cpu = state.cpus[p.cpu.index];
      const chars = Math.floor((p.end - p.text - 8) / SMALL);
      const context = topContext(cpu);
      const stuck = cpu.stuck;
      const text = cpu.waits ? cpu.waits.text : context ? `next: ${context.source}` : "idle";
      const lines = wrapText(text, chars, 3);
      if (cpu.pending.length) lines.push(...wrapText(`${cpu.pending[0].what || "IPI"} pending: ${cpu.pending[0].why_not_taken || "not taken yet"}`, chars, 2));
      const title = stuck ? wrapText("✗ never moves again", Math.floor((p.end - p.text - 8) / BOLD), 2) : [];
      const group = s("g", { class: stuck ? "standing stuck" : "standing" }, s("title", {}, text));
      if (stuck) group.append(s("rect", { x: p.text - 1, y, width: p.end - p.text - 1, height: 6 + (title.length + lines.length) * 14.5, rx: 4, class: "standing-box" }));
      [...title, ...lines].forEach((line, n) => group.append(s("text", { x: p.text + 4, y: y + 14 + n * 14.5, class: n < title.length ? "standing-title" : "" }, line)));
      out.append(group);
    }
  }

  function draw(force) {
    if (!model) return;
    const view = scroller.clientHeight || 600;
    const r0 = Math.max(0, Math.floor(scroller.scrollTop / ROW) - 12);
    const r1 = Math.min(model.last, Math.ceil((scroller.scrollTop + view) / ROW) + 12);
    if (!force && drawn && drawn[0] <= Math.max(0, r0 + 8) && drawn[1] >= Math.min(model.last, r1 - 8)) return;
    drawn = [r0, r1];
    const { run } = model;
    const y0 = top(r0);
    const tall = (r1 === model.last ? height() : bottom(r1)) - y0;
    const svg = s("svg", { width: plan.width, height: tall, viewBox: `0 ${y0} ${plan.width} ${tall}`, role: "img", "aria-label": picture() });
    svg.append(patterns(id));
    const back = s("g", {});
    for (let row = r0; row <= r1; row++) {
      const fate = run.states[row].fate;
      const cls = ["row", row === at && "here", found.has(row) && "found", row > at && "later"].filter(Boolean).join(" ");
      back.append(s("rect", { x: 0, y: top(row), width: plan.width, height: ROW, class: cls }));
      const glyph = { always: "●", maybe: "◐", never: "○" }[fate];
      back.append(s("text", { x: 17, y: top(row) + 16, class: "row-number" }, row === 0 ? "start" : row));
      if (glyph) back.append(s("text", { x: 39, y: top(row) + 16, class: `fate ${fate}` }, s("title", {}, `leads to deadlock: ${fate}`), glyph));
    }
    svg.append(back);
    const body = s("g", {});
    for (const p of plan.cpus) drawCpu(body, p, r0, r1);
    drawLocks(body, r0, r1);
    drawSteps(body, r0, r1);
    if (r0 === 0) {
      for (const p of plan.cpus) {
        const cpu = run.states[0].cpus[p.cpu.index];
        if (!cpu.counts) body.append(s("text", { x: p.text + 4, y: 15, class: "remark" }, cpu.active_mm ? `runs on ${cpu.active_mm}` : "no user mm loaded"));
      }
    }
    drawIpis(body, r0, r1);
    if (r1 === model.last) drawTail(body);
    svg.append(body);
    // What lies ahead of the position is veiled, not hidden: the reader sees where it leads.
    if (at < model.last) svg.append(s("rect", { x: 0, y: bottom(at), width: plan.width, height: Math.max(0, height() - bottom(at)), class: "veil" }));
    svg.append(s("line", { x1: 0, y1: bottom(at), x2: plan.width, y2: bottom(at), class: "cursor" }));
    if (run.doom !== null && run.doom !== undefined && run.doom >= r0 && run.doom <= r1) svg.append(drawDoom(run.doom));
    const split = options.divergence && options.divergence();
    if (split && split.row >= r0 && split.row <= r1 + 1) {
      const y = top(split.row);
      svg.append(s("g", { class: "divergence" }, s("line", { x1: 0, y1: y, x2: plan.width, y2: y }), s("text", { x: quietLane([split.row]).text + 4, y: split.row > model.last ? y - 6 : y + 15 }, split.text)));
    }
    svg.addEventListener("click", (event) => {
      const box = svg.getBoundingClientRect();
      const row = Math.floor((event.clientY - box.top + y0) / ROW);
      if (options.onpick && row <= model.last) options.onpick(Math.max(0, row));
    });
    sheet.replaceChildren(svg);
    sheet.style.setProperty("height", `${height()}px`);
    sheet.style.setProperty("width", `${plan.width}px`);
    svg.style.setProperty("top", `${y0}px`);
  }

  // The picture in a sentence, for those who cannot see it; the tab Columns has it in full.
  function picture() {
    const state = model.run.states[at];
    const said = state.wait_for && state.wait_for.sentence;
    return `Step ${at} of ${model.last}. ${state.cpus.map((cpu, c) => `CPU${c} ${cpu.waits ? cpu.waits.text : topContext(cpu) ? `runs ${topContext(cpu).program}` : "is idle"}`).join("; ")}. ${said || ""}`;
  }

  function drawHeads() {
    const state = model.run.states[at];
    const place = (x, width) => ({ left: `${x - scroller.scrollLeft}px`, width: `${width}px` });
    fill(
      heads,
      plan.cpus.map((p) => {
        const cpu = state.cpus[p.cpu.index];
        const context = topContext(cpu);
        return h(
          "div",
          { class: ["head", cpu.stuck && "stuck", focus === p.cpu.index && "focused"].filter(Boolean).join(" "), css: place(p.x, p.width - 4) },
          h(
            "div",
            { class: "head-top" },
            h("strong", {}, p.cpu.name),
            h("span", { class: cpu.irqs_on ? "chip" : "chip off", title: cpu.irqs_on ? "interrupts on" : "interrupts off" }, cpu.irqs_on ? "IF=1" : "IF=0"),
            cpu.in_irq && h("span", { class: "chip irq" }, "in handler"),
            h("span", { class: "quiet" }, cpu.counts ? cpu.counts.join(", ") : cpu.active_mm ? `${cpu.lazy ? "lazy " : ""}${cpu.active_mm}` : "no mm"),
          ),
          h("div", { class: "head-line mono", title: context ? context.source : "" }, context ? `${context.function || context.program}()` : "idle"),
          h("div", { class: "head-line" }, cpu.holds.length ? `holds ${cpu.holds.join(", ")}` : "\u00a0"),
          h("div", { class: cpu.waits ? "head-line two waits" : "head-line two", title: cpu.waits ? cpu.waits.text : "" }, cpu.waits ? cpu.waits.text : "\u00a0"),
          h("div", { class: "head-line" }, cpu.pending.length ? `◯ ${cpu.pending[0].what || "IPI"} pending from ${cpu.pending.map((x) => (typeof x.from === "number" ? `CPU${x.from}` : x.from)).join(", ")}` : "\u00a0"),
        );
      }),
      plan.locks.map(({ lock, x }) =>
        h("div", { class: "head lock", css: place(x - 2, LOCK - 2), title: lock.name }, lockWords(lock.name).map((word) => h("span", { class: "lock-word" }, word))),
      ),
    );
  }

  function reveal() {
    const y = bottom(at);
    const view = scroller.clientHeight;
    const need = at === model.last ? TAIL : ROW;
    if (y + need > scroller.scrollTop + view) scroller.scrollTop = y + need - view;
    else if (top(at) < scroller.scrollTop + ROW) scroller.scrollTop = Math.max(0, top(at) - ROW * 2);
  }

  scroller.addEventListener("scroll", () => {
    draw(false);
    if (scroller.scrollLeft !== drawHeads.left) {
      drawHeads.left = scroller.scrollLeft;
      if (model) drawHeads();
    }
  });
  const watcher = new ResizeObserver(() => {
    if (!model) return;
    plan = measure();
    reveal();
    drawHeads();
    draw(true);
  });
  watcher.observe(scroller);

  return {
    scroller,
    // Shows a run, at a row.
    show(run, row) {
      model = timeline(run);
      at = Math.min(row, model.last);
      sheet.style.setProperty("height", `${height()}px`);
      plan = measure();
      reveal();
      drawHeads();
      draw(true);
    },
    // Moves to a row.
    move(row) {
      at = Math.min(row, model.last);
      reveal();
      drawHeads();
      draw(true);
    },
    mark(rowsFound) {
      found = new Set(rowsFound);
      draw(true);
    },
    focus(cpu) {
      focus = cpu;
      drawHeads();
    },
    close() {
      watcher.disconnect();
    },
  };
}

// `mm0` `page_` `table_lock`: the name of a lock in lines that fit above its lane.
function lockWords(name) {
  const words = name.replace(".", ". ").replace(/_(?=[^_])/g, "_ ").split(" ");
  // As few lines as fit: a lane is eight characters wide.
  return words.reduce((lines, word) => (lines.length && lines.at(-1).length + word.length <= 7 ? [...lines.slice(0, -1), lines.at(-1) + word] : [...lines, word]), []);
}
