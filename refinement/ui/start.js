// The start page: what happened, and every design in every environment while it is being checked.

import { stream } from "./api.js";
import { drawBar } from "./bar.js";
import { count, fill, h, say } from "./dom.js";
import { openDropped } from "./dropped.js";
import { setKeys, showKeys } from "./keys.js";
import { writeLink } from "./link.js";
import { problem } from "./problem.js";
import { glossary, stories } from "./stories.js";
import { toggleTheme } from "./theme.js";

// Which violation a cell opens first: what hangs or corrupts before what breaks a rule.
const WORST = ["deadlock", "lock-cycle", "stale-tlb", "freed-frame", "gup", "pinned"];

// The two designs that the review decides between.
const CANDIDATES = ["v2.6.38", "tracked"];

const GLYPHS = {
  holds: ["✓", "holds"],
  violated: ["✗", "violated"],
  rule: ["△", "a rule is broken, nothing hangs"],
  partial: ["◑", "partial: nothing is violated by the programs that ran, and not all did"],
  incomplete: ["◔", "incomplete: cut off"],
  running: ["…", "being checked"],
  waiting: ["·", "waiting"],
};

function rank(property) {
  const n = WORST.indexOf(property.short);
  return n >= 0 ? n : WORST.length;
}

// What a cell shows: its kind, and the violated properties, the worst first.
function kindOf(cell) {
  if (cell.state !== "done") return [cell.state, []];
  const all = cell.properties.filter((p) => p.verdict === "violated").sort((a, b) => rank(a) - rank(b));
  // A deadlock is a lack of progress too; said once, as in the README.
  const hangs = all.some((p) => p.short === "deadlock");
  const violated = all.filter((p) => !(hangs && p.name === "progress"));
  return [cell.word.kind, violated];
}

// What the static order says, for any number of CPUs.
const PROOFS = {
  acyclic: ["∞", "proven, no wait cycle exists"],
  cyclic: ["↻", "not proven, there is a wait cycle"],
  out_of_scope: ["·", "out of the theorem's scope"],
};

