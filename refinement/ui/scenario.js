// Your own lock: a scenario as text beside what a check of it came to. The text is the reader's; the server keeps nothing.

import { getJson, getText, postEvents, postJson } from "./api.js";
import { banner } from "./banner.js";
import { drawBar } from "./bar.js";
import { fill, h, say } from "./dom.js";
import { takeDropped } from "./dropped.js";
import { createEditor } from "./editor.js";
import { showGallery } from "./gallery.js";
import { setKeys, showKeys } from "./keys.js";
import { writeLink } from "./link.js";
import { problem } from "./problem.js";
import { drawProblems } from "./problems.js";
import { createResult, summary } from "./result.js";
import { copyText } from "./share.js";
import { LONGEST_LINK, fold, unfold } from "./textlink.js";
import { toggleTheme } from "./theme.js";

const DRAFT = "shootdown-scenario";

function stored() {
  try {
    return JSON.parse(sessionStorage.getItem(DRAFT));
  } catch {
    return null;
  }
}

function store(draft) {
  try {
    sessionStorage.setItem(DRAFT, JSON.stringify(draft));
  } catch {
    // Then a reload begins anew.
  }
}

export function openScenario(place, context, link) {
  let closed = false;
  let about = null;
  let editor = null;
  let looking = null;
  let checking = null;
  let lookTimer = 0;
  let checkedText = null;
  let claimed = null;
  const name = h("input", { id: "scenario-name", class: "mono", value: "scenario.sd", "aria-label": "Name of the file", maxlength: 80, spellcheck: "false", onchange: keep });
  const open = h("input", { type: "file", accept: ".sd,text/plain", class: "unseen", tabindex: -1, "aria-hidden": "true", onchange: () => open.files[0] && load(open.files[0]) });
  const told = h("span", { class: "quiet told-line", role: "status" });
  const text = h("div", { class: "editor-place" });
  const problems = h("div", { class: "problems-place" });
  const errors = h("div", {});
  // Apart from the rest: it goes with the next answer, not with what a button said.
  const lookError = h("div", {});
  const side = h("section", { class: "scenario-side", "aria-label": "What the check came to" });
  const foot = h("section", { class: "zone below", "aria-label": "Steps" });
  const checkButton = h("button", { type: "button", class: "button main", id: "check", title: "Check (Ctrl+Enter)", onclick: check }, "Check");
  const button = (label, act, title) => h("button", { type: "button", class: "button", title, onclick: act }, label);
  fill(
    place,
    h(
      "div",
      { class: "scenario" },
      h(
        "section",
        { class: "scenario-text", "aria-label": "Scenario" },
        h("h1", { class: "unseen" }, "Ask about your own lock"),
        h("div", { class: "tools" }, name, checkButton, button("Gallery", gallery, "Scenarios that come along"), button("Open", () => open.click(), "Open a file"), open, button("Save", save, "Save as a file"), button("Share", share, "Copy a link that carries the text"), h("a", { class: "button", id: "to-compare", href: "#/beside" , onclick: () => keep() }, "Compare")),
        told,
        errors,
        lookError,
        text,
        problems,
      ),
      side,
      foot,
    ),
  );
  drawBar({ where: [h("strong", {}, "Ask about your own lock")], actions: [] });
  const result = createResult(side, foot, { onmark: (lines, line) => editor?.mark(lines, line) });
  const run = (act) => () => act();
  setKeys([
    {
      name: "Run",
      rows: [
        { keys: ["ArrowLeft"], shown: ["←"], what: "one step back", run: run(() => result.by(-1)) },
        { keys: ["ArrowRight"], shown: ["→"], what: "one step on", run: run(() => result.by(1)) },
        { keys: ["Home"], shown: ["Home"], what: "start of the run", run: run(() => result.by(-Infinity)) },
        { keys: ["End"], shown: ["End"], what: "end of the run", run: run(() => result.by(Infinity)) },
        ...[1, 2, 3, 4].map((n) => ({ keys: [String(n)], shown: [String(n)], what: `tab ${["Lanes", "Waits", "Values", "Order"][n - 1]}`, run: () => result.nth(n - 1) })),
      ],
    },
    {
      name: "Text",
      rows: [
        { keys: ["e"], shown: ["e"], what: "into the text; Esc leaves it", run: () => editor?.area.focus() },
        { keys: ["c"], shown: ["c", "Ctrl+Enter"], what: "check", run: run(check) },
        { keys: ["g"], shown: ["g"], what: "gallery", run: run(gallery) },
        { keys: ["s"], shown: ["s"], what: "copy a link", run: run(share) },
        { keys: ["d"], shown: ["d"], what: "dark or light", run: toggleTheme },
        { keys: ["?"], shown: ["?"], what: "this list", run: showKeys },
      ],
    },
  ]);

  function keep() {
    if (editor) store({ name: name.value, text: editor.text() });
  }

  // Another text, from wherever.
  function take(newName, newText, andCheck) {
    name.value = newName;
    editor.set(newText);
    checkedText = null;
    result.clear();
    keep();
    document.title = `${newName} · shootdown`;
    if (andCheck) check();
    else look();
  }

  function changed() {
    keep();
    if (checkedText !== null) result.stale(editor.text() !== checkedText);
    clearTimeout(lookTimer);
    lookTimer = setTimeout(look, 250);
  }

  async function look() {
    looking?.abort();
    const mine = (looking = new AbortController());
    const of = editor.text();
    try {
      const answer = await postJson("scenario/look", { name: name.value }, of, mine.signal);
      if (closed || mine !== looking || of !== editor.text()) return;
      fill(lookError);
      show(answer);
    } catch (error) {
      if (error.name !== "AbortError" && !closed) fill(lookError, problem(error, look));
    }
  }

  function show(answer) {
    editor.diagnose(answer.diagnostics);
    drawProblems(problems, answer, (start) => editor.goTo(start));
    result.mark();
  }

  async function check() {
    if (!editor) return;
    clearTimeout(lookTimer);
    looking?.abort();
    checking?.abort();
    const mine = (checking = new AbortController());
    const of = editor.text();
    const begun = performance.now();
    const tick = setInterval(() => fill(told, `checking, ${((performance.now() - begun) / 1000).toFixed(0)} s … `, h("button", { type: "button", class: "plain", onclick: () => mine.abort() }, "Stop")), 500);
    fill(errors);
    fill(told, "checking …");
    checkButton.setAttribute("aria-busy", "true");
    try {
      const answer = await postEvents("scenario/check", { name: name.value }, of, mine.signal, "checked");
      if (closed || mine !== checking) return;
      checkedText = of;
      if (of === editor.text()) show(answer.text);
      result.show(answer.result, answer.text, claimed);
      result.stale(of !== editor.text());
      fill(told);
      const sum = answer.result ? answer.result.sentence : "it cannot be read: nothing was checked";
      say(sum);
      const now = summary(answer);
      banner(claimed && claimed.v && claimed.v !== now ? `This link means something else now: it was shared with “${claimed.v}”, and this program says “${now}”.` : null, "mismatch", "bad");
      claimed = null;
    } catch (error) {
      if (closed || mine !== checking) return;
      fill(told, error.name === "AbortError" ? "stopped" : "");
      if (error.name !== "AbortError") fill(errors, problem(error, check));
    } finally {
      clearInterval(tick);
      if (mine === checking) checkButton.removeAttribute("aria-busy");
    }
  }

  function gallery() {
    showGallery(about.corpus, {
      open: async (entry) => {
        location.hash = writeLink({ view: "scenario", corpus: entry.name });
      },
      compare: (before, after) => {
        location.hash = writeLink({ view: "beside", before, after });
      },
      template: () => take("scenario.sd", about.template, true),
    });
  }

  async function load(file) {
    open.value = "";
    if (file.size > about.largest) {
      fill(errors, problem({ message: `${file.name} has ${file.size} bytes; a scenario has at most ${about.largest}.`, hint: "Is it a console log? The start page takes those." }));
      return;
    }
    const bytes = await file.arrayBuffer();
    try {
      take(file.name, new TextDecoder("utf-8", { fatal: true }).decode(bytes), true);
      fill(errors);
    } catch {
      fill(errors, problem({ message: `${file.name} is no text: it is not UTF-8.`, hint: "A scenario is a text file that usually ends in .sd." }));
    }
  }

  function save() {
    const url = URL.createObjectURL(new Blob([editor.text()], { type: "text/plain" }));
    const a = h("a", { href: url, download: name.value || "scenario.sd" });
    a.click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
    fill(told, `saved as ${a.download}`);
  }

  async function share() {
    const part = await fold(editor.text());
    if (part.z.length > LONGEST_LINK) {
      fill(errors, problem({ message: `This text is too long for a link: ${part.z.length} characters, at most ${LONGEST_LINK}.`, hint: "Save it and send the file." }));
      return;
    }
    const now = checkedText === editor.text() ? result.told() : {};
    const whole = location.href.split("#")[0] + writeLink({ view: "scenario", name: name.value, ...part, ...now });
    await copyText(whole, "Link", told);
  }

  // What a link asks for: a text of its own, one of the corpus, or what was typed last.
  async function follow(next) {
    banner(null, "mismatch");
    claimed = null;
    try {
      const dropped = takeDropped();
      if (dropped) load(dropped);
      else if (next.z) {
        const shared = await unfold(next.z, next.h || "");
        claimed = { v: next.v, p: next.p, at: next.at };
        take(next.name || "scenario.sd", shared, true);
      } else if (next.corpus) take(next.corpus, await getText("scenario/corpus", { name: next.corpus }), true);
      else {
        const draft = stored();
        take(draft?.name || "scenario.sd", draft?.text || about.template, true);
      }
    } catch (error) {
      // Nothing of what was on screen belongs to this link.
      editor.set("");
      result.clear();
      drawProblems(problems, null);
      banner(error.message, "mismatch", "bad");
    }
  }

  place.addEventListener("dragover", allow);
  place.addEventListener("drop", dropped);

  function allow(event) {
    event.preventDefault();
  }

  function dropped(event) {
    event.preventDefault();
    const file = event.dataTransfer?.files[0];
    if (file) load(file);
  }

  (async () => {
    try {
      about = await getJson("scenario/editor");
    } catch (error) {
      if (!closed) fill(errors, problem(error));
      return;
    }
    if (closed) return;
    editor = createEditor(text, { label: "Scenario. Escape leaves it, Ctrl and Enter check it.", id: "scenario-area", oninput: changed, oncheck: check, words: { keywords: about.keywords, calls: about.calls.map((c) => c.name) } });
    await follow(link);
  })();

  return {
    follow: (next) => editor && follow(next),
    close() {
      closed = true;
      clearTimeout(lookTimer);
      looking?.abort();
      checking?.abort();
      place.removeEventListener("dragover", allow);
      place.removeEventListener("drop", dropped);
      result.close();
      banner(null, "mismatch");
    },
  };
}
