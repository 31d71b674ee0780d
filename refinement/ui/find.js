// Looking for the shortest run that violates a property: progress, then the run, or the verdict.

import { stream } from "./api.js";
import { drawBar } from "./bar.js";
import { count, fill, h } from "./dom.js";
import { setKeys, showKeys } from "./keys.js";
import { writeLink } from "./link.js";
import { problem } from "./problem.js";
import { toggleTheme } from "./theme.js";

const VERDICTS = {
  holds: ["✓", "holds: every reachable state was seen, none violates it, and the dangerous spot was reached"],
  vacuous: ["∅", "vacuous: nothing violates it, but the dangerous spot was never reached, so this shows nothing"],
  incomplete: ["◔", "incomplete: the search was cut off, and nothing seen until then violates it"],
};

export function openFind(place, context, link) {
  drawBar({ where: [h("strong", { class: "mono" }, link.property)], actions: [] });
  setKeys([{ name: "Keys", rows: [{ keys: ["d"], shown: ["d"], what: "dark or light", run: toggleTheme }, { keys: ["?"], shown: ["?"], what: "this list", run: showKeys }] }]);
  const told = h("div", { class: "find", role: "status" });
  fill(place, h("div", { class: "start" }, h("h1", {}, "Looking for the shortest run"), h("p", {}, h("code", {}, link.config || `${link.design} in ${link.env}, ${link.workload}`)), told));
  fill(told, "Looking …");
  const params = { subject: link.subject || "spec", property: link.property };
  if (link.config) params.config = link.config;
  else Object.assign(params, { design: link.design, env: link.env, workload: link.workload });
  const stop = stream(
    "find",
    params,
    {
      waiting: () => fill(told, "Waiting: another search has its turn …"),
      progress: (p) => fill(told, h("progress", { "aria-label": "Searching" }), ` ${count(p.states)} states, ${count(p.rate)}/s, depth ${p.depth}, ${Math.round(p.memory_bytes / (1 << 20))} MiB`),
      found: (f) => {
        if (f.schedule) {
          location.replace(location.href.split("#")[0] + writeLink({ view: "run", subject: f.subject, schedule: f.schedule }));
          return;
        }
        const [glyph, text] = VERDICTS[f.verdict] || ["", f.verdict];
        fill(
          told,
          h("p", { class: "sentence" }, h("span", { class: `cell-glyph ${f.verdict}` }, glyph), ` ${f.property} ${text}. ${count(f.states)} states.`, f.stopped && ` ${f.stopped}`),
          f.unreached && f.unreached.length > 0 && h("p", {}, `Never reached: ${f.unreached.join(", ")}.`),
          h("p", {}, h("a", { class: "button", href: link.config ? writeLink({ view: "run", subject: f.subject, schedule: link.config, at: 0 }) : writeLink({ ...link, view: "open" }) }, "Explore by hand")),
        );
      },
      problem: (p) => fill(told, problem(p)),
    },
    ["found", "problem"],
  );
  return { follow: () => {}, close: stop };
}
