// The state as a tree, each value beside what it was one step before: + came, − went, ~ changed.

import { fill, h } from "./dom.js";

// What other tabs show, or what only the page needs.
const LEFT_OUT = new Set(["choices", "hash", "wait_for", "fate", "violated"]);

function nameOf(item, index) {
  if (item && typeof item === "object") {
    if (item.name !== undefined) return String(item.name);
    if (item.mm !== undefined && item.entry !== undefined) return `${item.mm} ${item.entry}`;
    if (item.from !== undefined) return `from ${item.from}`;
    if (item.level !== undefined) return String(item.level);
  }
  return String(index);
}

function isPlain(value) {
  return value === null || typeof value !== "object" || (Array.isArray(value) && value.every((v) => v === null || typeof v !== "object"));
}

function printed(value) {
  if (value === null || value === undefined) return "none";
  if (Array.isArray(value)) return value.length ? value.join(" ") : "none";
  if (typeof value === "boolean") return value ? "yes" : "no";
  return String(value);
}

// Rows `{ path, depth, key, old, now, mark, leaf }` in the order of the tree.
function flatten(before, now, path, depth, rows) {
  const entries = (value) =>
    Array.isArray(value) ? value.map((item, i) => [nameOf(item, i), item]) : Object.entries(value || {});
  const old = new Map(before && typeof before === "object" ? entries(before) : []);
  const current = new Map(now && typeof now === "object" ? entries(now) : []);
  const keys = [...new Set([...current.keys(), ...old.keys()])];
  for (const key of keys) {
    if (depth === 0 && LEFT_OUT.has(key)) continue;
    if (key === "name" || ((key === "operation" || key === "doing") && !current.get(key))) continue;
    const [a, b] = [old.get(key), current.get(key)];
    const here = [...path, key];
    const gone = !current.has(key);
    const came = !old.has(key) && before !== undefined;
    const shown = gone ? a : b;
    if (isPlain(shown) && (a === undefined || isPlain(a))) {
      const mark = gone ? "−" : came ? "+" : printed(a) === printed(b) ? "" : "~";
      rows.push({ path: here, depth, key, old: printed(a), now: printed(b), mark, leaf: true });
    } else {
      const at = rows.length;
      rows.push({ path: here, depth, key, mark: gone ? "−" : came ? "+" : "", leaf: false });
      flatten(gone ? a : came ? undefined : a, gone ? undefined : b, here, depth + 1, rows);
      if (gone) rows.slice(at + 1).forEach((row) => (row.mark = "−"));
      if (came) rows.slice(at + 1).forEach((row) => (row.mark = "+"));
    }
  }
  return rows;
}

const ORDER = ["cpus", "locks", "mms", "pgd_list"];

export function createStateTab() {
  let filter = "";
  let changesOnly = false;
  let last = null;
  const list = h("div", { class: "state-rows mono", role: "list", "aria-label": "State" });
  const input = h("input", { type: "search", placeholder: "filter: cpu0 tlb, ptl …", "aria-label": "Filter the state", oninput: () => ((filter = input.value), redraw()) });
  const box = h("input", { type: "checkbox", onchange: () => ((changesOnly = box.checked), redraw()) });
  const root = h("div", {}, h("div", { class: "tab-tools" }, input, h("label", {}, box, " changes only")), list);

  function redraw() {
    if (!last) return;
    const [before, now] = last;
    const sorted = (state) => state && Object.fromEntries([...ORDER.filter((k) => k in state), ...Object.keys(state).filter((k) => !ORDER.includes(k))].map((k) => [k, k === "cpus" ? state[k].map((cpu, i) => ({ name: `CPU${i}`, ...cpu })) : state[k]]));
    const rows = flatten(sorted(before), sorted(now), [], 0, []);
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = rows.filter((row) => {
      if (!row.leaf) return false;
      if (changesOnly && !row.mark) return false;
      const text = `${row.path.join(" ")} ${row.now}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
    // A branch is shown when a leaf below it is.
    const branches = new Set(wanted.flatMap((row) => row.path.map((_, i) => row.path.slice(0, i + 1).join("/"))));
    const shown = rows.filter((row) => branches.has(row.path.join("/")) && (!row.leaf || wanted.includes(row)));
    fill(
      list,
      shown.length
        ? shown.map((row) =>
            h(
              "div",
              { role: "listitem", class: `state-row depth${Math.min(row.depth, 4)} ${{ "+": "came", "−": "went", "~": "changed" }[row.mark] || ""}` },
              h("span", { class: "mark" }, row.mark || "\u00a0"),
              h("span", { class: row.leaf ? "key" : "key twig" }, row.key),
              row.leaf && row.mark === "~" && [h("del", {}, row.old), h("span", { "aria-hidden": "true" }, "→"), h("ins", {}, row.now)],
              row.leaf && row.mark === "−" && h("del", {}, row.old),
              row.leaf && row.mark === "+" && h("ins", {}, row.now),
              row.leaf && !row.mark && h("span", { class: "value" }, row.now),
            ),
          )
        : h("p", { class: "empty" }, changesOnly && !filter ? "Nothing changed in this step." : "Nothing in this state matches."),
    );
  }

  return {
    root,
    show(run, at) {
      last = [at > 0 ? run.states[at - 1] : undefined, run.states[at]];
      redraw();
    },
    focusFilter: () => input.focus(),
  };
}
