//! Diagnostics as text, in the look that rustc made known.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::diagnostic::{Diagnostic, Diagnostics, MOST_ERRORS, Severity};
use crate::source::{SourceFile, Span};

impl Diagnostics {
    /// All of them as text, with terminal colours if `colour`.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let mut out = String::new();
        for diagnostic in &self.list {
            out.push_str(&diagnostic.render(&self.file, colour));
            out.push('\n');
        }
        if self.cut {
            out.push_str(&format!(
                "{}: more than {MOST_ERRORS} errors; the rest is not shown\n",
                self.file.name
            ));
        }
        out
    }
}

impl Diagnostic {
    /// It as text over the lines of `file`, ending in a line break.
    #[must_use]
    pub fn render(&self, file: &SourceFile, colour: bool) -> String {
        let level = match self.severity() {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let window = Window::around(file, self);
        let mut snippet = Snippet::source(window.text)
            .line_start(window.first_line)
            .path(file.name.as_str())
            .annotation(
                AnnotationKind::Primary
                    .span(window.place(self.primary.span))
                    .label(some(&self.primary.text)),
            );
        for label in &self.secondary {
            snippet = snippet.annotation(
                AnnotationKind::Context
                    .span(window.place(label.span))
                    .label(some(&label.text)),
            );
        }
        let mut group = Group::with_title(
            level
                .primary_title(self.message.as_str())
                .id(self.code.name),
        )
        .element(snippet);
        if let Some(within) = &self.within {
            group = group.element(Level::NOTE.with_name("in").message(within.as_str()));
        }
        for note in &self.notes {
            group = group.element(Level::NOTE.message(note.as_str()));
        }
        for help in &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let mut text = renderer.render(&[group]);
        text.push('\n');
        text
    }
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// The part of a file that a diagnostic shows. The renderer looks at every line it is given: a window keeps a large
/// file as quick as a small one, and a line of a megabyte readable.
struct Window<'a> {
    text: &'a str,
    start: usize,
    first_line: usize,
}

/// More of a line than this is not shown.
const LONGEST: usize = 400;

impl<'a> Window<'a> {
    fn around(file: &'a SourceFile, diagnostic: &Diagnostic) -> Self {
        let text = file.text.as_str();
        let spans = || {
            diagnostic
                .secondary
                .iter()
                .map(|l| l.span)
                .chain([diagnostic.primary.span])
        };
        let first = spans()
            .map(|s| s.start as usize)
            .min()
            .unwrap_or(0)
            .min(text.len());
        let last = spans()
            .map(|s| s.end as usize)
            .max()
            .unwrap_or(0)
            .min(text.len());
        let line_start = text.as_bytes()[..first]
            .iter()
            .rposition(|&b| b == b'\n')
            .map_or(0, |at| at + 1);
        let line_end = text.as_bytes()[last..]
            .iter()
            .position(|&b| b == b'\n')
            .map_or(text.len(), |at| last + at);
        let mut start = line_start.max(first.saturating_sub(LONGEST));
        let mut end = line_end.min(last + LONGEST);
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        while !text.is_char_boundary(end) {
            end += 1;
        }
        let end = end.max(start);
        Self {
            text: &text[start..end],
            start,
            first_line: file.line_column(u32::try_from(start).unwrap_or(u32::MAX)).0 as usize,
        }
    }

    fn place(&self, span: Span) -> std::ops::Range<usize> {
        let inside = |at: u32| {
            let mut at = (at as usize)
                .saturating_sub(self.start)
                .min(self.text.len());
            while !self.text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let (start, end) = (inside(span.start), inside(span.end));
        start..end.max(start)
    }
}
