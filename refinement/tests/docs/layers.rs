//! No new circles of imports: within a crate, what a module names does not name it back, over whatever way round.
//!
//! Read off the text: every path that begins with `crate::`, `super::` or `self::`, comments and tests left out. A module and
//! those below it are one room, so what it takes from them is no import. The circles that there are stand in
//! [`KNOWN`]; they may lose members, never gain any.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// By crate, the circles of today.
const KNOWN: &[(&str, &[&[&str]])] = &[
    (
        "spec",
        &[
            &["config", "path", "select"],
            &[
                "actor",
                "model",
                "report",
                "report/cycle",
                "report/event",
                "report/svg",
                "schedule",
                "trace",
            ],
            &["export/tla/effect", "export/tla/variables"],
            &["export/promela/processes", "export/promela/programs"],
            &["search/chunk", "search/frontier", "search/merge"],
            &["order/breach", "order/walk"],
            &["lower/cells", "lower/step"],
        ],
    ),
    ("spec/ir", &[]),
    ("spec/lang", &[]),
    (
        "impl",
        &[&[
            "cpu",
            "design",
            "door",
            "event",
            "flush",
            "flush/under_lock",
            "ipi",
            "irq",
            "kernel",
            "machine",
            "mm",
            "operation",
            "page_table",
            "path/flush_tlb",
            "path/lazy_tlb",
            "pgd_list",
            "spinlock",
        ]],
    ),
    (
        "refinement",
        &[
            &[
                "map/agree",
                "map/cpu",
                "map/ipi",
                "map/mm",
                "map/pgd_list",
                "map/spinlock",
                "map/tlb",
            ],
            &["relation/said", "relation/step"],
            &["relation/coverage", "relation/joint"],
            &["cli/bounds", "cli/checkpoint", "cli/error", "cli/output"],
            &["web/view/choice", "web/view/run"],
            &["cli/check", "cli/ci", "cli/explore", "cli/refine"],
            &["review/candidates", "review/designs", "review/findings"],
            &["review/decision", "review/front"],
            &[
                "web/api",
                "web/assets",
                "web/clients",
                "web/error",
                "web/guard",
                "web/job",
                "web/matrix",
                "web/scenario",
                "web/server",
                "web/turns",
            ],
            &["web/scenario/run", "web/scenario/waiting"],
            &["cli/trace", "cli/trace/flags", "cli/validate"],
            &[
                "cli/mutants/generated/argued",
                "cli/mutants/generated/campaign",
            ],
            &["cli/matrix/order", "cli/matrix/table"],
            &["validate/outside", "validate/shadow"],
        ],
    ),
    (
        "refinement/trace",
        &[
            &["ftrace/hang/assumed", "ftrace/hang/stuck"],
            &["console/lockdep", "console/log"],
            &[
                "console/collect",
                "console/debugger",
                "console/events",
                "console/header",
            ],
        ],
    ),
];

/// Modules by name (`report/svg`), and their text.
type Modules = BTreeMap<String, String>;

/// Who names whom.
type Imports<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

fn modules(folder: &Path, above: &str, found: &mut Modules) {
    for entry in fs::read_dir(folder).expect("it is there") {
        let path = entry.expect("it can be read").path();
        let stem = path.file_stem().and_then(|s| s.to_str()).expect("a name");
        let name = match (above, stem) {
            ("", "lib" | "main") => continue,
            ("", _) => stem.to_string(),
            _ => format!("{above}/{stem}"),
        };
        if path.is_dir() {
            modules(&path, &name, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.insert(name, fs::read_to_string(&path).expect("it is text"));
        }
    }
}

/// The text without comments and without the tests at its end.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
    let lines = text[..end].lines();
    let kept = lines.filter(|line| !line.trim_start().starts_with("//"));
    kept.collect::<Vec<_>>().join("\n")
}

/// Reads a path, or a tree of them with braces, from here on.
fn read_tree(text: &str, at: &mut usize, before: &[&str], paths: &mut Vec<Vec<String>>) {
    let skip = |at: &mut usize| *at += text[*at..].len() - text[*at..].trim_start().len();
    let mut path: Vec<&str> = before.to_vec();
    loop {
        skip(at);
        if text[*at..].starts_with('{') {
            *at += 1;
            while !text[*at..].is_empty() {
                skip(at);
                if text[*at..].starts_with('}') {
                    *at += 1;
                    break;
                }
                read_tree(text, at, &path, paths);
                // `as name` is of no interest.
                *at += text[*at..].find([',', '}']).unwrap_or(text[*at..].len());
                *at += usize::from(text[*at..].starts_with(','));
            }
            return;
        }
        let rest = &text[*at..];
        let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        let word = &rest[..length.unwrap_or(rest.len())];
        path.push(word);
        *at += word.len();
        if !text[*at..].starts_with("::") || word.is_empty() {
            break;
        }
        *at += 2;
    }
    paths.push(path.into_iter().map(str::to_string).collect());
}

