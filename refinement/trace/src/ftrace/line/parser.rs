//! Tries the shapes, the one of the line before first.

use super::cursor::blanks;
use super::graph::Graph;
use super::{Legend, Parsed, Shape, columns, lttng, note, perf, prefix};

/// Reads lines, and remembers what they said of those that follow.
#[derive(Debug, Default)]
pub struct Parser {
    /// What the header said.
    pub legend: Legend,
    /// Loggers put something before the last event, so other lines between are theirs.
    pub logged: bool,
    /// The trace is inside a web page.
    pub page: Option<Page>,
    shape: Option<Shape>,
    graph: Graph,
}

/// Where in a web page a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// Outside the trace.
    Around,
    /// In the trace.
    Trace,
}

impl Parser {
    /// Reads a line, without its newline.
    pub fn parse<'a>(&mut self, bytes: &'a [u8]) -> Parsed<'a> {
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let bytes = match self.page {
            Some(_) => self.in_page(bytes),
            None => bytes,
        };
        let start = prefix::after_printk(bytes);
        match self.at(bytes, start) {
            Parsed::Text => {}
            parsed => {
                if let Parsed::Event(_) = parsed {
                    self.logged = start > 0;
                }
                return parsed;
            }
        }
        let Some(start) = prefix::after_loggers(bytes).filter(|&at| at > start) else {
            return self.text(bytes);
        };
        match self.at(bytes, start) {
            Parsed::Text => self.text(bytes),
            parsed => {
                self.logged |= matches!(parsed, Parsed::Event(_));
                parsed
            }
        }
    }

    /// The line from this place on, as any of the shapes.
    fn at<'a>(&mut self, bytes: &'a [u8], start: usize) -> Parsed<'a> {
        let rest = &bytes[start + blanks(&bytes[start..])..];
        match rest.first() {
            None => return Parsed::Text,
            Some(b'#') => return self.comment(rest),
            Some(b'C' | b'c') => {
                if let Some(note) = note::cpu(rest) {
                    self.legend.note(rest);
                    return note;
                }
            }
            Some(b'=') => {
                if let Some(frame) = note::frame(&bytes[start..]) {
                    return frame;
                }
            }
            _ => {}
        }
        let last = self.shape;
        if let Some(shape @ (Shape::Perf | Shape::Graph | Shape::Lttng)) = last
            && let Some(parsed) = self.shaped(shape, bytes, start)
        {
            return parsed;
        }
        if let Some(parsed) = columns::parse(bytes, start, &self.legend) {
            self.shape = Some(Shape::Table);
            return parsed;
        }
        for shape in [Shape::Graph, Shape::Lttng, Shape::Perf] {
            if last != Some(shape)
                && let Some(parsed) = self.shaped(shape, bytes, start)
            {
                if let Parsed::Event(_) | Parsed::Comment = parsed {
                    self.shape = Some(shape);
                } else if last.is_some() {
                    // A line of the console that looks a little like it.
                    continue;
                }
                return parsed;
            }
        }
        if last == Some(Shape::Perf)
            && let Some(frame) = note::frame(bytes)
        {
            return frame;
        }
        let rule = last == Some(Shape::Graph) && rest.iter().all(|b| *b == b'-');
        if rule { Parsed::Comment } else { Parsed::Text }
    }

    fn shaped<'a>(&mut self, shape: Shape, bytes: &'a [u8], start: usize) -> Option<Parsed<'a>> {
        match shape {
            Shape::Perf => perf::parse(bytes, start),
            Shape::Graph => self.graph.parse(bytes, start, &self.legend),
            Shape::Lttng => lttng::parse(bytes, start),
            Shape::Table | Shape::Dump => None,
        }
    }

    fn comment(&mut self, rest: &[u8]) -> Parsed<'static> {
        self.legend.comment(rest);
        entries(rest).unwrap_or(Parsed::Comment)
    }

    fn text(&mut self, bytes: &[u8]) -> Parsed<'static> {
        let trimmed = bytes.trim_ascii();
        if self.page.is_none() && self.shape.is_none() {
            let start: Vec<u8> = trimmed
                .iter()
                .take(14)
                .map(u8::to_ascii_lowercase)
                .collect();
            if start.starts_with(b"<!doctype html") || start.starts_with(b"<html") {
                self.page = Some(Page::Around);
            }
        }
        Parsed::Text
    }

    /// A line of systrace's page: `<script class="trace-data">`, or a long string of JavaScript.
    fn in_page<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let find = |what: &[u8]| memchr::memmem::find(bytes, what).is_some();
        if self.page == Some(Page::Around) {
            if find(b"trace-data") || find(b"linuxPerfData") {
                self.page = Some(Page::Trace);
                return &bytes[bytes.iter().position(|b| *b == b'#').unwrap_or(0)..];
            }
        } else if find(b"</script>") || bytes.starts_with(b"\";") {
            self.page = Some(Page::Around);
        }
        bytes.strip_suffix(b"\\n\\").unwrap_or(bytes)
    }

    /// Lines that are no events may stand between the events.
    pub fn text_between(&self) -> bool {
        self.logged || self.page == Some(Page::Around)
    }
}

/// `# entries-in-buffer/entries-written: 71482/71482   #P:3`
fn entries(rest: &[u8]) -> Option<Parsed<'static>> {
    let text = std::str::from_utf8(rest).ok()?;
    let counts = text.strip_prefix("# entries-in-buffer/entries-written:")?;
    let (buffer, written) = counts.split_whitespace().next()?.split_once('/')?;
    Some(Parsed::Entries(buffer.parse().ok()?, written.parse().ok()?))
}
