// Two scenarios side by side: what changed, which verdicts changed, and where the run of one parts from the other.

import { getJson, getText, postEvents } from "./api.js";
import { drawBar } from "./bar.js";
import { prepare } from "./document.js";
import { fill, h, say, sentence } from "./dom.js";
import { createEditor } from "./editor.js";
import { showGallery } from "./gallery.js";
import { setKeys, showKeys } from "./keys.js";
import { createLanes } from "./lanes.js";
import { problem } from "./problem.js";
import { drawProblems } from "./problems.js";
import { toggleTheme } from "./theme.js";

const SIDES = ["before", "after"];

export function openBeside(place, context, link) {
  let closed = false;
  let about = null;
  let asking = null;
  let pictures = [];
  const errors = h("div", {});
  const told = h("span", { class: "quiet", role: "status" });
  const answerPlace = h("section", { class: "beside-answer", "aria-label": "The comparison" });
  const sides = SIDES.map((side) => {
    const name = h("input", { class: "mono", value: `${side}.sd`, "aria-label": `Name of the file ${side}`, maxlength: 80, spellcheck: "false" });
    const open = h("input", { type: "file", accept: ".sd,text/plain", class: "unseen", tabindex: -1, "aria-hidden": "true", onchange: () => open.files[0] && load(one, open.files[0]) });
    const one = { side, name, open, text: h("div", { class: "editor-place" }), problems: h("div", { class: "problems-place" }), editor: null };
    return one;
  });
  fill(
    place,
    h(
      "div",
      { class: "beside" },
      h("h1", { class: "unseen" }, "Two scenarios side by side"),
      h("div", { class: "tools" }, h("button", { type: "button", class: "button main", id: "compare-texts", onclick: compare }, "Compare"), h("a", { class: "button", href: "#/scenario" }, "Back to one"), told),
      errors,
      h("div", { class: "beside-texts" }, sides.map((one) => h("section", { "aria-label": one.side }, h("div", { class: "tools" }, h("strong", {}, one.side), one.name, h("button", { type: "button", class: "button", onclick: () => one.open.click() }, "Open"), one.open, h("button", { type: "button", class: "button", onclick: () => gallery(one) }, "Gallery")), one.text, one.problems))),
      answerPlace,
    ),
  );
  drawBar({ where: [h("strong", {}, "Two scenarios side by side")], actions: [] });
  setKeys([{ name: "Keys", rows: [{ keys: ["c"], shown: ["c", "Ctrl+Enter"], what: "compare", run: () => compare() }, { keys: ["d"], shown: ["d"], what: "dark or light", run: toggleTheme }, { keys: ["?"], shown: ["?"], what: "this list", run: showKeys }] }]);

  function gallery(one) {
    showGallery(about.corpus, {
      open: async (entry) => {
        one.name.value = entry.name;
        one.editor.set(await getText("scenario/corpus", { name: entry.name }));
      },
      compare: (before, after) => follow({ before, after }),
    });
  }

  async function load(one, file) {
    one.open.value = "";
    if (file.size > about.largest) return fill(errors, problem({ message: `${file.name} has ${file.size} bytes; a scenario has at most ${about.largest}.` }));
    one.name.value = file.name;
    one.editor.set(await file.text());
  }

  async function compare() {
    if (!sides[1].editor) return;
    asking?.abort();
    const mine = (asking = new AbortController());
    const text = (one) => ({ name: one.name.value, text: one.editor.text() });
    fill(errors);
    fill(told, "comparing …");
    try {
      const answer = await postEvents("scenario/compare", {}, JSON.stringify({ before: text(sides[0]), after: text(sides[1]) }), mine.signal, "compared");
      if (closed || mine !== asking) return;
      fill(told);
      sides.forEach((one) => {
        const of = answer[one.side];
        one.editor.diagnose(of.diagnostics);
        if (of.readable) fill(one.problems);
        else drawProblems(one.problems, of, (start) => one.editor.goTo(start));
      });
      show(answer);
    } catch (error) {
      if (closed || error.name === "AbortError") return;
      fill(told);
      fill(errors, problem(error, compare));
    }
  }

  function show(answer) {
    pictures.forEach((p) => p.close());
    pictures = [];
    const c = answer.comparison;
    if (!c) return fill(answerPlace, h("p", { class: "bad-text" }, "✗ One of them cannot be read: nothing was compared."));
    const changedVerdicts = c.verdicts.filter((v) => v.before !== v.after);
    const word = (w) => h("span", { class: w === "violated" ? "bad-text" : w === "holds" ? "good-text" : "quiet" }, w || "not checked");
    const p = c.parting;
    const parting = p && `The run of ${p.of} that violates ${p.property} ${p.step ? `parts at step ${p.step}` : "does not part"}: ${p.told}`;
    const places = answer.runs.map((run, n) => run && h("section", { class: "side", "aria-label": `Run on ${SIDES[n]}` }, h("h2", {}, c[SIDES[n]]), h("div", { class: "lanes-place" })));
    fill(
      answerPlace,
      h("div", { class: "beside-heads" }, answer.outcomes.map((o, n) => h("p", {}, h("strong", {}, `${c[SIDES[n]]}: `), o))),
      h("h2", {}, changedVerdicts.length ? "Verdicts that changed" : "No verdict changed"),
      changedVerdicts.length > 0 && h("ul", { class: "verdict-changes" }, changedVerdicts.map((v) => h("li", {}, h("span", { class: "mono" }, v.name), ": ", word(v.before), " → ", word(v.after)))),
      h("details", {}, h("summary", { class: "quiet" }, `all ${c.verdicts.length} properties`), h("ul", { class: "verdict-changes" }, c.verdicts.map((v) => h("li", {}, h("span", { class: "mono" }, v.name), ": ", word(v.before), v.before === v.after ? "" : [" → ", word(v.after)])))),
      h("h2", {}, c.changed.length ? "Lines that changed" : "No statement changed"),
      c.changed.length > 0 && h("pre", { class: "diff", tabindex: 0, "aria-label": "Lines that changed" }, c.changed.map((l) => h("span", { class: l.sign === "+" ? "came" : "went" }, `${l.sign} ${String(l.line).padStart(4)}  ${l.text}\n`))),
      parting && h("p", { class: "parting" }, sentence(parting)),
      h("div", { class: "beside-runs" }, places),
    );
    answer.runs.forEach((run, n) => {
      if (!run) return;
      prepare(run);
      const row = p?.step;
      const lanes = createLanes(places[n].lastChild, { compact: true, label: `Lanes on ${SIDES[n]}`, divergence: () => row && { row: Math.min(row, run.states.length), text: "▼ they part here" } });
      lanes.show(run, run.states.length - 1);
      pictures.push(lanes);
    });
    // The first of the lines that changed, in its text.
    for (const [n, sign] of [[0, "-"], [1, "+"]]) {
      const lines = c.changed.filter((l) => l.sign === sign);
      sides[n].editor.mark(new Map(lines.map((l) => [l.line, { here: true, chips: [] }])), lines[0]?.line);
    }
    say(parting || "no run to compare");
  }

  async function follow(next) {
    try {
      const draft = JSON.parse(sessionStorage.getItem("shootdown-scenario") || "null");
      for (const one of sides) {
        if (next[one.side]) {
          one.name.value = next[one.side];
          one.editor.set(await getText("scenario/corpus", { name: next[one.side] }));
        } else if (draft) {
          one.name.value = one.side === "before" ? draft.name : `changed-${draft.name}`;
          one.editor.set(draft.text);
        } else one.editor.set(about.template);
      }
      await compare();
    } catch (error) {
      fill(errors, problem(error));
    }
  }

  (async () => {
    try {
      about = await getJson("scenario/editor");
    } catch (error) {
      if (!closed) fill(errors, problem(error));
      return;
    }
    if (closed) return;
    const words = { keywords: about.keywords, calls: about.calls.map((c) => c.name) };
    for (const one of sides) one.editor = createEditor(one.text, { label: `Scenario ${one.side}`, id: `area-${one.side}`, words, oncheck: compare });
    await follow(link);
  })();

  return {
    follow: (next) => sides[1].editor && follow(next),
    close() {
      closed = true;
      asking?.abort();
      pictures.forEach((p) => p.close());
    },
  };
}
