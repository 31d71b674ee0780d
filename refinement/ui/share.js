// Handing a run on: link, text, picture, one file.

import { ApiError, apiUrl, getText } from "./api.js";
import { fill, h, say } from "./dom.js";
import { runLink } from "./link.js";

// Puts text on the clipboard; where the browser refuses, shows it selected instead.
export async function copyText(text, what, place) {
  try {
    await navigator.clipboard.writeText(text);
    say(`${what} copied`);
    if (place) fill(place, `${what} copied.`);
  } catch {
    if (!place) return;
    const area = h("textarea", { readonly: true, rows: 6, "aria-label": what, class: "mono" });
    area.value = text;
    fill(place, h("p", {}, `The browser does not let the page copy; here is the ${what.toLowerCase()}:`), area);
    area.focus();
    area.select();
  }
}

// The whole address of a position of a run.
export function wholeLink(run, at) {
  return location.href.split("#")[0] + runLink(run, at);
}

export function showShare({ run, at, offline }) {
  const told = h("div", { class: "told", role: "status" });
  const dialog = h("dialog", { class: "sheet", "aria-labelledby": "share-title" });
  const params = { subject: run.subject, schedule: run.schedule };
  const row = (what, why, act) =>
    h(
      "li",
      {},
      h("button", { type: "button", class: "button", onclick: () => act().catch((e) => fill(told, h("span", { class: "bad-text" }, `✗ ${e.message}`, e instanceof ApiError && e.hint ? `: ${e.hint}` : ""))) }, what),
      h("span", { class: "quiet" }, why),
    );
  const text = (format, what) => async () => copyText(await getText("export", { ...params, format }), what, told);
  fill(
    dialog,
    h("h2", { id: "share-title" }, "Share this run"),
    h(
      "ul",
      { class: "share" },
      !offline && row("Copy link", "Subject, design, environment, actions, position, and a check of every state.", () => copyText(wholeLink(run, at), "Link", told)),
      row("Copy schedule", "One line; shootdown replay runs it.", () => copyText(run.schedule, "Schedule", told)),
      !offline && row("Copy splat", "The run as text in kernel style, for a mail.", text("splat", "Splat")),
      !offline && row("Copy SVG", "The run as a picture.", text("svg", "SVG")),
    ),
    !offline &&
      h(
        "p",
        {},
        h("a", { class: "button", id: "one-file", href: apiUrl("export", { ...params, format: "html" }), download: "shootdown-run.html" }, "Download one-file HTML"),
        h("span", { class: "quiet" }, " Opens without a server: for lists and bug reports."),
      ),
    told,
    h("form", { method: "dialog" }, h("button", { class: "button" }, "Close")),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
