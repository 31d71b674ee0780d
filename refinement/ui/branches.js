// The runs explored so far in one configuration, as the tree they form: a branch hangs below the one
// it left, at the step where it left.

import { fill, h } from "./dom.js";
import { newViolations } from "./timeline.js";

// `options`: `open(schedule, at)`.
export function createBranches(place, options) {
  let kept = []; // { key, actions, schedule, from, parent, bad, last }
  let config = null;
  let current = null;
  const body = h("div", {});
  fill(place, body);

  const shared = (a, b) => {
    let n = 0;
    while (n < a.length && n < b.length && a[n] === b[n]) n++;
    return n;
  };

  function add(run) {
    const key = JSON.stringify([run.subject, run.config, run.start]);
    if (key !== config) {
      config = key;
      kept = [];
    }
    const actions = run.steps.map((step) => `${step.cpu} ${step.action}`);
    const bad = newViolations(run).flatMap(([, names]) => names);
    const entry = { actions, schedule: run.schedule, bad, last: run.steps.at(-1) };
    // A run that goes on from a kept one takes its place; one that is the beginning of a kept one
    // is a position in it.
    const longer = kept.find((k) => k.actions.length >= actions.length && shared(k.actions, actions) === actions.length);
    if (longer) {
      current = longer;
      return longer.actions.length > actions.length ? longer : null;
    }
    const shorter = kept.find((k) => shared(k.actions, actions) === k.actions.length);
    if (shorter) Object.assign(shorter, entry);
    else kept.push(entry);
    current = shorter || entry;
    if (kept.length > 200) kept.splice(kept.findIndex((k) => k !== current), 1);
    return null;
  }

  // Each branch below the earlier one it shares most with.
  function tree() {
    const roots = [];
    kept.forEach((branch, n) => {
      branch.children = [];
      let best = null;
      let most = -1;
      for (const other of kept.slice(0, n)) {
        const common = shared(other.actions, branch.actions);
        if (common > most) [best, most] = [other, common];
      }
      branch.from = Math.max(most, 0);
      (best ? best.children : roots).push(branch);
    });
    return roots;
  }

  function node(branch) {
    const here = branch === current;
    const left = branch.actions.length - branch.from;
    const deadlock = branch.bad.includes("no_deadlock");
    return h(
      "li",
      {},
      h(
        "button",
        { type: "button", class: here ? "branch here" : "branch", "aria-current": here ? "true" : false, onclick: () => options.open(branch.schedule, branch.from + 1) },
        h("span", { class: "quiet" }, branch.from ? `at ${branch.from} ` : "start "),
        h("span", {}, `+${left} ${left === 1 ? "step" : "steps"}`),
        branch.bad.length ? h("span", { class: "bad-text", title: branch.bad.join(", ") }, deadlock ? " ✗ deadlock" : ` ✗ ${branch.bad.length} violated`) : "",
        branch.last && h("span", { class: "branch-last mono" }, `CPU${branch.last.cpu}: ${branch.last.source}`),
      ),
      branch.children.length > 0 && h("ul", {}, branch.children.map(node)),
    );
  }

  return {
    // Remembers a run; the longer one, if it is only the beginning of one that is known.
    add(run) {
      const longer = add(run);
      fill(body, h("ul", { class: "branches" }, tree().map(node)));
      return longer;
    },
    step(by) {
      if (kept.length < 2) return;
      const next = kept[(kept.indexOf(current) + by + kept.length) % kept.length];
      options.open(next.schedule, next.from + 1);
    },
  };
}
