//! A scenario as strict C, for people who want cscope, clang-format or an editor's C mode: what C has no words for becomes
//! macros and comments of a twelve-line header, so that `gcc -fsyntax-only` accepts the file.
//!
//! Line numbers stay: everything is replaced inside its line, and the header stands in front behind a `#line`.

use shootdown_lang::calls;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Values that the language has without a declaration.
const MASKS: [&str; 5] = [
    "cpu_online_mask",
    "cpu_possible_mask",
    "cpu_present_mask",
    "cpu_active_mask",
    "nr_cpu_ids",
];

/// The text of a scenario as C. `file` is what `#line` names.
pub fn strict_c(text: &str, file: &str) -> String {
    let tokens = tokens(text);
    let mut body = String::new();
    let mut called = BTreeSet::new();
    let mut functions = BTreeSet::new();
    let mut sources = BTreeSet::new();
    let mut flags = BTreeSet::new();
    let (mut top, mut loops) = (BTreeSet::new(), BTreeSet::new());
    let (mut depth, mut i) = (0i32, 0);
    let mut skipping = false;
    while i < tokens.len() {
        let token = tokens[i];
        let next = following(&tokens, i);
        let after = next.and_then(|n| following(&tokens, n));
        match token {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if skipping {
            body.push_str(token);
            if token == ";" {
                body.push_str(" */");
                skipping = false;
            }
            i += 1;
            continue;
        }
        let starts_item = depth == 0 && at_item(&tokens, i);
        match token {
            // `scenario "x";`, `cpus 2;`: nothing that C could say.
            "scenario" | "cpus" | "preempt" | "memory" | "expect" | "rule" | "invariant"
                if starts_item =>
            {
                body.push_str("/* ");
                body.push_str(token);
                skipping = true;
            }
            "task" | "irq" | "softirq" | "timer" | "nmi" | "work" | "stopper" if starts_item => {
                // `task f on CPU0 times 2 {` is `SOURCE void f(void) /* on CPU0 times 2 */ {`.
                let name = next.map_or("", |n| tokens[n]);
                sources.insert(name);
                let _ = write!(body, "/* {token} */ void {name}(void) /*");
                let mut at = next.map_or(i, |n| n + 1);
                while at < tokens.len() && tokens[at] != "{" {
                    body.push_str(&tokens[at].replace("*/", "* /"));
                    at += 1;
                }
                body.push_str("*/ ");
                i = at;
                continue;
            }
            "percpu" => body.push_str("PERCPU"),
            // It starts with a number, which no structure of C does.
            "struct" if next.is_some_and(|n| tokens[n] == "semaphore") => {
                body.push_str("struct_semaphore");
                i = next.map_or(i, |n| n) + 1;
                continue;
            }
            "void" if starts_item => {
                if let Some(name) = next {
                    functions.insert(tokens[name]);
                }
                body.push_str(token);
            }
            "either" => body.push_str("if (EITHER)"),
            "or" if depth > 0 => body.push_str("else if (EITHER)"),
            "atomic" if next.is_some_and(|n| tokens[n] == "{") => body.push_str("/* atomic */"),
            "in" if is_range(&tokens, next) => {
                body.push_str("/* in ");
                let mut at = i + 1;
                while at < tokens.len() && !matches!(tokens[at], "=" | "," | ";") {
                    body.push_str(tokens[at]);
                    at += 1;
                }
                body.push_str("*/ ");
                i = at;
                continue;
            }
            "reader_pref" | "fair" | "strict" if depth == 0 => {
                let _ = write!(body, "/* {token} */");
            }
            _ => {
                if depth == 0 {
                    top.insert(token);
                }
                if token.starts_with("for_each") {
                    loops.extend(after.map(|n| tokens[n]).filter(|t| is_name(t)));
                }
                if next.is_some_and(|n| tokens[n] == "(") && is_name(token) {
                    called.insert(token);
                    if token.ends_with("irqsave")
                        || token.ends_with("irqrestore")
                        || token == "local_irq_save"
                        || token == "local_irq_restore"
                    {
                        flags.extend(last_argument(&tokens, i));
                    }
                }
                body.push_str(token);
            }
        }
        i += 1;
    }
    // What the language declares by itself, and no item of the file does.
    let masks = tokens.iter().filter(|t| MASKS.contains(*t));
    let own: BTreeSet<&str> = masks
        .chain(&flags)
        .chain(&loops)
        .filter(|n| !top.contains(**n))
        .copied()
        .collect();
    header(text, file, &called, &functions, &sources, &own) + &body
}

/// Twelve lines.
fn header(
    text: &str,
    file: &str,
    called: &BTreeSet<&str>,
    functions: &BTreeSet<&str>,
    sources: &BTreeSet<&str>,
    own_variables: &BTreeSet<&str>,
) -> String {
    let macros = ["for_each_cpu", "per_cpu", "if", "while", "return"];
    let unknown: Vec<String> = called
        .iter()
        .filter(|c| !functions.contains(*c) && !macros.contains(c) && !c.starts_with("for_each"))
        .filter(|c| calls::find(c).is_some() || is_name(c))
        .map(|c| format!("long {c}();"))
        .collect();
    let own: Vec<String> = functions
        .iter()
        .chain(sources)
        .map(|f| format!("void {f}();"))
        .collect();
    let variables: Vec<String> = own_variables
        .iter()
        .map(|f| format!("static long {f};"))
        .collect();
    format!(
        "/* A scenario of shootdown as C, for editors and cscope: gcc -std=gnu89 -fsyntax-only accepts it. */\n\
         typedef int bool, cpumask_t, atomic_t, spinlock_t, raw_spinlock_t, rwlock_t, seqcount_t, seqlock_t, struct_semaphore;\n\
         typedef int call_single_data_t, wait_queue_head_t, u8, u16, u32, u64, pid_t, refcount_t, atomic64_t;\n\
         struct mutex {{ int x; }}; struct rw_semaphore {{ int x; }}; struct completion {{ int x; }}; struct srcu_struct {{ int x; }}; struct rcu_head {{ int x; }};\n\
         enum {{ false, true, NR_CPUS = {cpus} }}; extern int this_cpu, EITHER; static void *NULL_;\n\
         #define NULL NULL_\n\
         #define PERCPU\n\
         #define for_each_cpu(cpu, mask) for ((cpu) = 0; (cpu) < NR_CPUS; (cpu)++) if ((mask), 1)\n\
         #define per_cpu(var, cpu) (*((cpu), &(var)))\n\
         {}\n{}\n{} \n#line 1 \"{}\"\n",
        unknown.join(" "),
        own.join(" "),
        variables.join(" "),
        file.replace('\\', "\\\\").replace('"', "\\\""),
        cpus = cpus(text),
    )
}

fn cpus(text: &str) -> u32 {
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        if word == "cpus" {
            let digits = words.next().unwrap_or_default().trim_end_matches(';');
            return digits.parse().unwrap_or(2);
        }
    }
    2
}

