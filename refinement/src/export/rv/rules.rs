//! How the kernel's generator reads a graph (6.18, `tools/verification/rvgen/rvgen/automata.py`), with its silences made
//! errors.
//!
//! It is no parser of DOT: it takes lines, and tokens between blanks, by position. What it accepts is written down
//! here rule by rule, so that a graph that passes is one that it takes, and means what it says. Where the generator
//! goes on with something else than was meant (the last of two transitions wins), this refuses.

use super::Automaton;
use std::collections::BTreeSet;
use thiserror::Error;

/// Why the generator would not take a graph, or would take it for another.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {reason}")]
pub struct RuleError {
    /// The line, from 1; one past the last if something is missing at the end.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

const INIT: &str = "__init_";

/// Reads a graph as the generator does; `file` gives the automaton its name.
///
/// # Errors
/// At the first line that breaks a rule.
pub fn parse(file: &str, text: &str) -> Result<Automaton, RuleError> {
    let base = file.rsplit('/').next().unwrap_or(file);
    let name = [".dot", ".gv"]
        .iter()
        .find_map(|end| base.strip_suffix(end));
    let name = name.filter(|n| !n.is_empty()).ok_or_else(|| RuleError {
        line: 1,
        reason: format!("the file is called `{base}`, not NAME.dot or NAME.gv"),
    })?;
    let mut reader = Reader {
        lines: text.split('\n').collect(),
        at: 0,
    };
    reader.head()?;
    let (states, initial, finals) = reader.nodes()?;
    reader.initial(&initial)?;
    let transitions = reader.transitions(&states)?;
    Ok(Automaton {
        name: name.to_string(),
        initial,
        finals,
        states,
        transitions,
    })
}

struct Reader<'a> {
    lines: Vec<&'a str>,
    at: usize,
}

impl<'a> Reader<'a> {
    fn refuse<T>(&self, reason: impl Into<String>) -> Result<T, RuleError> {
        Err(RuleError {
            line: self.at + 1,
            reason: reason.into(),
        })
    }

