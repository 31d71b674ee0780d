// The wait-for graph of a state: who waits for whom, the cycle outlined and said as a sentence.

import { h, s, sentence, wrapText } from "./dom.js";

const WIDTH = 318;
const CHAR = 6.9;
let counter = 0;

// `sleeps for` a mutex; a design has none.
function verb(edge) {
  return edge.label === "sleeps for" ? edge.label : "spins for";
}

// Who waits in a state without waiting for anybody: the lock is free and its own next, or the answers are on their way.
// A wait without an edge would be no wait to the eye.
function alone(told, cpus) {
  const known = (name) => told.edges.some((e) => e.from === name || e.from.startsWith(`${name}.`));
  return (cpus || []).filter((cpu) => cpu.waits && !known(cpu.name)).map((cpu) => ({ from: cpu.name, to: cpu.waits.on || "nobody holds it up", label: `${cpu.waits.text}, and goes on next` }));
}

// The graph of a state with its locks as nodes: who spins for which, held by whom.
function withLocks(told, cpus) {
  const edges = [];
  const ring = [];
  const add = (from, to, label, cycle) => {
    if (!edges.some((e) => e.from === from && e.to === to && e.label === label)) edges.push({ from, to, label, cycle });
  };
  for (const edge of told.edges) {
    if (edge.kind === "lock" && edge.on) {
      add(edge.from, edge.on, verb(edge), edge.in_cycle);
      add(edge.on, edge.to, "held by", edge.in_cycle);
    } else if (edge.kind === "queue" && edge.on) {
      add(edge.from, edge.on, verb(edge), false);
      add(edge.from, edge.to, `queues for ${edge.on} behind`, edge.in_cycle);
    } else add(edge.from, edge.to, edge.label, edge.in_cycle);
  }
  for (const edge of alone(told, cpus)) add(edge.from, edge.to, edge.label, false);
  // Along the cycle, locks between those who wait for them.
  const next = (name) => edges.find((e) => e.from === name && e.cycle);
  for (let name = told.cycle[0]; name && !ring.includes(name); name = next(name)?.to) ring.push(name);
  return { edges, ring, sentence: told.sentence };
}

// Nodes of the cycle first and in its order, so that it is drawn as a ring without crossings.
function order(graph) {
  const names = [...graph.ring];
  for (const edge of graph.edges) {
    for (const name of [edge.from, edge.to]) if (!names.includes(name)) names.push(name);
  }
  return names;
}

