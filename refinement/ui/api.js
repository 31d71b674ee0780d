// Talking to the server. A failed request is an `ApiError` with the server's own words and hint; a
// server that went away raises the banner, and everything that waits for it tries again.

import { banner } from "./banner.js";

export class ApiError extends Error {
  constructor(message, hint, status) {
    super(message);
    this.hint = hint;
    this.status = status;
  }
}

function query(params) {
  const out = new URLSearchParams();
  for (const [name, value] of Object.entries(params || {})) {
    if (value !== null && value !== undefined && value !== "") out.set(name, value);
  }
  const text = out.toString();
  return text ? `?${text}` : "";
}

// The address of an answer of the server.
export function apiUrl(path, params) {
  return `/api/${path}${query(params)}`;
}

async function request(path, params, signal) {
  for (let attempt = 0; ; attempt++) {
    let response;
    try {
      response = await fetch(apiUrl(path, params), { signal });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      banner("The server does not answer. Trying again …", "lost");
      await new Promise((done) => setTimeout(done, Math.min(500 * 2 ** attempt, 4000)));
      continue;
    }
    banner(null, "lost");
    if (response.ok) return response;
    let told = {};
    try {
      told = (await response.json()).error || {};
    } catch {
      // Not JSON: the status has to do.
    }
    throw new ApiError(told.message || `the server answered ${response.status}`, told.hint, response.status);
  }
}

export async function getJson(path, params, signal) {
  return (await request(path, params, signal)).json();
}

export async function getText(path, params) {
  return (await request(path, params)).text();
}

// Server-sent events by name. `EventSource` reconnects by itself; the banner says so meanwhile.
// Returns how to stop. `closing` names the events after which nothing more will come.
export function stream(path, params, handlers, closing) {
  let source = null;
  let timer = 0;
  let over = false;
  const stop = () => {
    over = true;
    clearTimeout(timer);
    if (source) source.close();
  };
  const open = () => {
    source = new EventSource(apiUrl(path, params));
    source.onopen = () => banner(null, "lost");
    source.onerror = () => {
      if (over) return;
      // A refusal (not a stream) closes the source for good; a lost server leaves it connecting.
      banner("The server does not answer. Trying again …", "lost");
      if (source.readyState === EventSource.CLOSED) {
        getJson(path, params).then(
          () => {},
          (error) => {
            if (over) return;
            stop();
            if (handlers.problem) handlers.problem({ message: error.message, hint: error.hint });
          },
        );
        timer = setTimeout(() => !over && open(), 2000);
      }
    };
    for (const [name, handler] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => {
        if (over) return;
        if ((closing || []).includes(name)) stop();
        handler(event.data ? JSON.parse(event.data) : {});
      });
    }
  };
  open();
  addEventListener("pagehide", stop, { once: true });
  return stop;
}
