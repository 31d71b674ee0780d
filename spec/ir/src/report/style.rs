//! Colours of a report.

use anstyle::{AnsiColor, Effects};

/// How a piece of text is set off, when there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// A statement.
    Plain,
    /// A function or a program.
    Head,
    /// A comment.
    Note,
    /// Something that hangs, or is wrong.
    Bad,
}

impl Style {
    pub fn paint(self, text: &str, colour: bool) -> String {
        let style = match self {
            Style::Plain => anstyle::Style::new(),
            Style::Head => anstyle::Style::new().effects(Effects::BOLD),
            Style::Note => AnsiColor::Cyan.on_default(),
            Style::Bad => AnsiColor::Red.on_default().effects(Effects::BOLD),
        };
        if colour && self != Style::Plain && !text.is_empty() {
            format!("{style}{text}{style:#}")
        } else {
            text.to_string()
        }
    }
}
