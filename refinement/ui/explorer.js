// The explorer: one run, a position in it, and everything that is known about that position.

import { getJson, stream } from "./api.js";
import { banner } from "./banner.js";
import { drawBar } from "./bar.js";
import { createBranches } from "./branches.js";
import { createChoices, fateMark } from "./choices.js";
import { prepare, sentencesAt } from "./document.js";
import { count, fill, h, say } from "./dom.js";
import { createInspector } from "./inspector.js";
import { setKeys, showKeys } from "./keys.js";
import { createLanes } from "./lanes.js";
import { legend } from "./legend.js";
import { readLink, runLink, writeLink } from "./link.js";
import { problem } from "./problem.js";
import { createScrubber } from "./scrubber.js";
import { copyText, showShare, wholeLink } from "./share.js";
import { toggleTheme } from "./theme.js";
import { eventRows, newViolations } from "./timeline.js";

// `context`: `about`, `offline`. Returns how to close it and how to follow a changed link.
export function openExplorer(place, context, link, embedded) {
  const { about, offline } = context;
  let run = null;
  let at = 0;
  let focusCpu = null;
  let hits = [];
  let stopFates = null;
  let fatesFor = null;
  let loading = 0;
  let linkTimer = 0;
  let choiceTimer = 0;
  let closed = false;

  const zone = (name, label) => h("section", { class: `zone ${name}`, "aria-label": label });
  const left = zone("left", "Choices and branches");
  const centre = zone("centre", "Lanes");
  const right = zone("right", "Inspector");
  const below = zone("below", "Scrubber");
  const fateLine = h("div", { class: "fate-line quiet" });
  const choicesPlace = h("div", {});
  const branchesPlace = h("div", {});
  const lanesPlace = h("div", { class: "lanes-place" });
  const verdictLine = h("div", { class: "verdict-line", role: "region", "aria-label": "What is wrong at this step", "aria-live": "polite", tabindex: 0 });
  const errors = h("div", {});
  const search = h("input", { type: "search", id: "search", placeholder: "search steps: cpu1 ptl", "aria-label": "Search the run by CPU, lock or label" });
  const found = h("span", { class: "found quiet" });
  fill(
    left,
    h("h2", {}, "What can happen next"),
    fateLine,
    choicesPlace,
    h("h2", {}, "Explored branches"),
    branchesPlace,
    legend(),
  );
  fill(centre, errors, lanesPlace, verdictLine);
  fill(place, h("div", { class: "explorer" }, left, centre, right, below));
  const choices = createChoices(choicesPlace, { take, offline });
  const branches = createBranches(branchesPlace, { open: (schedule, row) => load({ schedule, at: row }, "push") });
  const lanes = createLanes(lanesPlace, { onpick: go, label: "Lanes of the run: one column per CPU, time runs down. The tab Columns has the same as text." });
  const inspector = createInspector(right, { onpick: go, properties: () => about.properties || [] });
  const scrubber = createScrubber(below, { onpick: go, onrandom: offline ? null : randomRun });

  search.addEventListener("input", () => runSearch(false));
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    runSearch(true, event.shiftKey);
  });

  // Loads a run. `how` says what becomes of the address: `push`, `replace`, or `keep`.
  async function load(wanted, how) {
    const mine = ++loading;
    fill(errors);
    place.classList.remove("failed");
    place.classList.add("busy");
    try {
      const answer = prepare(embedded || (await getJson("run", { subject: wanted.subject || run?.subject || "spec", schedule: wanted.schedule, at: wanted.at, hashes: wanted.h })));
      if (mine !== loading || closed) return;
      branches.add(answer);
      show(answer, wanted.at === undefined || wanted.at === "" ? answer.states.length - 1 : Number(wanted.at));
      checkHashes(answer);
      if (how === "push") history.pushState(null, "", runLink(run, at));
      else if (how === "replace") history.replaceState(null, "", runLink(run, at));
      wantFates();
    } catch (error) {
      if (mine !== loading || closed) return;
      // What was on screen does not belong to this address.
      place.classList.add("failed");
      fill(errors, problem(error, () => load(wanted, how)));
    } finally {
      if (mine === loading) place.classList.remove("busy");
    }
  }

  // A link says what it led to when it was made.
  function checkHashes(answer) {
    const m = answer.mismatch;
    const from = m && (m.state > 0 ? `step ${m.state}` : "the start");
    const text = m && (m.found ? `state ${m.expected} then, ${m.found} now` : "the run does not get there any more");
    banner(m ? `This link means something else now: from ${from} on the run is not the one that was shared (${text}).` : null, "mismatch", "bad");
    const r = answer.refused;
    banner(r ? `The schedule goes further than the run: ${r.step ? `step ${r.step}, ${r.action}, ` : ""}${r.guard}.` : answer.misfit || null, "refused", "bad");
  }

  // The same for a link to the run that is on screen.
  function mismatch(hashes) {
    const wanted = hashes ? hashes.split(".") : [];
    const n = wanted.findIndex((hash, i) => !String(run.states[i]?.hash ?? "").startsWith(hash));
    return n < 0 ? null : { state: n, expected: wanted[n], found: run.states[n]?.hash ?? null };
  }

  function show(answer, row) {
    run = answer;
    at = Math.max(0, Math.min(row, run.states.length - 1));
    document.title = `${title(run)} · shootdown`;
    hits = [];
    found.textContent = "";
    lanes.show(run, at);
    lanes.focus(focusCpu);
    bar();
    position();
    // How long the first picture took, from the start of the navigation.
    document.documentElement.dataset.drawn ||= String(Math.round(performance.now()));
  }

  function bar() {
    const c = run.config;
    drawBar({
      home: !offline,
      where: [
        ...(offline ? [h("strong", { class: "mono" }, c.design), h("span", { class: "quiet mono", title: c.environment_text }, c.environment_name || c.environment_text), h("span", { class: "quiet mono", title: "workload" }, c.workload)] : selectors(c)),
        h("span", { class: "chip", title: "what is explored" }, run.subject === "impl" ? "implementation" : "specification"),
        offline && h("span", { class: "chip" }, "one-file copy"),
      ],
      actions: [
        h("span", { class: "search" }, search, found),
        !offline && ["Compare", "c", compare],
        ["Share", "s", () => showShare({ run, at, offline })],
      ].filter(Boolean),
    });
  }

  // Another design, environment or workload: the same question, asked of that.
  function selectors(c) {
    const picked = { design: c.design, env: c.environment_name || "", workload: c.workload };
    const list = (name, label, all) => {
      const here = picked[name];
      const names = all.map((x) => x.name);
      return h(
        "select",
        { class: "mono where-pick", "aria-label": label, title: label, onchange: (event) => other({ ...picked, [name]: event.target.value }) },
        names.includes(here) ? null : h("option", { value: here, selected: true }, here || c.environment_text),
        all.map((x) => h("option", { value: x.name, selected: x.name === here, title: x.about || x.origin }, x.name)),
      );
    };
    return [list("design", "Design", about.designs), list("env", "Environment", about.environments), list("workload", "Workload", about.workloads)];
  }

  // What the run at hand violates is looked for there; a run that violates nothing is begun anew.
  function other(config) {
    if (!config.env) {
      say("this environment has no name: pick one first");
      return;
    }
    const bad = newViolations(run).flatMap(([, names]) => names);
    const property = bad.includes("no_deadlock") ? "no_deadlock" : bad[0];
    location.hash = writeLink({ view: property ? "find" : "open", ...config, subject: run.subject, property });
  }

  // By chance from here to the end, or as far as sixty steps go: statements and interrupts, page walks only where nothing
  // else is possible.
  async function randomRun() {
    const mine = run;
    let [answer, row] = [run, at];
    place.classList.add("busy");
    try {
      for (let n = 0; n < 60; n++) {
        const state = answer.states[row];
        let list = state.choices || (answer.at === row ? answer.choices : null);
        if (!list) {
          answer = prepare(await getJson("run", { subject: mine.subject, schedule: answer.schedule, at: row }));
          list = answer.states[row].choices || answer.choices;
        }
        const possible = list.filter((c) => c.enabled && c.schedule);
        const statements = possible.filter((c) => c.kind !== "fill");
        if (!statements.length) break;
        const choice = statements[Math.floor(Math.random() * statements.length)];
        row += 1;
        answer = prepare(await getJson("run", { subject: mine.subject, schedule: choice.schedule, at: row }));
        // Another run is on screen by now; the same one with its fates is not another.
        if (closed || run.schedule !== mine.schedule) return;
      }
      await load({ schedule: answer.schedule, at: row }, "push");
      say(`a random run of ${run.states.length - 1} steps`);
    } catch (error) {
      if (!closed) fill(errors, problem(error, randomRun));
    } finally {
      place.classList.remove("busy");
    }
  }

  // A mark that says "no deadlock follows" must not stand beside another violation as if all were well.
  function aboutDeadlock() {
    const bad = newViolations(run).flatMap(([, names]) => names);
    return !bad.length || bad.includes("no_deadlock");
  }

  function position() {
    const state = run.states[at];
    inspector.show(run, at);
    scrubber.show(run, at);
    choices.show(state.choices || (at === run.at ? run.choices : null), state, aboutDeadlock());
    if (!state.choices && !offline) wantChoices();
    const bad = state.violated || [];
    const step = at ? run.steps[at - 1] : null;
    const told = sentencesAt(run, at);
    const stuck = bad.includes("no_deadlock");
    const doomed = run.doom !== null && run.doom !== undefined && at >= run.doom;
    const lines = [
      told.slice(0, 2).map((v) => h("p", { class: v.property === "no_deadlock" ? "sentence bad" : "sentence" }, h("strong", { class: "bad-text" }, `✗ ${v.title}: `), v.sentence)),
      !stuck && doomed && h("p", { class: "sentence bad" }, h("strong", {}, "▼ "), `From here on the deadlock cannot be avoided (since step ${run.doom}).`),
      bad.length > told.slice(0, 2).length && h("p", { class: "sentence" }, h("span", { class: "bad-text" }, "✗ "), "violated in this state: ", h("span", { class: "mono" }, bad.join(", "))),
      h("p", { class: "sentence quiet" }, step ? [`step ${at}, CPU${step.cpu}: `, h("span", { class: "mono" }, step.source), step.note ? ` — ${step.note}` : "", " ", aboutDeadlock() && fateMark(state.fate)] : ["start ", aboutDeadlock() && fateMark(state.fate)]),
    ];
    fill(verdictLine, lines);
    clearTimeout(linkTimer);
    // Not over a link to another view that was just followed: its event is still to come.
    if (!offline) linkTimer = setTimeout(() => !closed && run && readLink(location.hash).view === "run" && history.replaceState(null, "", runLink(run, at)), 200);
  }

  function go(row) {
    if (!run) return;
    const next = Math.max(0, Math.min(row, run.states.length - 1));
    if (next === at) return;
    at = next;
    lanes.move(at);
    position();
  }

  // Long runs come with the choices of one state only.
  function wantChoices() {
    clearTimeout(choiceTimer);
    const [mine, row] = [run, at];
    choiceTimer = setTimeout(async () => {
      try {
        const answer = await getJson("run", { subject: mine.subject, schedule: mine.schedule, at: row });
        if (closed || mine !== run) return;
        mine.states[row].choices = answer.states[row].choices || answer.choices;
        if (row === at) choices.show(mine.states[row].choices, mine.states[row], aboutDeadlock());
      } catch (error) {
        if (!closed && mine === run) fill(errors, problem(error));
      }
    }, 120);
  }

  function take(choice) {
    if (choice.taken) return go(at + 1);
    if (choice.schedule) load({ schedule: choice.schedule, at: at + 1 }, "push");
  }

  // Which states lead to a deadlock is known once the whole graph is: asked for once per
  // configuration, in the background.
  function wantFates() {
    if (offline || !run) return;
    const config = run.config.schedule;
    if (run.fates_known) {
      if (!aboutDeadlock()) {
        fill(fateLine, "This run violates something else than no_deadlock: whether a deadlock follows is not marked.");
        return;
      }
      fill(fateLine, h("span", {}, "deadlock follows: "), ["always", "maybe", "never"].map((f) => h("span", { class: "fate-key" }, fateMark(f))));
      return;
    }
    if (!config || fatesFor === config) return;
    fatesFor = config;
    if (stopFates) stopFates();
    fill(fateLine, "Which choices lead to a deadlock? Looking …");
    stopFates = stream(
      "fates",
      { subject: run.subject, config },
      {
        waiting: () => fill(fateLine, "Which choices lead to a deadlock? Waiting: another search has its turn …"),
        progress: (p) => fill(fateLine, `Which choices lead to a deadlock? ${count(p.states)} states so far …`),
        done: async () => {
          if (closed || !run) return;
          const mine = run;
          const answer = prepare(await getJson("run", { subject: mine.subject, schedule: mine.schedule, at }));
          if (closed || mine !== run) return;
          run = answer;
          lanes.show(run, at);
          position();
          wantFates();
        },
        problem: (p) => fill(fateLine, h("span", {}, `Whether a deadlock follows is not known: ${p.message}`)),
      },
      ["done", "problem"],
    );
  }

  function runSearch(jump, back) {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    hits = !words.length
      ? []
      : run.steps.flatMap((step, i) => {
          const cpu = run.states[i + 1].cpus[step.cpu];
          const text = [`cpu${step.cpu}`, step.source, step.function, step.program, step.note, step.operation, step.level, ...cpu.holds, cpu.waits?.on, cpu.waits?.text].filter(Boolean).join(" ").toLowerCase();
          return words.every((word) => text.includes(word)) ? [i + 1] : [];
        });
    lanes.mark(hits);
    if (jump && hits.length) go(back ? (hits.findLast((row) => row < at) ?? hits.at(-1)) : (hits.find((row) => row > at) ?? hits[0]));
    found.textContent = words.length ? (hits.length ? `${hits.indexOf(at) + 1 || "–"}/${hits.length}` : "none") : "";
  }

  function event(by) {
    const rows = eventRows(run, focusCpu);
    const next = by > 0 ? rows.find((row) => row > at) : rows.findLast((row) => row < at);
    if (next !== undefined) go(next);
    else say("no further event");
  }

  function compare() {
    const beside = run.config.design === "tracked" ? "v2.6.37" : "tracked";
    location.hash = writeLink({ view: "compare", subject: run.subject, schedule: run.schedule, with: beside, at });
  }

  function focusNext() {
    const n = run.states[0].cpus.length;
    focusCpu = focusCpu === null ? 0 : focusCpu + 1 < n ? focusCpu + 1 : null;
    lanes.focus(focusCpu);
    say(focusCpu === null ? "all CPUs" : `CPU${focusCpu} in focus`);
  }

  const key = (keys, shown, what, act) => ({ keys, shown, what, run: () => run && act() });
  setKeys([
    {
      name: "Move",
      rows: [
        key(["ArrowLeft", "h"], ["←"], "one step back", () => go(at - 1)),
        key(["ArrowRight", "l"], ["→"], "one step on", () => go(at + 1)),
        key(["PageUp"], ["PgUp"], "ten steps back", () => go(at - 10)),
        key(["PageDown"], ["PgDn"], "ten steps on", () => go(at + 10)),
        key(["Home"], ["Home"], "start of the run", () => go(0)),
        key(["End"], ["End"], "end of the run", () => go(run.states.length - 1)),
        key(["n"], ["n"], "next step that matters, of the CPU in focus", () => event(1)),
        key(["p"], ["p"], "previous one", () => event(-1)),
        key(["f"], ["f"], "focus the next CPU, or all", focusNext),
        key(["v"], ["v"], "next violation", () => {
          const rows = newViolations(run).map(([row]) => row);
          if (rows.length) go(rows.find((row) => row > at) ?? rows[0]);
        }),
        key(["u"], ["u"], "the step after which the deadlock cannot be avoided", () => run.doom !== null && run.doom !== undefined && go(run.doom)),
      ],
    },
    {
      name: "Choose",
      rows: [
        key(["ArrowUp", "k"], ["↑"], "previous choice", () => choices.move(-1)),
        key(["ArrowDown", "j"], ["↓"], "next choice", () => choices.move(1)),
        key(["Enter"], ["Enter"], "take the highlighted choice", () => choices.takeHighlighted()),
        key(["["], ["["], "previous branch", () => branches.step(-1)),
        key(["]"], ["]"], "next branch", () => branches.step(1)),
      ],
    },
    {
      name: "Look",
      rows: [
        ...["waits", "state", "columns", "properties", "source"].map((name, n) => key([String(n + 1)], [String(n + 1)], `tab ${name[0].toUpperCase()}${name.slice(1)}`, () => inspector.nth(n))),
        key(["/"], ["/"], "search the run; Enter goes to the next hit", () => search.focus()),
        key(["g"], ["g"], "filter the state", () => inspector.filterState()),
        !offline && key(["c"], ["c"], "compare with another design", compare),
      ].filter(Boolean),
    },
    {
      name: "Else",
      rows: [
        key(["s"], ["s"], "share", () => showShare({ run, at, offline })),
        !offline && key(["y"], ["y"], "copy the link", () => copyText(wholeLink(run, at), "Link", null)),
        key(["d"], ["d"], "dark or light", toggleTheme),
        key(["?"], ["?"], "this list", showKeys),
      ].filter(Boolean),
    },
  ]);

  if (link.tab) inspector.select(link.tab);
  load(link, embedded ? "keep" : "replace");

  return {
    follow(next) {
      if (run && next.schedule === run.schedule && (next.subject || "spec") === run.subject) {
        go(next.at === undefined ? run.states.length - 1 : Number(next.at));
        checkHashes({ ...run, mismatch: mismatch(next.h) });
      } else load(next, "keep");
    },
    close() {
      closed = true;
      clearTimeout(linkTimer);
      clearTimeout(choiceTimer);
      if (stopFates) stopFates();
      lanes.close();
      scrubber.close();
      banner(null, "mismatch");
      banner(null, "refused");
    },
  };
}

export function title(run) {
  const bad = newViolations(run).flatMap(([, names]) => names);
  const what = bad.includes("no_deadlock") ? "deadlock" : bad[0] || `${run.steps.length} steps`;
  return `${run.config.design}: ${what}`;
}