export function openStart(place, context) {
  const { about } = context;
  let cells = [];
  let stop = null;
  document.title = "shootdown: the pgd_lock deadlock, explored";
  drawBar({ where: [h("span", { class: "quiet" }, "x86 pgd_lock, page_table_lock and the TLB-flush IPI")], actions: [] });
  setKeys([
    {
      name: "Keys",
      rows: [
        { keys: ["o"], shown: ["o"], what: "open the deadlock of 2011", run: () => openLink()?.click() },
        { keys: ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], shown: ["←", "→", "↑", "↓"], what: "move in the matrix", run: walk },
        { keys: ["Enter"], shown: ["Enter"], what: "open the cell", run: () => {} },
        { keys: ["d"], shown: ["d"], what: "dark or light", run: toggleTheme },
        { keys: ["?"], shown: ["?"], what: "this list", run: showKeys },
      ],
    },
  ]);

  const openLink = () => document.getElementById("open-deadlock");
  const story = about.story;
  const progress = h("div", { class: "matrix-progress", role: "status" });
  const table = h("table", { class: "matrix" });
  const errors = h("div", {});
  const dropErrors = h("div", {});
  const dropFile = h("input", { type: "file", id: "drop-file", class: "unseen", onchange: () => dropFile.files[0] && openFile(dropFile.files[0]) });
  fill(
    place,
    h(
      "div",
      { class: "start" },
      h(
        "section",
        { class: "story", "aria-labelledby": "story-title" },
        h("h1", { id: "story-title" }, "February 2011: a kernel with huge pages hangs"),
        h("ol", {}, story.lines.map((line) => h("li", {}, line))),
        h(
          "p",
          {},
          h("a", { class: "button main", id: "open-deadlock", href: story.schedule ? writeLink({ view: "run", subject: "spec", schedule: story.schedule, at: 1 }) : writeLink({ view: "find", config: about.default.schedule, property: "no_deadlock" }) }, "See the deadlock step by step"),
          h("a", { class: "button", href: writeLink({ view: "run", subject: about.default.subject, schedule: about.default.schedule, at: 0 }) }, "Explore by hand"),
        ),
      ),
      h("section", { class: "own", "aria-labelledby": "stories-title" }, h("h2", { id: "stories-title" }, "Other runs worth seeing"), stories()),
      h(
        "section",
        { class: "own", "aria-labelledby": "own-title" },
        h("h2", { id: "own-title" }, "Ask about your own lock"),
        h("p", {}, "15 to 50 lines that look like the kernel's own code: locks, interrupts, IPIs, sleeping and spinning waits. Every interleaving is checked, and the shortest run that goes wrong is shown beside your text."),
        h("p", {}, h("a", { class: "button main", id: "own-lock", href: "#/scenario" }, "Open the editor"), h("a", { class: "button", href: writeLink({ view: "scenario", corpus: "pgd-lock-2011.before.sd" }) }, "2011 in 30 lines"), h("a", { class: "button", href: writeLink({ view: "beside", before: "pgd-lock-2011.before.sd", after: "pgd-lock-2011.after.sd" }) }, "Before and after its fix")),
      ),
      h(
        "section",
        { class: "own", "aria-labelledby": "log-title" },
        h("h2", { id: "log-title" }, "A machine hangs"),
        h("p", {}, "Drop its console log, or a trace of ftrace, anywhere on this page, or ", h("label", { class: "button", for: "drop-file" }, "open it", dropFile), ": who waits for whom, whether that is a cycle, and which lines say so."),
        dropErrors,
      ),
      h(
        "section",
        { class: "verdicts", "aria-labelledby": "verdicts-title" },
        h("h2", { id: "verdicts-title" }, "Every design in every environment, checked by this server"),
        h("p", { class: "quiet" }, "Rows: how the kernel takes its locks and where it awaits the flush. Columns: what it is built with and runs on. Every interleaving within small bounds is explored. A ", h("span", { class: "bad-text" }, "✗"), " opens its shortest counterexample, a ", h("span", { class: "good-text" }, "✓"), " why it holds."),
        progress,
        errors,
        h("div", { class: "matrix-scroll", tabindex: 0, role: "region", "aria-label": "Verdict matrix" }, table),
        legend(),
        glossary(about),
      ),
      form(about),
    ),
  );

  async function openFile(file) {
    const wrong = await openDropped(file, (view) => (location.hash = `#/${view}`));
    if (wrong) fill(dropErrors, problem(wrong));
  }

  const allow = (event) => event.preventDefault();
  const dropped = (event) => {
    event.preventDefault();
    if (event.dataTransfer?.files[0]) openFile(event.dataTransfer.files[0]);
  };
  place.addEventListener("dragover", allow);
  place.addEventListener("drop", dropped);

  function runHref(schedule) {
    return writeLink({ view: "run", subject: "spec", schedule });
  }

  function legend() {
    return h(
      "ul",
      { class: "legend" },
      Object.entries(GLYPHS).map(([kind, [glyph, text]]) => h("li", {}, h("span", { class: `cell-glyph ${kind}` }, glyph), ` ${text}`)),
      h("li", {}, "four marks below: model, any number of CPUs (∞ proven, ↻ a wait cycle), code refines, second opinion (· not run by this page)"),
    );
  }

  // What ran, where it is not everything: as in the report and the README.
  const head = (name) => {
    const ran = cells.find((cell) => cell.environment === name)?.workload || "everything";
    return ran === "everything" ? name : `${name} (${ran} only)`;
  };
  const columns = () => about.columns || [...new Set(cells.map((cell) => cell.environment))];
  const cellId = (cell) => `cell-${cell.design}-${cell.environment}`.replace(/[^\w.-]/g, "_");

  // Skeleton once, cells in place: nothing jumps while verdicts come in.
  function skeleton() {
    // What there is to decide between stands first.
    const candidate = (name) => CANDIDATES.includes(name);
    const names = about.designs.map((d) => d.name).filter((name) => cells.some((cell) => cell.design === name));
    const rows = [...names.filter(candidate), ...names.filter((name) => !candidate(name))];
    fill(
      table,
      h("caption", { class: "unseen" }, "Verdicts: designs in rows, environments in columns"),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "design"), columns().map((name) => h("th", { scope: "col", title: about.environments.find((e) => e.name === name)?.about || "" }, head(name))))),
      h(
        "tbody",
        {},
        rows.map((name) => {
          const design = about.designs.find((d) => d.name === name);
          return h(
            "tr",
            { class: candidate(name) ? "candidate" : "" },
            h("th", { scope: "row" }, h("span", { class: "mono design" }, name), h("span", { class: "origin", title: design.origin }, design.origin)),
            columns().map((column) => {
              const cell = cells.find((x) => x.design === name && x.environment === column);
              return h("td", { id: cell ? cellId(cell) : false });
            }),
          );
        }),
      ),
    );
    cells.forEach(drawCell);
  }

  function drawCell(cell) {
    const td = document.getElementById(cellId(cell));
    if (!td || (td.dataset.index !== undefined && td.dataset.index !== String(cell.index))) return;
    td.dataset.index = cell.index;
    const [kind, violated] = kindOf(cell);
    const [glyph, text] = GLYPHS[kind];
    td.className = `cell ${kind}`;
    const link = (href, label, extra) => h("a", { href, ...extra }, label);
    const explore = writeLink({ view: "case", design: cell.design, env: cell.environment });
    const odd = cell.as_expected === false ? h("span", { class: "odd", title: "not what refinement/expectations.toml says" }, " ‼") : null;
    const where = `${cell.design} in ${cell.environment}`;
    const unreached = cell.state === "done" ? cell.properties.filter((p) => p.verdict === "vacuous") : [];
    fill(
      td,
      h("span", { class: "cell-glyph", "aria-hidden": "true" }, glyph),
      violated.length
        ? h(
            "span",
            { class: "cell-names" },
            violated.map((p, n) => link(p.schedule ? runHref(p.schedule) : writeLink({ view: "find", config: cell.config, property: p.name }), p.short, { class: n ? "" : "first", title: `${p.name} violated after ${p.steps} steps`, "aria-label": `${where}: ${p.short} violated, open the counterexample` })),
          )
        : kind === "running" || kind === "waiting"
          ? h("span", { class: "cell-names quiet" }, kind)
          : h("span", { class: "cell-names" }, link(explore, cell.word.note, { class: "first", title: text, "aria-label": `${where}: ${kind}, open the case` })),
      violated.length && cell.word.note ? h("span", { class: "cell-names quiet" }, cell.word.note) : "",
      odd,
      marks(cell),
      h("span", { class: "cell-states", title: unreached.length ? `never reached, so nothing is shown about: ${unreached.map((p) => p.short).join(", ")}` : "" }, cell.states ? `${count(cell.states)}${unreached.length ? ` · ∅${unreached.length}` : ""}` : "\u00a0"),
    );
  }

  // Four kinds of evidence in a fixed order; what this server does not run says which command does.
  function marks(cell) {
    if (cell.state !== "done") return null;
    const [glyph, text] = GLYPHS[kindOf(cell)[0]];
    const [order, proof] = PROOFS[cell.proof] || ["·", "not proven"];
    const flags = `--design ${cell.design} --env ${cell.environment}`;
    const all = [
      [glyph, `model: ${text}`],
      [order, `any number of CPUs: ${proof} (shootdown prove ${flags})`],
      ["·", `code refines: not run by this page (shootdown refine ${flags})`],
      ["·", `second opinion: not run by this page (shootdown second-opinion ${flags})`],
    ];
    return h("span", { class: "cell-marks", role: "img", "aria-label": all.map(([, told]) => told).join("; "), title: all.map(([, told]) => told).join("\n") }, all.map(([mark]) => h("span", {}, mark)));
  }

  function walk(event) {
    const links = [...table.querySelectorAll("a.first")];
    if (!links.length) return;
    const here = document.activeElement.closest?.("td");
    if (!here) return links[0].focus();
    const row = here.parentElement;
    const column = [...row.children].indexOf(here);
    const rows = [...row.parentElement.children];
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    rows[rows.indexOf(row) + dy]?.children[column + dx]?.querySelector("a")?.focus();
  }

  function tell(p) {
    const done = cells.filter((cell) => cell.state === "done").length;
    if (done === cells.length && cells.length) {
      const odd = cells.filter((cell) => cell.as_expected === false).length;
      fill(progress, h("span", { class: "good-text" }, "✓ "), `All ${cells.length} cells are checked`, odd ? `, ${odd} not as written in refinement/expectations.toml.` : ", all as written in refinement/expectations.toml.");
      return;
    }
    const share = p && p.fraction !== null && p.fraction !== undefined ? `, about ${Math.round(p.fraction * 100)} %` : "";
    fill(
      progress,
      h("progress", { max: Math.max(cells.length, 1), value: done + ((p && p.fraction) || 0), "aria-label": "Cells checked" }),
      ` ${done} of ${cells.length || "…"} cells`,
      p ? h("span", { class: "quiet" }, ` · ${p.what}: ${count(p.states)} states, ${count(p.rate)}/s, depth ${p.depth}, ${Math.round(p.memory_bytes / (1 << 20))} MiB${share}`) : null,
    );
  }

  stop = stream(
    "matrix",
    {},
    {
      snapshot: (m) => {
        cells = m.cells;
        skeleton();
        tell(null);
      },
      cell: (cell) => {
        const n = cells.findIndex((x) => x.index === cell.index);
        if (n >= 0) cells[n] = cell;
        drawCell(cell);
        tell(null);
      },
      progress: tell,
      done: () => {
        tell(null);
        say("the matrix is complete");
      },
      problem: (p) => fill(errors, problem(p)),
    },
    ["done", "problem"],
  );

  return {
    follow: () => {},
    close() {
      if (stop) stop();
      place.removeEventListener("dragover", allow);
      place.removeEventListener("drop", dropped);
    },
  };
}

