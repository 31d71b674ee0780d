//! A run as one HTML file that opens without a server: the page's files and the run document inlined.
//!
//! No bundler: the modules below `ui/` keep to a few forms, and anything else is refused here (a test bundles them).
//! Imports stand at the top, one line each, `import { a, b } from "./x.js";`; exports are `export function`,
//! `export async function`, `export class` and `export const` at the beginning of a line. Each module becomes a
//! function that returns what it exports, in the order in which they need each other.

use super::assets;
use super::view::about::About;
use super::view::run::RunView;
use serde::Serialize;
use std::fmt::Write as _;

/// The module that is run.
const ENTRY: &str = "main.js";

const SCRIPT: &str = "<script type=\"module\" src=\"/ui/main.js\"></script>";
const STYLE: &str = "<link rel=\"stylesheet\" href=\"/ui/style.css\">";

/// The file may do nothing but show itself.
const POLICY: &str = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
                      style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">";

/// What the page finds in place of a server.
#[derive(Serialize)]
struct Embedded<'a> {
    about: &'a About,
    run: &'a RunView,
}

/// The file.
///
/// # Errors
/// If the page's files are not of the form that can be inlined: a bug.
pub fn page(about: &About, run: &RunView) -> Result<String, String> {
    let file = |name: &str| assets::text(name).ok_or_else(|| format!("there is no ui/{name}"));
    let mut html = file("index.html")?;
    let data = serde_json::to_string(&Embedded { about, run }).map_err(|e| e.to_string())?;
    let script = format!(
        "<script type=\"application/json\" id=\"embedded\">{}</script>\n<script type=\"module\">\n{}</script>",
        data.replace('<', "\\u003c"),
        script(&file)?.replace("</", "<\\/"),
    );
    let style = format!("{POLICY}\n<style>\n{}</style>", file("style.css")?);
    html = html
        .lines()
        .filter(|line| !line.starts_with("<link rel=\"icon\""))
        .map(|line| format!("{line}\n"))
        .collect();
    for (link, inlined) in [(STYLE, style), (SCRIPT, script)] {
        let at = html.find(link);
        let at = at.ok_or_else(|| format!("ui/index.html does not have the line {link}"))?;
        html.replace_range(at..at + link.len(), &inlined);
    }
    Ok(html)
}

/// All modules as one.
fn script(file: &dyn Fn(&str) -> Result<String, String>) -> Result<String, String> {
    let (mut out, mut done) = (String::from("\"use strict\";\n"), Vec::new());
    inline(ENTRY, file, &mut done, &mut Vec::new(), &mut out)?;
    Ok(out)
}

fn inline(
    name: &str,
    file: &dyn Fn(&str) -> Result<String, String>,
    done: &mut Vec<String>,
    under_way: &mut Vec<String>,
    out: &mut String,
) -> Result<(), String> {
    if done.iter().any(|d| d == name) {
        return Ok(());
    }
    if under_way.iter().any(|u| u == name) {
        return Err(format!("ui/{name} needs itself"));
    }
    under_way.push(name.to_string());
    let text = file(name)?;
    let (mut imports, mut body, mut exports) = (String::new(), String::new(), Vec::new());
    for (i, line) in text.lines().enumerate() {
        let bad = |what: &str| format!("ui/{name}:{}: {what} of a form that is not inlined", i + 1);
        if line.starts_with("import") {
            let (names, from) = import(line).ok_or_else(|| bad("an import"))?;
            inline(from, file, done, under_way, out)?;
            let _ = writeln!(imports, "const {{ {names} }} = {};", variable(from));
        } else if let Some(rest) = line.strip_prefix("export ") {
            exports.push(exported(rest).ok_or_else(|| bad("an export"))?);
            body += rest;
            body.push('\n');
        } else {
            body += line;
            body.push('\n');
        }
    }
    let _ = writeln!(
        out,
        "const {} = (() => {{\n{imports}{body}return {{ {} }};\n}})();",
        variable(name),
        exports.join(", ")
    );
    under_way.pop();
    done.push(name.to_string());
    Ok(())
}

/// `{ a, b }` and `x.js` of `import { a, b } from "./x.js";`.
fn import(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("import {")?;
    let (names, from) = rest.split_once("} from \"./")?;
    let plain = |name: &str| is_name(name.trim());
    names
        .split(',')
        .all(plain)
        .then_some((names.trim(), from.strip_suffix("\";")?))
}

/// The name that is exported.
fn exported(rest: &str) -> Option<&str> {
    let kinds = ["function ", "async function ", "class ", "const "];
    let rest = kinds.iter().find_map(|kind| rest.strip_prefix(kind))?;
    let end = rest.find(|c: char| !is_name_char(c))?;
    is_name(&rest[..end]).then_some(&rest[..end])
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$'
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_name_char)
}

/// The variable that holds a module.
fn variable(file: &str) -> String {
    let name: String = file
        .chars()
        .map(|c| if is_name_char(c) { c } else { '_' })
        .collect();
    format!("m_{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundled(files: &[(&str, &str)]) -> Result<String, String> {
        script(&|name| {
            let file = files.iter().find(|(n, _)| *n == name);
            file.map(|(_, text)| text.to_string())
                .ok_or_else(|| format!("there is no ui/{name}"))
        })
    }

    #[test]
    fn every_module_stands_before_those_that_need_it_and_only_once() {
        let text = bundled(&[
            (
                "main.js",
                "import { a } from \"./a.js\";\nimport { b } from \"./b.js\";\na(b);",
            ),
            (
                "a.js",
                "import { b } from \"./b.js\";\nexport function a(x) { return x + b; }",
            ),
            ("b.js", "export const b = 1;"),
        ]);
        let text = text.expect("all of it is plain");
        let order: Vec<_> = text.lines().filter(|l| l.ends_with("(() => {")).collect();
        assert_eq!(
            order,
            [
                "const m_b_js = (() => {",
                "const m_a_js = (() => {",
                "const m_main_js = (() => {"
            ]
        );
        assert!(text.contains("const { b } = m_b_js;"));
        assert!(text.contains("return { a };"));
        assert!(!text.contains("export "));
    }

    #[test]
    fn what_cannot_be_inlined_is_refused_with_its_line() {
        for (line, what) in [
            ("import x from \"./a.js\";", "import"),
            ("import * as x from \"./a.js\";", "import"),
            ("import { x as y } from \"./a.js\";", "import"),
            ("import { x } from \"https://cdn.example/a.js\";", "import"),
            ("export default 1;", "export"),
            ("export { x };", "export"),
            ("export let x = 1;", "export"),
        ] {
            let error = bundled(&[("main.js", &format!("\n{line}")), ("a.js", "")]);
            let error = error.expect_err(line);
            assert!(
                error.contains("ui/main.js:2") && error.contains(what),
                "{line}: {error}"
            );
        }
        let error = bundled(&[("main.js", "import { a } from \"./main.js\";")]);
        assert!(error.is_err());
    }

    #[test]
    fn the_page_itself_can_be_inlined() {
        let file = |name: &str| assets::text(name).ok_or_else(|| format!("there is no ui/{name}"));
        let text = script(&file).expect("ui/*.js keep to the forms");
        for line in text.lines() {
            assert!(
                !line.starts_with("import ") && !line.starts_with("export "),
                "{line}"
            );
        }
        let html = file("index.html").expect("it is there");
        assert!(html.contains(SCRIPT) && html.contains(STYLE));
    }
}
