// Which view is on screen: read from the part of the address behind the `#`, so that back and
// forward work. In a one-file copy there is one run and no server.

import { getJson } from "./api.js";
import { openCompare } from "./compare.js";
import { fill, h } from "./dom.js";
import { openExplorer } from "./explorer.js";
import { openFind } from "./find.js";
import { startKeys } from "./keys.js";
import { readLink, writeLink } from "./link.js";
import { problem } from "./problem.js";
import { openStart } from "./start.js";
import { startTheme } from "./theme.js";

const place = document.getElementById("main");
let context = null;
let open = null;

// A configuration given by names: the server knows its schedule, and the explorer opens on it.
function openNamed(_place, _context, link) {
  const follow = async (next) => {
    try {
      const run = await getJson("run", { subject: next.subject || "spec", design: next.design, env: next.env, workload: next.workload });
      location.replace(location.href.split("#")[0] + writeLink({ view: "run", subject: run.subject, schedule: run.schedule, at: 0 }));
    } catch (error) {
      fill(place, problem(error, () => follow(next)));
    }
  };
  follow(link);
  return { follow, close: () => {} };
}

// A view that is loaded when it is first wanted, with its style: a one-file copy of a run does without.
function later(file, name) {
  return (place, context, link) => {
    let view = null;
    let closed = false;
    let wanted = link;
    fill(place, h("p", { class: "loading" }, "Loading …"));
    if (!document.getElementById("scenario-style")) document.head.append(h("link", { id: "scenario-style", rel: "stylesheet", href: "/ui/scenario.css" }));
    import(`./${file}`).then(
      (module) => {
        if (!closed) view = module[name](place, context, wanted);
      },
      (error) => !closed && fill(place, problem(error, () => location.reload())),
    );
    return {
      follow: (next) => {
        wanted = next;
        view?.follow(next);
      },
      close: () => {
        closed = true;
        view?.close();
      },
    };
  };
}

const VIEWS = { case: later("case.js", "openCase"), run: openExplorer, compare: openCompare, find: openFind, open: openNamed, scenario: later("scenario.js", "openScenario"), beside: later("beside.js", "openBeside"), log: later("log.js", "openLog") };

function route() {
  const link = readLink(location.hash);
  if (open && open.view === link.view && link.view !== "find" && link.view !== "case") {
    open.follow(link);
    return;
  }
  if (open) open.close();
  place.className = `view-${link.view}`;
  open = { ...(VIEWS[link.view] || openStart)(place, context, link), view: link.view };
}

async function start() {
  startTheme();
  startKeys();
  document.getElementById("skip").addEventListener("click", (event) => {
    event.preventDefault();
    place.focus();
  });
  const embedded = document.getElementById("embedded");
  if (embedded) {
    const { about, run } = JSON.parse(embedded.textContent);
    context = { about: about || {}, offline: true };
    place.className = "view-run";
    openExplorer(place, context, {}, run);
    return;
  }
  try {
    context = { about: await getJson("about"), offline: false };
  } catch (error) {
    fill(place, problem(error, start));
    return;
  }
  addEventListener("hashchange", route);
  route();
}

start();