/// Every path that begins with a word that leads to a module of the same crate.
fn paths(text: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for word in ["crate::", "super::", "self::"] {
        for (mut at, _) in text.match_indices(word) {
            let before = text[..at].chars().next_back();
            if !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                read_tree(text, &mut at, &[], &mut paths);
            }
        }
    }
    paths
}

/// The module that a path leads to from this one: the longest part of it that is one.
fn resolve<'a>(modules: &'a Modules, from: &str, path: &[String]) -> Option<&'a str> {
    let mut names: Vec<&str> = from.split('/').collect();
    let mut rest = path.iter().map(String::as_str).peekable();
    if rest.next_if_eq(&"crate").is_some() {
        names.clear();
    }
    while let Some(word) = rest.next_if(|w| matches!(*w, "super" | "self")) {
        if word == "super" {
            names.pop();
        }
    }
    names.extend(rest);
    (1..=names.len()).rev().find_map(|n| {
        let (name, _) = modules.get_key_value(&names[..n].join("/"))?;
        Some(name.as_str())
    })
}

fn imports(modules: &Modules) -> Imports<'_> {
    modules
        .iter()
        .map(|(name, text)| {
            let below = format!("{name}/");
            let named = paths(&code(text));
            let named = named.iter().filter_map(|p| resolve(modules, name, p));
            let others = named.filter(|other| other != name && !other.starts_with(&below));
            (name.as_str(), others.collect())
        })
        .collect()
}

/// Everything that a module names, over whatever way.
fn reached<'a>(imports: &Imports<'a>, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&'a str> = imports[from].iter().copied().collect();
    while let Some(module) = next.pop() {
        if reached.insert(module) {
            next.extend(&imports[module]);
        }
    }
    reached
}

/// The circles: sets of modules that all reach each other.
fn circles<'a>(imports: &Imports<'a>) -> BTreeSet<BTreeSet<&'a str>> {
    let all: BTreeMap<&str, BTreeSet<&'a str>> = imports
        .keys()
        .map(|name| (*name, reached(imports, name)))
        .collect();
    let circle = |(name, reached): (&&str, &BTreeSet<&'a str>)| {
        let back = |other: &&&str| all[*other].contains(name);
        let circle: BTreeSet<&'a str> = reached.iter().filter(back).copied().collect();
        (!circle.is_empty()).then_some(circle)
    };
    all.iter().filter_map(circle).collect()
}

#[test]
fn imports_run_in_no_new_circles() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut new = Vec::new();
    for (krate, known) in KNOWN {
        let mut all = Modules::new();
        modules(&root.join(krate).join("src"), "", &mut all);
        assert!(all.len() > 30, "{krate}: only {} modules", all.len());
        let imports = imports(&all);
        for circle in circles(&imports) {
            let is_known = |k: &&[&str]| circle.iter().all(|module| k.contains(module));
            if !known.iter().any(is_known) {
                let edge = |from: &&str| format!("  {from} names {:?}", &imports[*from] & &circle);
                let edges: Vec<String> = circle.iter().map(edge).collect();
                new.push(format!("{krate}:\n{}", edges.join("\n")));
            }
        }
    }
    assert!(
        new.is_empty(),
        "modules that name each other; take one direction out:\n{}",
        new.join("\n")
    );
}

#[test]
fn a_circle_is_noticed_and_a_facade_is_none() {
    let texts = [
        ("a", "use crate::{b::X, c as d};\n// use crate::e;\n"),
        ("b", "use std::fmt;\nuse self::below::{Y, self};\n"),
        ("b/below", "use super::super::{f::{g::Z, H}};\n"),
        (
            "c",
            "fn c() { super::a::call(1) }\n#[cfg(test)]\nmod tests { use crate::e; }\n",
        ),
        ("e", "pub use crate::a::*;\n"),
        ("f", "use crate::b;\n"),
        ("f/g", "fn g() { crate::b::below::call::<u8>() }\n"),
    ];
    let all: Modules = texts.map(|(n, t)| (n.to_string(), t.to_string())).into();
    let imports = imports(&all);
    assert_eq!(imports["a"], BTreeSet::from(["b", "c"]));
    assert_eq!(imports["b"], BTreeSet::new());
    assert_eq!(imports["b/below"], BTreeSet::from(["f", "f/g"]));
    assert_eq!(imports["c"], BTreeSet::from(["a"]));
    let found = circles(&imports);
    assert_eq!(
        found,
        BTreeSet::from([
            BTreeSet::from(["a", "c"]),
            BTreeSet::from(["b/below", "f/g"]),
        ])
    );
}
