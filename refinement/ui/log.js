// The console log of a hung machine: the conclusion, who waits for whom, and each CPU's stack beside the lines that say so.

import { getJson, postJson } from "./api.js";
import { drawBar } from "./bar.js";
import { fill, h, say, sentence } from "./dom.js";
import { openDropped, takeDropped } from "./dropped.js";
import { setKeys, showKeys } from "./keys.js";
import { problem } from "./problem.js";
import { toggleTheme } from "./theme.js";
import { drawWaits } from "./waits.js";

const WORDS = {
  cycle: ["✗", "bad-text", "A cycle: every wait of it is in the log."],
  "cycle if": ["✗", "bad-text", "A cycle, if one fact holds that the log does not print."],
  "no cycle": ["✓", "good-text", "No cycle: every wait ends, for a reason in the log."],
  "not decidable": ["◔", "rule-text", "Not decidable from this log."],
};

// Lines of the log shown around one that is cited.
const AROUND = 6;

export function openLog(place, context, link) {
  let closed = false;
  let lines = null;
  const input = h("input", { type: "file", id: "log-file", "aria-label": "Console log", onchange: () => input.files[0] && take(input.files[0]) });
  const answer = h("div", { class: "log-answer" });
  const excerpt = h("pre", { class: "excerpt", tabindex: 0, role: "region", "aria-label": "Lines of the log", hidden: true });
  fill(place, h("div", { class: "log" }, h("h1", {}, "A machine hangs: what does its log say?"), h("p", {}, "Drop a console log or a trace anywhere on this page, or open one: ", input, h("span", { class: "quiet" }, " dmesg, serial console, journald, pstore, crash, gdb, or what ftrace, trace-cmd, perf and bpftrace print; gzip, xz and zstd are undone. It is read by this server, on this machine, and not kept.")), answer, excerpt));
  drawBar({ where: [h("strong", {}, "Console log")], actions: [] });
  setKeys([{ name: "Keys", rows: [{ keys: ["o"], shown: ["o"], what: "open a log", run: () => input.click() }, { keys: ["d"], shown: ["d"], what: "dark or light", run: toggleTheme }, { keys: ["?"], shown: ["?"], what: "this list", run: showKeys }] }]);

  async function take(file) {
    fill(answer, h("p", { class: "loading" }, `Reading ${file.name} …`));
    excerpt.hidden = true;
    try {
      const bytes = await file.arrayBuffer();
      const d = await postJson("diagnose", { name: file.name }, bytes);
      if (closed) return;
      // Only a log that is no archive can be shown by its lines.
      lines = new TextDecoder().decode(bytes).split("\n");
      if (lines[0].includes("\u0000") || /^(\u001f|\ufffd7zXZ|\(\ufffd)/.test(lines[0])) lines = null;
      show(file.name, d);
    } catch (error) {
      if (!closed) fill(answer, problem(error));
    }
  }

  // A line of the log, as a button that shows it.
  function cited(line) {
    if (!line) return "";
    return lines ? h("button", { type: "button", class: "plain cite", onclick: () => look(line) }, `line ${line}`) : h("span", { class: "quiet" }, `line ${line}`);
  }

  function look(line) {
    const from = Math.max(1, line - AROUND);
    const part = lines.slice(from - 1, line + AROUND);
    fill(excerpt, part.map((text, n) => h("span", { class: from + n === line ? "cited-line" : "" }, `${String(from + n).padStart(6)}  ${text}\n`)));
    excerpt.hidden = false;
    excerpt.scrollIntoView({ block: "nearest" });
  }

  function show(name, d) {
    const [glyph, cls, word] = WORDS[d.word];
    document.title = `${name}: ${d.word} · shootdown`;
    fill(
      answer,
      h("p", { class: `result-word ${cls}`, role: "status" }, `${glyph} ${word}`, " ", h("span", { class: "quiet mono" }, name)),
      h("ul", { class: "log-facts" }, d.sentences.map((f) => h("li", {}, sentence(f.text), " ", cited(f.line)))),
      d.get.length > 0 && [h("h2", {}, "To get"), h("ul", { class: "log-get" }, d.get.map((g) => h("li", {}, g)))],
      d.shape && h("p", {}, h("strong", {}, "Known as "), d.shape),
      d.ftrace && h("p", {}, `The dump of ftrace at line ${d.ftrace} was read along.`),
      d.incomplete.map((why) => h("p", { class: "rule-text" }, `△ ${why}`)),
      d.scenario && h("p", {}, h("button", { type: "button", class: "button main", id: "as-scenario", onclick: () => asScenario(name, d.scenario) }, "Go on from it as a scenario"), h("span", { class: "quiet" }, " the hang in the scenario language: change it, check it again")),
      d.situations.length > 0 &&
        h(
          "div",
          { class: "log-picture" },
          d.wait_for.edges.length > 0 && h("section", { class: "log-graph", "aria-label": "Who waits for whom" }, h("h2", {}, "Who waits for whom"), drawWaits(d.wait_for, d.situations.map((s) => ({ name: s.name, irqs_on: s.irqs_on !== false })))),
          h("section", { class: "log-lanes", tabindex: 0, role: "region", "aria-label": "CPUs side by side" }, d.situations.map(lane)),
        ),
      d.others > 0 && h("p", { class: "quiet" }, `${d.others} more run, idle or sleep for something else.`),
      h("details", {}, h("summary", {}, "As the command prints it"), h("pre", { class: "diff", tabindex: 0, "aria-label": "The printed report" }, d.report)),
    );
    say(word);
  }

  // One CPU: who, what it waits for, and its stack, outermost first, as time ran.
  function lane(s) {
    return h(
      "div",
      { class: s.in_cycle ? "log-lane stuck" : "log-lane" },
      h("div", { class: "head-top" }, h("strong", {}, s.name), s.irqs_on !== null && h("span", { class: s.irqs_on ? "chip" : "chip off" }, s.irqs_on ? "IF=1" : "IF=0"), s.context !== "task" && h("span", { class: "chip irq" }, s.context), h("span", { class: "quiet mono" }, s.task)),
      h("ol", { class: "stack mono" }, [...s.frames].reverse().map((f) => (f.text ? h("li", {}, f.text, " ", cited(f.line)) : h("li", { class: "interrupted" }, "— interrupted —")))),
      s.holds.map((x) => h("p", { class: "log-holds" }, h("strong", {}, "holds "), x.text, " ", cited(x.line))),
      h("p", { class: s.in_cycle ? "bad-text" : "" }, s.said),
    );
  }

  function asScenario(name, text) {
    try {
      sessionStorage.setItem("shootdown-scenario", JSON.stringify({ name: `${name.replace(/\.[^.]*$/, "")}.sd`, text }));
    } catch {
      return;
    }
    location.hash = "#/scenario";
  }

  const allow = (event) => event.preventDefault();
  const dropped = async (event) => {
    event.preventDefault();
    const file = event.dataTransfer?.files[0];
    if (!file) return;
    const wrong = await openDropped(file, (view) => (view === "log" ? take(takeDropped()) : (location.hash = `#/${view}`)));
    if (wrong) fill(answer, problem(wrong));
  };
  place.addEventListener("dragover", allow);
  place.addEventListener("drop", dropped);
  // The recording that comes with the program.
  async function recorded() {
    fill(answer, h("p", { class: "loading" }, "Reading the recording …"));
    try {
      const d = await getJson("recorded");
      lines = null;
      if (!closed) show("A Linux 6.12 whose pgd_lock was made irqsave again", d);
    } catch (error) {
      if (!closed) fill(answer, problem(error));
    }
  }

  const waiting = takeDropped();
  if (waiting) take(waiting);
  else if (link && link.recorded) recorded();

  return {
    follow: () => {
      const next = takeDropped();
      if (next) take(next);
    },
    close() {
      closed = true;
      place.removeEventListener("dragover", allow);
      place.removeEventListener("drop", dropped);
    },
  };
}