// `cpus` are those of the state: a CPU that takes no interrupts says so in its node. `since`: for each wait the steps at
// which it and what it waits for began, `[{ text, steps }]`; `onpick` goes there.
export function drawWaits(told, cpus, since, onpick) {
  const graph = withLocks(told || { edges: [], cycle: [] }, cpus);
  if (!graph.edges.length) return h("p", { class: "empty" }, "No CPU waits in this state.");
  const id = `waits${++counter}`;
  const names = order(graph);
  const n = names.length;
  const high = n <= 2 ? 250 : n <= 4 ? 280 : 380;
  const middle = [WIDTH / 2, high / 2];
  const radius = [n <= 2 ? 0 : WIDTH / 2 - 58, high / 2 - 30];
  const place = new Map(
    names.map((name, i) => {
      const turn = (i / n) * 2 * Math.PI - Math.PI / 2;
      return [name, [middle[0] + radius[0] * Math.cos(turn), middle[1] + radius[1] * Math.sin(turn)]];
    }),
  );
  const svg = s("svg", { class: "graph", viewBox: `0 0 ${WIDTH} ${high}`, role: "img", "aria-label": graph.sentence || graph.edges.map((e) => `${e.from} ${e.label} ${e.to}`).join("; ") });
  const head = (name, cls) =>
    s("marker", { id: `${id}-${name}`, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto" }, s("path", { d: "M0 0 8 4 0 8z", class: cls }));
  svg.append(s("defs", {}, head("plain", "arrowhead"), head("cycle", "arrowhead cycle")));
  // Of whoever can move again some day the waits are dashed: they end.
  const stays = (name) => !cpus.some((c) => "stuck" in c && !c.stuck && (name === c.name || name.startsWith(`${c.name}.`)));
  const anyLater = graph.edges.some((e) => !e.cycle && !stays(e.from));
  const labels = s("g", {});
  const taken = [];
  for (const edge of graph.edges) {
    const [x1, y1] = place.get(edge.from);
    const [x2, y2] = place.get(edge.to);
    const cycle = edge.cycle;
    // Bowed away from the middle, so that the ring is round; to its side where both ends face each
    // other, so that the two edges between them are apart.
    const [mx, my] = [(x1 + x2) / 2, (y1 + y2) / 2];
    const out = [mx - middle[0], my - middle[1]];
    if (n <= 2 || Math.hypot(...out) < 20) [out[0], out[1]] = [y1 - y2, x2 - x1];
    const length = Math.hypot(...out) || 1;
    const bow = n <= 2 ? 92 : 34;
    const cx = mx + (out[0] / length) * bow;
    const cy = my + (out[1] / length) * bow;
    const inset = (fromX, fromY, x, y, r) => {
      const d = Math.hypot(x - fromX, y - fromY) || 1;
      return [x - ((x - fromX) / d) * r, y - ((y - fromY) / d) * r];
    };
    const reach = (name) => (/^CPU/.test(name) ? 26 : 30);
    const [ax, ay] = inset(cx, cy, x1, y1, reach(edge.from));
    const [bx, by] = inset(cx, cy, x2, y2, reach(edge.to) + 4);
    const began = (since || []).find((w) => w.who === edge.from.split(".")[0]);
    const follow = began && onpick && { onclick: () => onpick(began.steps[0].row), "data-step": began.steps[0].row };
    svg.append(s("path", { ...follow, d: `M${ax} ${ay}Q${cx} ${cy} ${bx} ${by}`, class: cycle ? "edge cycle" : stays(edge.from) ? "edge" : "edge later", "marker-end": `url(#${id}-${cycle ? "cycle" : "plain"})` }));
    const lines = wrapText(edge.label, n <= 2 ? 19 : 20, 4);
    const wide = Math.max(...lines.map((l) => l.length)) * CHAR;
    let lx = Math.min(Math.max((x1 + x2) / 4 + cx / 2, wide / 2 + 2), WIDTH - wide / 2 - 2);
    let ly = (y1 + y2) / 4 + cy / 2 - (lines.length - 1) * 6.5;
    while (taken.some(([x, y, w, t]) => Math.abs(x - lx) < (w + wide) / 2 && Math.abs(y - ly) < (t + lines.length) * 7)) ly += 14;
    taken.push([lx, ly, wide, lines.length]);
    lines.forEach((line, i) => labels.append(s("text", { x: lx, y: ly + i * 13 + 4, class: cycle ? "edge-label cycle" : "edge-label" }, line)));
  }
  for (const [name, [x, y]] of place) {
    const cycle = graph.ring.includes(name);
    const cpu = cpus.find((c) => name === c.name);
    const lines = /^CPU\d+$/.test(name) ? [name, cpu && !cpu.irqs_on && "IF=0"].filter(Boolean) : (name.includes(" ") ? wrapText(name, 16, 4) : name.replace(".", ". ").split(" "));
    const wide = Math.max(...lines.map((l) => l.length)) * 7.3 + 20;
    const tall = 16 + lines.length * 13;
    svg.append(
      s("rect", { x: x - wide / 2, y: y - tall / 2, width: wide, height: tall, rx: /^CPU/.test(name) ? 5 : tall / 2, class: cycle ? "node cycle" : "node" }),
      lines.map((line, i) => s("text", { x, y: y + 4.5 + (i - (lines.length - 1) / 2) * 13, class: "node-label" }, line)).reduce((g, t) => (g.append(t), g), s("g", {})),
    );
  }
  svg.append(labels);
  return h(
    "div",
    {},
    svg,
    since && since.length > 0 && h("ul", { class: "since" }, since.map((w) => h("li", {}, `${w.text}: `, w.steps.map((step, n) => [n ? ", " : "", h("button", { type: "button", class: "plain", onclick: () => onpick(step.row) }, `${step.what} in step ${step.row}`)])))),
    anyLater && h("p", { class: "quiet" }, "Dashed: this wait can still end. Solid: it never does."),
    graph.sentence ? h("p", { class: graph.ring.length ? "sentence bad" : "sentence" }, h("strong", {}, graph.ring.length ? "✗ " : ""), sentence(graph.sentence)) : null,
  );
}