    /// The tokens of the line. It indexes the first one, so a blank line fails.
    fn tokens(&self) -> Result<Vec<&'a str>, RuleError> {
        let Some(line) = self.lines.get(self.at) else {
            return self.refuse("the graph ends here");
        };
        let tokens: Vec<&str> = line.split_whitespace().collect();
        if tokens.is_empty() {
            return self.refuse("a blank line before the end of the transitions");
        }
        Ok(tokens)
    }

    /// Rule 2: `digraph state_automaton {`, then anything up to the nodes.
    fn head(&mut self) -> Result<(), RuleError> {
        if self.tokens()? != ["digraph", "state_automaton", "{"] {
            return self.refuse("the first line is not `digraph state_automaton {`");
        }
        self.at += 1;
        while self.tokens()?[0] != "{node" {
            self.at += 1;
        }
        Ok(())
    }

    /// Rule 3: one block of `{node … "STATE"};`.
    fn nodes(&mut self) -> Result<(BTreeSet<String>, String, BTreeSet<String>), RuleError> {
        let (mut states, mut finals, mut initial) =
            (BTreeSet::new(), BTreeSet::new(), None::<String>);
        loop {
            let tokens = self.tokens()?;
            if tokens[0] != "{node" {
                break;
            }
            let last = tokens[tokens.len() - 1];
            let Some(raw) = last.strip_prefix('"').and_then(|l| l.strip_suffix("\"};")) else {
                return self.refuse(format!("the last token is `{last}`, not `\"STATE\"}};`"));
            };
            let state = self.word(raw)?;
            if let Some(of) = state.strip_prefix(INIT) {
                if initial.replace(of.to_string()).is_some() {
                    return self.refuse("a second initial state");
                }
            } else {
                // Marked anywhere in the line.
                let line = self.lines[self.at];
                if line.contains("doublecircle") || line.contains("ellipse") {
                    finals.insert(state.clone());
                }
                states.insert(state);
            }
            self.at += 1;
        }
        let Some(initial) = initial else {
            return self.refuse("no node `\"__init_STATE\"` says where it starts");
        };
        if !states.contains(&initial) {
            return self.refuse(format!("the initial state `{initial}` is no node"));
        }
        if finals.is_empty() {
            finals.insert(initial.clone());
        }
        Ok((states, initial, finals))
    }

    /// A name between quotes: commas become underscores, anything else must do in C.
    fn word(&self, raw: &str) -> Result<String, RuleError> {
        let name = raw.replace(',', "_");
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty()
            || !name.chars().all(good)
            || name.starts_with(|c: char| c.is_ascii_digit())
        {
            return self.refuse(format!("`{raw}` does not make a name in C"));
        }
        Ok(name)
    }

    /// Rule 4: the line behind the nodes is skipped by position, so it must be the right one.
    fn initial(&mut self, initial: &str) -> Result<(), RuleError> {
        let wanted = [
            format!("\"{INIT}{initial}\""),
            "->".to_string(),
            format!("\"{initial}\";"),
        ];
        if self.tokens()? != wanted {
            return self.refuse(format!(
                "here stands `{}` and nothing else",
                wanted.join(" ")
            ));
        }
        self.at += 1;
        Ok(())
    }

    /// Rules 5 to 7: a block of lines that start with a quote, ended by one that does not.
    fn transitions(
        &mut self,
        states: &BTreeSet<String>,
    ) -> Result<BTreeSet<(String, String, String)>, RuleError> {
        let mut transitions: BTreeSet<(String, String, String)> = BTreeSet::new();
        loop {
            // Behind the last line break there is no line.
            let behind = |line: &&&str| line.is_empty() && self.at + 1 == self.lines.len();
            let Some(line) = self.lines.get(self.at).filter(|line| !behind(line)) else {
                return self.refuse("no line ends the transitions: `{ rank = min ;` is usual");
            };
            if !line.trim_start().starts_with('"') {
                self.tokens()?;
                break;
            }
            let tokens = self.tokens()?;
            if tokens.get(1) == Some(&"->") {
                for (from, event, to) in self.transition(&tokens, states)? {
                    // The generator lets the last one win.
                    let other = transitions.iter().find(|t| t.0 == from && t.1 == event);
                    if let Some((_, _, first)) = other {
                        return self.refuse(format!(
                            "not deterministic: `{event}` leads from `{from}` to `{first}` already"
                        ));
                    }
                    transitions.insert((from, event, to));
                }
            }
            self.at += 1;
        }
        if transitions.is_empty() {
            return self.refuse("there are no transitions");
        }
        Ok(transitions)
    }

    /// `"a" -> "b" [ label = "ev1\nev2" ];`: the events are the last token but one.
    fn transition(
        &self,
        tokens: &[&str],
        states: &BTreeSet<String>,
    ) -> Result<Vec<(String, String, String)>, RuleError> {
        let [from, "->", to, "[", "label", "=", label, "];"] = tokens else {
            return self.refuse("a transition is `\"a\" -> \"b\" [ label = \"event\" ];`, with these blanks and no others");
        };
        let unquote = |token: &str| -> Option<String> {
            Some(token.strip_prefix('"')?.strip_suffix('"')?.to_string())
        };
        let state = |token: &str| match unquote(token) {
            Some(raw) => {
                let state = self.word(&raw)?;
                match states.contains(&state) {
                    true => Ok(state),
                    false => self.refuse(format!("`{state}` is no node")),
                }
            }
            None => self.refuse(format!("`{token}` is not in quotes")),
        };
        let Some(events) = unquote(label) else {
            return self.refuse(format!(
                "the label `{label}` is not in quotes, or has blanks"
            ));
        };
        let (from, to) = (state(from)?, state(to)?);
        let events = events.split("\\n");
        events
            .map(|event| Ok((from.clone(), self.word(event)?, to.clone())))
            .collect()
    }
}
