//! Text that is being written, and the head of a report.

use super::style::Style;
use super::{Story, TextOptions, plural, property::promise};
use crate::protocol::{Memory, Preempt};

/// Text that is being written.
pub(super) struct Page {
    pub out: String,
    pub options: TextOptions,
}

impl Page {
    pub fn new(options: TextOptions) -> Page {
        Page {
            out: String::new(),
            options,
        }
    }

    pub fn blank(&mut self) {
        self.out.push('\n');
    }

    pub fn line(&mut self, line: &str) {
        self.out.push_str(line.replace('\u{a0}', " ").trim_end());
        self.out.push('\n');
    }

    /// A paragraph behind `indent`, wrapped.
    pub fn paragraph(&mut self, indent: &str, text: &str) {
        let options = textwrap::Options::new(self.options.width.max(40))
            .initial_indent(indent)
            .subsequent_indent(indent)
            .break_words(false)
            .word_separator(textwrap::WordSeparator::AsciiSpace)
            .word_splitter(textwrap::WordSplitter::NoHyphenation);
        for line in textwrap::wrap(text, options) {
            self.line(&line);
        }
    }

    /// A title in bold with a paragraph under it.
    pub fn titled(&mut self, title: &str, text: &str) {
        let title = Style::Bad.paint(title, self.options.colour);
        self.line(&format!("{title}:"));
        for paragraph in text.lines() {
            self.paragraph("  ", paragraph);
        }
    }

    /// `  name  text`, wrapped behind the name.
    pub fn field(&mut self, name: &str, text: &str) {
        let indent = "            ";
        let name = format!("  {name:<9} ");
        let options = textwrap::Options::new(self.options.width.max(40))
            .initial_indent(&name)
            .subsequent_indent(indent)
            .break_words(false)
            .word_separator(textwrap::WordSeparator::AsciiSpace)
            .word_splitter(textwrap::WordSplitter::NoHyphenation);
        for line in textwrap::wrap(text, options) {
            self.line(&line);
        }
    }
}

/// What is violated, or that nothing is claimed of the run, and of which protocol.
pub(super) fn header(page: &mut Page, story: &Story<'_>) {
    let p = story.protocol;
    match &story.claim {
        Some(claim) => {
            let after = match story.loops_to {
                Some(_) => "by a run that goes on for ever".to_string(),
                None if story.is_empty() => "at the start".to_string(),
                None => format!("after {}", plural(story.len(), "step")),
            };
            let invariant = p.invariants.iter().find(|i| i.name == claim.name);
            let promise = match invariant {
                Some(invariant) => format!("the invariant {}", invariant.text),
                None => promise(&claim.name).unwrap_or_default().to_string(),
            };
            page.titled(&format!("{} is violated {after}", claim.name), &promise);
        }
        None => page.paragraph("", &format!("A run of {}.", plural(story.len(), "step"))),
    }
    page.field("scenario", &p.name);
    if !p.file.is_empty() {
        page.field("file", &p.file);
    }
    let preempt = match p.preempt {
        Preempt::None => ", preempt none",
        Preempt::Full => "",
    };
    let memory = match p.memory {
        Memory::Tso => ", memory tso",
        Memory::Sc => "",
    };
    let on = format!("{}{preempt}{memory}", plural(p.cpus, "CPU"));
    page.field("runs on", &on);
    page.blank();
}
