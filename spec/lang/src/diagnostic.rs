//! What is wrong with a scenario, as data.
//!
//! An **error** says that no search could give a statement a meaning: nothing is lowered, and no verdict exists.
//! A **warning** says what a check of the text already suspects (sleeping in atomic context, an acknowledgement
//! awaited with interrupts off, a lock taken twice). The search decides whether it happens, so that a scenario
//! that is wrong on purpose, and says so with `expect violated`, still reaches it.

use crate::code::Code;
pub use crate::code::Severity;
use crate::source::{SourceFile, Span};

/// The errors of one file that are reported at most. The rest mostly follow from the first.
pub const MOST_ERRORS: usize = 10;

/// A place and what is to be said about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What, possibly nothing.
    pub text: String,
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// Which check found it: `shootdown explain CODE` has the long form.
    pub code: &'static Code,
    /// What is wrong, in one line.
    pub message: String,
    /// Where.
    pub primary: Label,
    /// Places that belong to the story.
    pub secondary: Vec<Label>,
    /// The source in which it happens ("task change_page_attr (CPU0)"), where that matters.
    pub within: Option<String>,
    /// More to know, a line each.
    pub notes: Vec<String>,
    /// What to write instead, a line each.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// A diagnostic at a place, without anything else.
    #[must_use]
    pub fn new(code: &'static Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            primary: Label {
                span,
                text: String::new(),
            },
            secondary: Vec::new(),
            within: None,
            notes: Vec::new(),
            help: Vec::new(),
        }
    }

    /// Whether it stops the check.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.code.severity
    }

    /// Words under the marked place.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Self {
        self.primary.text = text.into();
        self
    }

    /// A second place that belongs to the story.
    #[must_use]
    pub fn also(mut self, span: Span, text: impl Into<String>) -> Self {
        self.secondary.push(Label {
            span,
            text: text.into(),
        });
        self
    }

    /// A line of background.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// A line with the cure.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    /// The cure, if there is one to offer.
    #[must_use]
    pub fn help_if(self, text: Option<String>) -> Self {
        match text {
            Some(text) => self.help(text),
            None => self,
        }
    }

    /// The source in which it happens.
    #[must_use]
    pub fn within(mut self, source: impl Into<String>) -> Self {
        self.within = Some(source.into());
        self
    }
}

/// Everything that is wrong with one file, in the order of its lines.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    /// The file.
    pub file: SourceFile,
    /// What is wrong, errors and warnings.
    pub list: Vec<Diagnostic>,
    /// Whether there were more than [`MOST_ERRORS`] errors.
    pub cut: bool,
}

impl Diagnostics {
    /// Nothing wrong yet.
    pub(crate) fn new(file: SourceFile) -> Self {
        Self {
            file,
            list: Vec::new(),
            cut: false,
        }
    }

    /// How many errors there are.
    #[must_use]
    pub fn errors(&self) -> usize {
        let is_error = |d: &&Diagnostic| d.severity() == Severity::Error;
        self.list.iter().filter(is_error).count()
    }

    /// Adds one, unless it repeats another at the same place or there are too many already.
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        let same = |d: &Diagnostic| {
            d.primary.span == diagnostic.primary.span && d.code.name == diagnostic.code.name
        };
        if self.list.iter().any(same) {
            return;
        }
        if diagnostic.severity() == Severity::Error && self.errors() >= MOST_ERRORS {
            self.cut = true;
            return;
        }
        // Warnings are as many as there are places, and a file has few; still, stop somewhere.
        if self.list.len() < 10 * MOST_ERRORS {
            self.list.push(diagnostic);
        }
    }

    /// Whether the limit on errors is reached: nothing more needs to be looked for.
    pub(crate) fn full(&self) -> bool {
        self.cut
    }

    /// Puts them in the order of the lines, as a reader goes through the file.
    pub(crate) fn sort(&mut self) {
        self.list.sort_by_key(|d| (d.primary.span, d.code.name));
    }
}
