// Making elements. No markup is ever parsed from text: a label from the server stays text, and the
// content-security policy has nothing to allow.

const SVG = "http://www.w3.org/2000/svg";

// `attrs`: `class`, `on…` listeners, `css` (custom properties and lengths, set through the CSSOM,
// which the policy allows where a style attribute is refused), anything else as an attribute.
// `false`, `null` and `undefined` leave an attribute or a child out.
function make(element, attrs, children) {
  for (const [name, value] of Object.entries(attrs || {})) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "css") {
      for (const [key, v] of Object.entries(value)) element.style.setProperty(key, v);
    } else element.setAttribute(name, value === true ? "" : value);
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(element, child);
    else if (child !== false && child !== null && child !== undefined) element.append(child);
  }
}

// An HTML element.
export function h(tag, attrs, ...children) {
  return make(document.createElement(tag), attrs, children);
}

// An SVG element.
export function s(tag, attrs, ...children) {
  return make(document.createElementNS(SVG, tag), attrs, children);
}

// Replaces what is in an element.
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

// Lines of at most `chars` characters, broken at blanks and after commas and arrows where that is
// possible; what does not fit into `lines` ends in an ellipsis.
export function wrapText(text, chars, lines) {
  const out = [];
  let rest = String(text).trim();
  while (rest && out.length < lines) {
    if (rest.length <= chars) {
      out.push(rest);
      return out;
    }
    let cut = chars;
    for (let i = chars; i > chars * 0.5; i--) {
      if (" ,(>".includes(rest[i - 1]) || rest[i] === " ") {
        cut = i;
        break;
      }
    }
    // Rather inside of a name than inside of a word.
    if (cut === chars && rest[chars] !== " ") {
      const under = rest.lastIndexOf("_", chars - 1);
      if (under > chars * 0.5) cut = under + 1;
    }
    out.push(rest.slice(0, cut).trimEnd());
    rest = rest.slice(cut).trimStart();
  }
  if (rest && out.length) {
    const last = out[out.length - 1];
    out[out.length - 1] = (last.length >= chars ? last.slice(0, chars - 1) : last) + "…";
  }
  return out;
}

// A sentence of the server, with what it puts in backticks as code.
export function sentence(text) {
  return String(text).split("`").map((part, n) => (n % 2 ? h("code", {}, part) : part));
}

// Tells a screen reader what just happened.
export function say(text) {
  const place = document.getElementById("say");
  if (place) place.textContent = text;
}

// A count for people: 12 345.
export function count(n) {
  return n === null || n === undefined ? "unknown" : String(n).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}
