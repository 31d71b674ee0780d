//! The files for editors have the words that the language has. `SHOOTDOWN_WRITE_DOCS=1` writes them.

use shootdown_lang::{calls, keywords, parse, words};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

fn fresh(file: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs/editors")
        .join(file);
    if fs::read_to_string(&path).is_ok_and(|now| now == wanted) {
        return;
    }
    if std::env::var_os("SHOOTDOWN_WRITE_DOCS").is_some() {
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("a folder");
        fs::write(&path, wanted).expect("it can be written");
        return;
    }
    panic!(
        "docs/editors/{file} is not fresh; SHOOTDOWN_WRITE_DOCS=1 cargo test -p shootdown-lang --test editors writes it"
    );
}

/// Single words of a list: `struct mutex` is `mutex`.
fn single(list: &[&'static str]) -> Vec<&'static str> {
    list.iter()
        .map(|word| word.strip_prefix("struct ").unwrap_or(word))
        .collect()
}

fn types() -> Vec<&'static str> {
    let mut all = single(words::TYPES);
    all.extend(["struct", "void"]);
    all
}

fn called() -> Vec<&'static str> {
    let mut names: Vec<&str> = calls()
        .iter()
        .flat_map(|(_, list)| list.iter())
        .flat_map(|call| [call.name].into_iter().chain(call.aliases()))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Words at top level that are no type.
fn items() -> Vec<&'static str> {
    let items = words::ITEMS.iter().copied();
    items
        .filter(|w| !matches!(*w, "static" | "const" | "void"))
        .collect()
}

#[test]
fn vim_has_every_word() {
    let mut text = String::from(
        "\" Vim syntax file. Scenarios of shootdown. Generated: spec/lang/tests/editors.rs\n\
         if exists(\"b:current_syntax\")\n  finish\nendif\n\
         syn case match\n",
    );
    let statements = words::STATEMENTS.iter().copied().filter(|w| *w != "assert");
    let groups = [
        ("Item", items()),
        ("Statement", statements.collect()),
        ("Assert", vec!["assert"]),
        ("Constant", words::VALUES.to_vec()),
        ("Type", types()),
        ("Storage", vec!["static", "const"]),
        ("Call", called()),
    ];
    for (group, list) in &groups {
        for some in list.chunks(8) {
            let _ = writeln!(text, "syn keyword shootdown{group} {}", some.join(" "));
        }
    }
    text += "syn match shootdownCpu /\\<CPU\\d\\+\\>/\n\
             syn match shootdownNumber /\\<\\(0[xX]\\x\\+\\|\\d\\+\\)[uUlL]*\\>/\n\
             syn region shootdownString start=/\"/ end=/\"/ oneline\n\
             syn match shootdownComment +//.*$+ contains=shootdownTodo,@Spell\n\
             syn region shootdownComment start=+/\\*+ end=+\\*/+ contains=shootdownTodo,@Spell\n\
             syn keyword shootdownTodo TODO FIXME XXX contained\n";
    for (group, link) in [
        ("Item", "Keyword"),
        ("Statement", "Statement"),
        ("Assert", "Exception"),
        ("Constant", "Constant"),
        ("Type", "Type"),
        ("Storage", "StorageClass"),
        ("Call", "Function"),
        ("Cpu", "Identifier"),
        ("Number", "Number"),
        ("String", "String"),
        ("Comment", "Comment"),
        ("Todo", "Todo"),
    ] {
        let _ = writeln!(text, "hi def link shootdown{group} {link}");
    }
    text += "let b:current_syntax = \"shootdown\"\n";
    fresh("vim/syntax/shootdown.vim", &text);
    fresh(
        "vim/ftdetect/shootdown.vim",
        "au BufRead,BufNewFile *.sd set filetype=shootdown\n",
    );
}

#[test]
fn the_textmate_grammar_has_every_word() {
    let rule = |scope: &str, list: &[&str]| {
        format!(
            "    {{ \"name\": \"{scope}.shootdown\", \"match\": \"\\\\b({})\\\\b\" }}",
            list.join("|")
        )
    };
    let rules = [
        rule("keyword.other", &items()),
        rule("keyword.control", words::STATEMENTS),
        rule("constant.language", words::VALUES),
        rule("storage.type", &types()),
        rule("support.function", &called()),
        "    { \"name\": \"variable.language.shootdown\", \"match\": \"\\\\bCPU[0-9]+\\\\b\" }"
            .to_owned(),
        "    { \"include\": \"source.c\" }".to_owned(),
    ];
    let text = format!(
        "{{\n  \"name\": \"shootdown scenario\",\n  \"scopeName\": \"source.shootdown\",\n  \"fileTypes\": [\"sd\"],\n  \
         \"patterns\": [\n{}\n  ]\n}}\n",
        rules.join(",\n")
    );
    fresh("shootdown.tmLanguage.json", &text);
}

/// A word that is coloured as a keyword is one: as the name of a function it is refused, or it has a meaning without it.
#[test]
fn every_word_is_in_a_list() {
    let all = keywords();
    for word in [
        "scenario",
        "cpus",
        "either",
        "atomic",
        "percpu",
        "struct srcu_struct",
    ] {
        assert!(all.contains(&word), "{word}");
    }
    for source in ["task", "irq", "softirq", "timer", "nmi", "work", "stopper"] {
        assert!(words::ITEMS.contains(&source), "{source}");
        let text =
            format!("scenario \"t\"; cpus 1;\n{source} s on CPU0 times 1 {{ cpu_relax(); }}\n");
        assert!(parse(&text, "t.sd").is_ok(), "{source} is no source");
    }
    for ty in words::TYPES {
        let text =
            format!("scenario \"t\"; cpus 1;\n{ty} object;\ntask s on CPU0 {{ cpu_relax(); }}\n");
        assert!(parse(&text, "t.sd").is_ok(), "{ty} is no type");
    }
}