/// Words, numbers, strings, comments, blanks and single signs, each a token.
fn tokens(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |n| n + 2)
        } else if c == '"' {
            rest[1..].find('"').map_or(rest.len(), |n| n + 2)
        } else if c.is_ascii_alphanumeric() || c == '_' {
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .unwrap_or(rest.len())
        } else if c.is_whitespace() {
            rest.find(|c: char| !c.is_whitespace())
                .unwrap_or(rest.len())
        } else {
            c.len_utf8()
        };
        let (token, tail) = rest.split_at(len);
        out.push(token);
        rest = tail;
    }
    out
}

fn is_blank(token: &str) -> bool {
    token.starts_with("//") || token.starts_with("/*") || token.trim().is_empty()
}

fn is_name(token: &str) -> bool {
    token
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
}

fn following(tokens: &[&str], i: usize) -> Option<usize> {
    (i + 1..tokens.len()).find(|&n| !is_blank(tokens[n]))
}

/// Does an item begin here?
fn at_item(tokens: &[&str], i: usize) -> bool {
    let before = tokens[..i].iter().rev().find(|t| !is_blank(t));
    before.is_none_or(|t| matches!(*t, ";" | "}"))
}

/// `in 0..3` behind a declared name.
fn is_range(tokens: &[&str], next: Option<usize>) -> bool {
    let Some(next) = next else { return false };
    let number = |t: &str| t == "-" || t.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    number(tokens[next]) && tokens[next..].iter().take(6).any(|t| *t == ".")
}

/// The name in front of the parenthesis that closes a call.
fn last_argument<'s>(tokens: &[&'s str], call: usize) -> Option<&'s str> {
    let mut depth = 0;
    let mut last = None;
    for token in &tokens[call + 1..] {
        match *token {
            "(" => depth += 1,
            ")" => {
                depth -= 1;
                if depth == 0 {
                    return last;
                }
            }
            token if is_name(token) => last = Some(token),
            _ => {}
        }
    }
    None
}
