//! Conjuncts of an action: what it changes, and what it leaves as it is.

use super::variables::Variables;

/// One conjunct that gives variables their next values.
#[derive(Clone, Debug)]
pub(super) struct Effect {
    /// The variables.
    pub sets: Vec<&'static str>,
    /// The conjunct, possibly of several lines.
    pub text: String,
}

/// `variable' = value`.
pub(super) fn becomes(variable: &'static str, value: impl AsRef<str>) -> Effect {
    Effect {
        sets: vec![variable],
        text: format!("{variable}' = {}", value.as_ref()),
    }
}

/// `variable' = [variable EXCEPT at = value]`.
pub(super) fn except(variable: &'static str, at: &str, value: impl AsRef<str>) -> Effect {
    let value = value.as_ref();
    becomes(variable, format!("[{variable} EXCEPT {at} = {value}]"))
}

/// A conjunct that is an action of its own.
pub(super) fn action<const N: usize>(text: String, sets: [&'static str; N]) -> Effect {
    Effect {
        sets: sets.to_vec(),
        text,
    }
}

/// Variables that the effects change.
pub(super) fn changed<'a>(effects: impl IntoIterator<Item = &'a Effect>) -> Vec<&'static str> {
    let mut all: Vec<&'static str> = Vec::new();
    for variable in effects.into_iter().flat_map(|e| &e.sets) {
        assert!(!all.contains(variable), "{variable} is changed twice");
        all.push(variable);
    }
    all
}

/// `UNCHANGED` of these, if there are any.
pub(super) fn unchanged(variables: &[&str]) -> Option<String> {
    match variables {
        [] => None,
        [one] => Some(format!("UNCHANGED {one}")),
        all => {
            let text = format!("UNCHANGED <<{}>>", all.join(", "));
            let options = textwrap::Options::new(88)
                .subsequent_indent("            ")
                .word_separator(textwrap::WordSeparator::AsciiSpace)
                .word_splitter(textwrap::WordSplitter::NoHyphenation);
            Some(textwrap::fill(&text, options))
        }
    }
}

/// A definition: its head, and its conjuncts, the last of which keeps every other variable.
pub(super) fn define(
    head: &str,
    guards: Vec<String>,
    effects: &[Effect],
    variables: &Variables,
) -> String {
    let mut all = guards;
    all.extend(effects.iter().map(|e| e.text.clone()));
    all.extend(unchanged(&variables.all_but(&changed(effects))));
    format!("{head} ==\n{}", conjunction(&all, 4))
}

/// Conjuncts one below the other.
pub(super) fn conjunction(all: &[String], indent: usize) -> String {
    junction("/\\ ", all, indent)
}

/// Disjuncts one below the other.
pub(super) fn disjunction(all: &[String], indent: usize) -> String {
    junction("\\/ ", all, indent)
}

fn junction(sign: &str, all: &[String], indent: usize) -> String {
    let mut text = String::new();
    for one in all {
        for (n, line) in one.lines().enumerate() {
            let before = if n == 0 { sign } else { "   " };
            text += &" ".repeat(indent);
            text += before;
            text += line;
            text.push('\n');
        }
    }
    text
}
