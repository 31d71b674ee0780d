// Runs worth seeing, each found anew by the server, and what the short words of the matrix mean.

import { h } from "./dom.js";
import { writeLink } from "./link.js";

const STORIES = [
  ["2011: the hang", "One CPU awaits acknowledgements under page_table_lock, the other spins for it with interrupts off.", "v2.6.37", "nosplit+thp", "aging", "no_deadlock"],
  ["Three CPUs: the walker is not even a target", "A third CPU forks, and waits for pgd_lock with interrupts off.", "v2.6.37", "3-cpus", "three-cpus", "no_deadlock"],
  ["The mail's proposal, for aging only", "Reclaim still awaits acknowledgements under the lock.", "woodman", "nosplit", "unmapping", "no_deadlock"],
  ["Deferring the flush, and no more", "munmap finds nothing to flush and returns; another CPU still has the translation.", "deferred", "nosplit", "reclaim-vs-munmap", "no_stale_tlb_after_return"],
  ["An interrupt frees an mm", "The merged fix needs that nobody takes pgd_lock from an interrupt.", "v2.6.38", "irq-free", "pgd_alloc", "no_deadlock"],
  ["A real Linux 6.12 that hung", "Recorded until it stopped: who holds what, and whose answer never comes.", "a recording", "16", null, null],
  ["Why tracked holds", "The same reclaim against the same walk: every interleaving, and none hangs.", "tracked", "nosplit", "unmapping", "no_deadlock"],
];

// Links to them.
export function stories() {
  return h(
    "ul",
    { class: "stories" },
    STORIES.map(([title, text, design, env, workload, property]) => h("li", {}, h("a", { href: property ? writeLink({ view: "find", design, env, workload, property }) : "#/log?recorded=1" }, title), h("span", {}, ` ${text} `), h("span", { class: "quiet mono" }, [design, env, workload].filter(Boolean).join(", ")))),
  );
}

// The words that stand in the cells and heads of the matrix.
export function glossary(about) {
  const list = (title, rows) => [h("h3", {}, title), h("dl", { class: "glossary" }, rows.map(([word, text]) => [h("dt", { class: "mono" }, word), h("dd", {}, text)]))];
  return h(
    "details",
    { class: "words" },
    h("summary", {}, "What the short words mean"),
    list("In the cells: what is violated", about.properties.map((p) => [p.short, `${p.name}: ${p.promise}`])),
    list("Columns: environments", about.environments.map((e) => [e.name, e.about])),
    list("Rows: designs", about.designs.map((d) => [d.name, d.origin])),
    list("What ran: workloads", about.workloads.map((w) => [w.name, w.about])),
    list("Marks", [["∅3", "three properties are vacuous there: what they are about never happens, so that nothing is said about them"], ["‼", "not what refinement/expectations.toml says"]]),
  );
}