// Any other configuration.
function form(about) {
  const choose = (label, list, id, chosen) =>
    h("label", {}, h("span", {}, label), h("select", { id }, list.map((x) => h("option", { value: x.name, selected: x.name === chosen, title: x.about || x.origin }, x.name))));
  const config = () => {
    const value = (id) => document.getElementById(id).value;
    return { design: value("pick-design"), env: value("pick-env"), workload: value("pick-workload"), subject: value("pick-subject"), property: value("pick-property") };
  };
  const go = (view) => (event) => {
    event.preventDefault();
    location.hash = writeLink({ view, ...config() });
  };
  return h(
    "section",
    { class: "pick", "aria-labelledby": "pick-title" },
    h("h2", { id: "pick-title" }, "Another configuration"),
    h(
      "form",
      { onsubmit: go("find") },
      choose("design", about.designs, "pick-design", "v2.6.37"),
      choose("environment", about.environments, "pick-env", "split+thp"),
      choose("workload", about.workloads, "pick-workload", "aging"),
      choose("subject", [{ name: "spec", about: "the specification" }, { name: "impl", about: "the real code, beside the specification" }], "pick-subject", "spec"),
      choose("property", about.properties.filter((p) => !p.on_graph), "pick-property", "no_deadlock"),
      h("button", { class: "button main" }, "Find the shortest violation"),
      h("button", { type: "button", class: "button", onclick: go("open") }, "Explore by hand"),
    ),
  );
}
