// Why a design holds in an environment: how much was seen, what was reached, what is proven, how the other designs' runs
// end there, and what would break it.

import { getJson, stream } from "./api.js";
import { drawBar } from "./bar.js";
import { count, fill, h } from "./dom.js";
import { setKeys, showKeys } from "./keys.js";
import { writeLink } from "./link.js";
import { problem } from "./problem.js";
import { toggleTheme } from "./theme.js";

const PROOFS = {
  acyclic: "Proven for any number of CPUs, mms and operations: the order in which this design waits has no cycle.",
  cyclic: "Not proven for more CPUs: the order in which this design waits has a cycle, and no run within these bounds gets into it.",
  out_of_scope: "The theorem does not speak of this design: its programs break what it takes for granted.",
};

const WORDS = { holds: ["✓", "good-text"], violated: ["✗", "bad-text"], vacuous: ["∅", "quiet"], incomplete: ["◔", "quiet"] };

// What a shortest counterexample shows first.
const WORST = ["no_deadlock", "no_lock_cycle", "no_stale_tlb_after_return", "no_use_of_freed_frame", "no_walker_on_reused_table"];

export function openCase(place, context, link) {
  const { about } = context;
  let cells = [];
  let closed = false;
  let asked = "";
  drawBar({ where: [h("strong", { class: "mono" }, link.design), h("span", { class: "quiet mono" }, link.env)], actions: [] });
  setKeys([{ name: "Keys", rows: [{ keys: ["d"], shown: ["d"], what: "dark or light", run: toggleTheme }, { keys: ["?"], shown: ["?"], what: "this list", run: showKeys }] }]);
  document.title = `Why ${link.design} holds in ${link.env} · shootdown`;
  const verdicts = h("section", { "aria-label": "Verdicts" });
  const proof = h("p", { class: "case-proof" });
  const nearest = h("section", { "aria-labelledby": "case-nearest" });
  const breaks = h("section", { "aria-labelledby": "case-breaks" });
  fill(
    place,
    h(
      "div",
      { class: "start case" },
      h("h1", {}, `${link.design} in ${link.env}`),
      h("p", {}, h("a", { class: "button", href: writeLink({ view: "open", design: link.design, env: link.env, workload: "everything" }) }, "Explore by hand")),
      verdicts,
      h("h2", {}, "For any number of CPUs"),
      proof,
      nearest,
      breaks,
    ),
  );
  fill(verdicts, h("p", { role: "status" }, "This cell is being checked …"));

  const mine = () => cells.find((cell) => cell.design === link.design && cell.environment === link.env);

  function draw() {
    const cell = mine();
    if (!cell) {
      fill(verdicts, h("p", {}, `${link.design} in ${link.env} is not a cell of the matrix.`));
      return;
    }
    if (cell.state !== "done") return;
    const violated = cell.properties.filter((p) => p.verdict === "violated");
    const holds = cell.properties.filter((p) => p.verdict === "holds");
    const vacuous = cell.properties.filter((p) => p.verdict === "vacuous");
    fill(
      verdicts,
      h("p", { class: "sentence" }, violated.length ? `${violated.length} properties are violated.` : h("strong", { class: "good-text" }, "✓ Nothing is violated. "), ` ${count(cell.states)} states, every one that can be reached from every placement of CPUs on mms with the workload ${cell.workload}; the farthest is ${cell.depth} steps away.`),
      h("p", {}, `${holds.length} properties hold: no state violates them, and every dangerous spot that they are about was reached. ${vacuous.length ? `${vacuous.length} are vacuous: what they are about never happens here, so that nothing is shown.` : ""}`),
      h(
        "table",
        { class: "case-properties" },
        h("thead", {}, h("tr", {}, ["", "property", "promise", "not reached"].map((name) => h("th", { scope: "col" }, name)))),
        h(
          "tbody",
          {},
          cell.properties.map((p) => {
            const [glyph, tone] = WORDS[p.verdict];
            const known = about.properties.find((x) => x.name === p.name);
            return h("tr", {}, h("td", { class: tone }, `${glyph} ${p.verdict}`), h("td", { class: "mono" }, p.schedule ? h("a", { href: writeLink({ view: "run", subject: "spec", schedule: p.schedule }) }, p.name) : p.name), h("td", {}, known ? known.promise : ""), h("td", { class: "mono" }, p.unreached.join(" ")));
          }),
        ),
      ),
    );
    fill(proof, PROOFS[cell.proof] || "", " ", h("code", {}, `shootdown prove --design ${link.design} --env ${link.env}`));
    drawNearest(cell);
    drawBreaks();
  }

  // Runs that go wrong on other designs in this environment, each led along on this one to its end.
  function drawNearest(cell) {
    const others = cells
      .filter((x) => x.environment === link.env && x.design !== link.design && x.state === "done")
      .flatMap((x) => {
        const clean = (name) => !cell.properties.some((p) => p.name === name && p.verdict === "violated");
        const bad = x.properties.filter((p) => p.verdict === "violated" && p.schedule && WORST.includes(p.name) && clean(p.name));
        return bad.slice(0, 1).map((p) => ({ design: x.design, property: p }));
      });
    const key = others.map((o) => o.design).join();
    if (key === asked) return;
    asked = key;
    const list = h("ul", { class: "nearest" });
    fill(nearest, h("h2", { id: "case-nearest" }, "The nearest miss: what goes wrong elsewhere, on this design"), others.length ? list : h("p", {}, "No other design goes wrong here in a way that this one does not, as far as the matrix is checked."));
    others.forEach(async ({ design, property }) => {
      const item = h("li", {}, h("a", { href: writeLink({ view: "compare", subject: "spec", schedule: property.schedule, with: link.design }) }, `${design}: ${property.short} after ${property.steps} steps`), " ", h("span", { class: "quiet" }, "…"));
      list.append(item);
      try {
        const answer = await getJson("compare", { subject: "spec", schedule: property.schedule, with: link.design });
        if (closed) return;
        const { stuck, done, sentence } = answer.right_ends;
        fill(item.lastChild, h("span", { class: stuck ? "bad-text" : done ? "good-text" : "quiet" }, stuck ? "✗ " : done ? "✓ " : ""), h("span", { class: "mono" }, link.design), ` ${sentence}.`);
      } catch (error) {
        if (!closed) fill(item.lastChild, error.message);
      }
    });
  }

  function drawBreaks() {
    const own = (about.variants || []).filter((v) => about.properties.some((p) => p.name === v.breaks));
    fill(
      breaks,
      h("h2", { id: "case-breaks" }, "What breaks it"),
      h("p", {}, "Deviations from the protocol, one at a time. Each opens the shortest run that violates the property, if there is one:"),
      h("ul", { class: "breaks" }, own.map((v) => h("li", {}, h("a", { class: "mono", href: writeLink({ view: "find", design: link.design, env: link.env, workload: "everything", variants: v.name, property: v.breaks }) }, v.name), ` ${v.about}`))),
    );
  }

  const stop = stream(
    "matrix",
    {},
    {
      snapshot: (m) => {
        cells = m.cells;
        draw();
      },
      cell: (cell) => {
        const n = cells.findIndex((x) => x.index === cell.index);
        if (n >= 0) cells[n] = cell;
        if (cell.environment === link.env) draw();
      },
      problem: (p) => fill(verdicts, problem(p)),
    },
    ["done", "problem"],
  );
  return {
    follow: () => {},
    close() {
      closed = true;
      stop();
    },
  };
}
