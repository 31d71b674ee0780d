// The same schedule on another design, or on the code instead of the specification: two pictures
// side by side that move together, and the step at which they part.

import { getJson } from "./api.js";
import { drawBar } from "./bar.js";
import { prepare, sentencesAt } from "./document.js";
import { fill, h, sentence } from "./dom.js";
import { setKeys, showKeys } from "./keys.js";
import { createLanes } from "./lanes.js";
import { readLink, runLink, writeLink } from "./link.js";
import { problem } from "./problem.js";
import { createScrubber } from "./scrubber.js";
import { toggleTheme } from "./theme.js";

// Lines that only one side has, by the longest common part: `[sign, line]`.
function lineDifference(before, after) {
  const longest = before.map(() => []);
  const at = (i, j) => (i < before.length && j < after.length ? longest[i][j] : 0);
  for (let i = before.length - 1; i >= 0; i--)
    for (let j = after.length - 1; j >= 0; j--) longest[i][j] = before[i] === after[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
  const out = [];
  for (let i = 0, j = 0; i < before.length || j < after.length; ) {
    if (i < before.length && j < after.length && before[i] === after[j]) {
      out.push([" ", before[i++]]);
      j++;
    } else if (j >= after.length || (i < before.length && at(i + 1, j) >= at(i, j + 1))) out.push(["-", before[i++]]);
    else out.push(["+", after[j++]]);
  }
  return out;
}

// The programs that are not the same on both sides, with the statements that differ.
function differences(left, right) {
  const source = (program) => program.lines.filter((line) => !line.control).map((line) => line.source);
  const changed = left
    .map((program) => [program.name, lineDifference(source(program), source(right.find((p) => p.name === program.name) || { lines: [] }))])
    .filter(([, lines]) => lines.some(([sign]) => sign !== " "));
  if (!changed.length) return null;
  return h(
    "details",
    { class: "differences" },
    h("summary", {}, `What differs in the programs: ${changed.map(([name]) => name).join(", ")}`),
    changed.map(([name, lines]) => [h("h3", { class: "mono" }, name), h("pre", { tabindex: 0, "aria-label": `Difference of ${name}` }, lines.map(([sign, line]) => h("div", { class: { "-": "went", "+": "came" }[sign] || "" }, `${sign} ${line}`)))]),
  );
}

export function openCompare(place, context, link) {
  const { about } = context;
  let both = null;
  let at = 0;
  let timer = 0;
  let closed = false;
  let request = 0;
  let wanted = link;

  const verdict = h("div", { class: "verdict-line divergence-line", role: "status" });
  const titles = [h("h2", {}), h("h2", {})];
  const places = [h("div", { class: "lanes-place" }), h("div", { class: "lanes-place" })];
  const ends = ["What is wrong in the run", "What is wrong on the other side"].map((label) => h("div", { class: "verdict-line", role: "region", "aria-label": label, tabindex: 0 }));
  const below = h("section", { class: "zone below", "aria-label": "Scrubber" });
  const errors = h("div", {});
  fill(
    place,
    h(
      "div",
      { class: "compare" },
      h("div", { class: "compare-top" }, errors, verdict),
      [0, 1].map((n) => h("section", { class: "zone side", "aria-label": n ? "The other side" : "The run" }, titles[n], places[n], ends[n])),
      below,
    ),
  );
  const options = (n) => ({
    compact: true,
    label: n ? "Lanes of the other side" : "Lanes of the run",
    onpick: (row) => go(n ? leftOf(row) : row),
    divergence: () => both && both.diverges && { row: n ? rightRow(both.diverges.step - 1) + 1 : both.diverges.step, text: n ? "▲ they part here" : "▼ they part here" },
  });
  const lanes = places.map((p, n) => createLanes(p, options(n)));
  const scrubber = createScrubber(below, { onpick: go });

  // `pairs` has, by step of the left run and both counted from 0, the step of the right one that is
  // it. The row of the right picture that belongs to a row of the left one: the last step it shares.
  function rightRow(row) {
    const pair = both.pairs.slice(0, row).findLast((p) => p !== null && p !== undefined);
    return pair === undefined ? 0 : pair + 1;
  }

  function leftOf(row) {
    const n = both.pairs.findIndex((pair) => pair !== null && pair + 1 >= row);
    return n < 0 ? both.pairs.length : n + 1;
  }

  function sideTitle(run) {
    return [h("span", { class: "mono" }, run.config.design), " ", h("span", { class: "quiet" }, run.subject === "impl" ? "implementation" : run.config.origin || "specification")];
  }

  async function load() {
    const mine = ++request;
    fill(errors);
    place.classList.add("busy");
    try {
      const answer = await getJson("compare", { subject: wanted.subject || "spec", schedule: wanted.schedule, with: wanted.with });
      if (closed || mine !== request) return;
      prepare(answer.left);
      prepare(answer.right);
      both = answer;
      const last = both.left.states.length - 1;
      at = wanted.at === undefined ? last : Math.min(Number(wanted.at), last);
      document.title = `${both.left.config.design} beside ${both.with} · shootdown`;
      bar();
      fill(titles[0], sideTitle(both.left));
      fill(titles[1], sideTitle(both.right));
      lanes[0].show(both.left, at);
      lanes[1].show(both.right, rightRow(at));
      draw();
    } catch (error) {
      if (!closed && mine === request) fill(errors, problem(error, load));
      if (!both) bar();
    } finally {
      if (mine === request) place.classList.remove("busy");
    }
  }

  function bar() {
    const others = [...about.designs.map((d) => d.name), "impl", "spec"];
    const pick = h(
      "select",
      { id: "with", "aria-label": "Compare with", onchange: () => change(pick.value) },
      others.map((name) => h("option", { value: name, selected: name === wanted.with }, { impl: "the implementation", spec: "the specification" }[name] || name)),
    );
    drawBar({
      where: [h("span", {}, "the same schedule on "), pick],
      actions: [["Back to the run", "c", back]],
    });
  }

  function change(name) {
    clearTimeout(timer);
    location.hash = writeLink({ ...wanted, view: "compare", with: name, at });
  }

  function back() {
    location.hash = both ? runLink(both.left, at) : writeLink({ view: "run", subject: wanted.subject, schedule: wanted.schedule });
  }

  function end(run, row) {
    const told = sentencesAt(run, row);
    const step = row ? run.steps[row - 1] : null;
    return [
      told.length ? h("p", { class: told[0].property === "no_deadlock" ? "sentence bad" : "sentence" }, h("strong", { class: "bad-text" }, `✗ ${told[0].title}: `), told[0].sentence) : h("p", { class: "sentence" }, h("span", { class: "good-text" }, "✓ "), "no property is violated in this state"),
      h("p", { class: "sentence quiet" }, step ? [`step ${row}, CPU${step.cpu}: `, h("span", { class: "mono" }, step.source)] : "start"),
    ];
  }

  function draw() {
    const d = both.diverges;
    const tone = (ends) => (ends.stuck ? ["✗", "bad-text"] : ends.done ? ["✓", "good-text"] : ["…", "quiet"]);
    const ending = (run, ends) => [h("span", { class: tone(ends)[1] }, `${tone(ends)[0]} `), h("strong", { class: "mono" }, run.subject === both.left.subject ? run.config.design : run.subject), ` ${ends.sentence}. `];
    fill(
      verdict,
      h("p", { class: "sentence endings" }, ending(both.left, both.left_ends), ending(both.right, both.right_ends), both.right.steps.length > both.right_ends.from && h("button", { type: "button", class: "plain", onclick: rightEnd }, "See its end")),
      h(
        "p",
        { class: "sentence" },
        d
          ? [h("strong", {}, `They part at step ${d.step}. `), sentence(d.sentence), d.guard && d.kind === "refused" && !d.sentence.includes(d.guard) ? [" The guard that is false: ", h("span", { class: "mono" }, d.guard), "."] : null, d.refused && d.refused !== d.step ? ` Step ${d.refused} is not possible there.` : null]
          : [h("span", { class: "good-text" }, "✓ "), `They do not part: all ${both.left.steps.length} steps are the same on both sides.`],
        " ",
        d && h("button", { type: "button", class: "plain", onclick: () => go(d.step) }, "Go there"),
      ),
      differences(both.left.programs, both.right.programs),
    );
    const right = rightRow(at);
    fill(ends[0], end(both.left, at));
    fill(ends[1], end(both.right, right));
    scrubber.show(both.left, at);
    clearTimeout(timer);
    timer = setTimeout(() => !closed && readLink(location.hash).view === "compare" && history.replaceState(null, "", writeLink({ view: "compare", subject: both.left.subject, schedule: wanted.schedule, with: wanted.with, at })), 200);
  }

  // The end of the other side, which goes on where the run has no step any more.
  function rightEnd() {
    const last = both.right.states.length - 1;
    lanes[1].move(last);
    fill(ends[1], end(both.right, last));
  }

  function go(row) {
    if (!both) return;
    at = Math.max(0, Math.min(row, both.left.states.length - 1));
    lanes[0].move(at);
    lanes[1].move(rightRow(at));
    draw();
  }

  const key = (keys, shown, what, act) => ({ keys, shown, what, run: () => both && act() });
  setKeys([
    {
      name: "Move",
      rows: [
        key(["ArrowLeft", "h"], ["←"], "one step back, on both sides", () => go(at - 1)),
        key(["ArrowRight", "l"], ["→"], "one step on", () => go(at + 1)),
        key(["Home"], ["Home"], "start", () => go(0)),
        key(["End"], ["End"], "end", () => go(both.left.states.length - 1)),
        key(["x"], ["x"], "where they part", () => both.diverges && go(both.diverges.step)),
      ],
    },
    {
      name: "Else",
      rows: [
        { keys: ["c", "Escape"], shown: ["c", "Esc"], what: "back to the run", run: back },
        { keys: ["d"], shown: ["d"], what: "dark or light", run: toggleTheme },
        { keys: ["?"], shown: ["?"], what: "this list", run: showKeys },
      ],
    },
  ]);
  load();

  return {
    follow(next) {
      if (next.schedule === wanted.schedule && next.with === wanted.with && next.subject === wanted.subject && both) {
        if (next.at !== undefined) go(Number(next.at));
        return;
      }
      wanted = next;
      load();
    },
    close() {
      closed = true;
      clearTimeout(timer);
      lanes.forEach((l) => l.close());
      scrubber.close();
    },
  };
}
