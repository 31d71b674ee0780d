// A file that was dropped or opened, on its way to the view that shows it. It never leaves this tab but to the server.

let waiting = null;

// Most bytes of a log that the server takes.
const LARGEST_LOG = 16 << 20;

export function takeDropped() {
  const file = waiting;
  waiting = null;
  return file;
}

// Sends a file where it belongs: a scenario to the editor, anything else to the diagnosis of logs. Returns what is wrong with it.
export async function openDropped(file, goTo) {
  if (file.size > LARGEST_LOG) return { message: `${file.name} has ${file.size} bytes; the page takes at most ${LARGEST_LOG}.`, hint: "shootdown diagnose FILE reads longer ones." };
  const begin = await file.slice(0, 1 << 16).text();
  waiting = file;
  goTo(/\.sd$/.test(file.name) || /^\s*scenario\s+"/m.test(begin) ? "scenario" : "log");
  return null;
}
