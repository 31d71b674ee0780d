// The address of what is on screen, all of it behind the `#`: view, subject, schedule (which carries
// design, environment, workload, placement and actions), position, and the first digits of every
// state's hash, so that a link that no longer means the same is noticed.

const DIGITS = 4;

// `{ view, … }` of a location hash.
export function readLink(hash) {
  const text = hash.replace(/^#\/?/, "");
  const at = text.indexOf("?");
  const view = (at < 0 ? text : text.slice(0, at)) || "start";
  return { ...Object.fromEntries(new URLSearchParams(at < 0 ? "" : text.slice(at + 1))), view };
}

export function writeLink({ view, ...params }) {
  const out = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== null && value !== undefined && value !== "") out.set(name, value);
  }
  const text = out.toString();
  return `#/${view === "start" ? "" : view}${text ? `?${text}` : ""}`;
}

// What the link says of the states: `3f2a.91bc.…`
export function shortHashes(run) {
  return run.states.map((state) => String(state.hash).slice(0, DIGITS)).join(".");
}

// The link to a position of a run.
export function runLink(run, at, more) {
  return writeLink({
    view: "run",
    subject: run.subject,
    schedule: run.schedule,
    at,
    h: shortHashes(run),
    ...more,
  });
}
