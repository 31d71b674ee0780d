//! A scenario's text, and places in it.

use std::ops::Range;

/// A part of a scenario's text, in bytes from its start.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, PartialOrd, Ord)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl Span {
    /// The part from `start` up to, but without, `end`.
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            start: narrow(start),
            end: narrow(end),
        }
    }

    /// From the start of `self` to the end of `other`.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }

    /// The empty place just behind `self`: where something is missing.
    #[must_use]
    pub fn after(self) -> Self {
        Self {
            start: self.end,
            end: self.end,
        }
    }

    /// As a range of bytes.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// What is shown of a statement at most, in bytes.
const LONGEST_LINE: usize = 300;

/// A scenario's text under the name that its diagnostics print.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// What to call the file.
    pub name: String,
    /// Its text.
    pub text: String,
    lines: Vec<u32>,
}

impl SourceFile {
    /// `text`, called `name`.
    #[must_use]
    pub fn new(name: &str, text: &str) -> Self {
        let mut lines = vec![0];
        for (at, byte) in text.bytes().enumerate() {
            if byte == b'\n' {
                lines.push(u32::try_from(at + 1).unwrap_or(u32::MAX));
            }
        }
        Self {
            name: name.to_owned(),
            text: text.to_owned(),
            lines,
        }
    }

    /// The line and the column of a byte, both from 1. The column counts characters, a tab as one.
    #[must_use]
    pub fn line_column(&self, at: u32) -> (u32, u32) {
        let line = self.lines.partition_point(|&start| start <= at).max(1) - 1;
        let start = self.lines[line] as usize;
        let mut end = (at as usize).min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        // On a line that nobody can read, bytes will do.
        let before = &self.text[start.min(end)..end];
        let column = if before.len() > 4096 {
            before.len()
        } else {
            before.chars().count()
        } + 1;
        (
            u32::try_from(line + 1).unwrap_or(u32::MAX),
            u32::try_from(column).unwrap_or(u32::MAX),
        )
    }

    /// The text of a part.
    #[must_use]
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or("")
    }

    /// The text of a part on one line: comments go, and white space becomes one blank.
    #[must_use]
    pub fn one_line(&self, span: Span) -> String {
        let mut out = String::new();
        let mut rest = self.slice(span);
        while let Some(c) = rest.chars().next() {
            if out.len() > LONGEST_LINE {
                out.push_str("...");
                break;
            }
            if rest.starts_with("//") {
                rest = rest.find('\n').map_or("", |end| &rest[end..]);
            } else if rest.starts_with("/*") {
                rest = rest.find("*/").map_or("", |end| &rest[end + 2..]);
            } else {
                if !c.is_whitespace() {
                    out.push(c);
                } else if !out.ends_with(' ') && !out.is_empty() {
                    out.push(' ');
                }
                rest = &rest[c.len_utf8()..];
            }
        }
        out.truncate(out.trim_end().len());
        out
    }
}
