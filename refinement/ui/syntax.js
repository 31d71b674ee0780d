// Words of a scenario, line by line: only to colour them. What they mean the server decides.

const TOKEN = /(\/\/.*$)|(\/\*.*?(?:\*\/|$))|("(?:[^"\\]|\\.)*"?)|(\b\d\w*\b)|([A-Za-z_]\w*)|(^\s*#.*$)/g;

// `words`: `{ keywords, calls }` as sets. Returns, for each line, `[from, to, class]` in order.
export function colour(lines, words) {
  let inComment = false;
  return lines.map((line) => {
    const out = [];
    let from = 0;
    if (inComment) {
      const end = line.indexOf("*/");
      from = end < 0 ? line.length : end + 2;
      if (from) out.push([0, from, "comment"]);
      inComment = end < 0;
    }
    TOKEN.lastIndex = from;
    for (let m = TOKEN.exec(line); m; m = TOKEN.exec(line)) {
      const [text, slashes, stars, string, number, name] = m;
      const to = m.index + text.length;
      if (stars && !text.endsWith("*/")) inComment = true;
      const kind = slashes || stars ? "comment" : string ? "string" : number ? "number" : name ? (words.keywords.has(name) ? "keyword" : words.calls.has(name) ? "call" : null) : "bad";
      if (kind) out.push([m.index, to, kind]);
      if (!text) TOKEN.lastIndex++;
    }
    return out;
  });
}
