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

async function post(path, params, body, signal) {
  let response;
  try {
    response = await fetch(apiUrl(path, params), { method: "POST", body, signal, headers: { "Content-Type": "text/plain; charset=utf-8" } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server does not answer.", "Is `shootdown explore` still running? What you typed is kept in this tab.");
  }
  if (response.ok) return response;
  let told = {};
  try {
    told = (await response.json()).error || {};
  } catch {
    // Not JSON: the status has to do.
  }
  throw new ApiError(told.message || `the server answered ${response.status}`, told.hint, response.status);
}

// The answer to a text.
export async function postJson(path, params, body, signal) {
  return (await post(path, params, body, signal)).json();
}

// The data of the event `name` among those that are the answer to a text. Aborting ends the search behind it.
export async function postEvents(path, params, body, signal, name) {
  const response = await post(path, params, body, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    text += part.value;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const lines = text.slice(0, end).split("\n");
      text = text.slice(end + 2);
      const of = (key) => lines.find((line) => line.startsWith(key))?.slice(key.length).trim();
      const data = of("data:");
      if (of("event:") === name) return JSON.parse(data);
      if (of("event:") === "problem") {
        const told = JSON.parse(data);
        throw new ApiError(told.message, told.hint);
      }
    }
  }
  throw new ApiError("The answer broke off.", "Ask again.");
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
