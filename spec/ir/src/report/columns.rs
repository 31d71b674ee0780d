//! The columns: one per CPU, one row per step, marks that show in every row what each CPU has.

use super::event::{Event, WaitRow, events, silent_waits};
use super::marks::Marks;
use super::note::Note;
use super::page::Page;
use super::style::Style;
use super::{Story, list};
use crate::system::ContextId;

const NUMBER: usize = 3;
/// The narrowest column.
const LEAST: usize = 14;
/// Columns below this are narrow: little is left for indentation.
const NARROW: usize = 28;
/// Wider columns only tear the picture apart.
const WIDEST: usize = 64;

struct Table<'a> {
    story: &'a Story<'a>,
    marks: Marks,
    /// The CPUs that have a column.
    cpus: Vec<usize>,
    /// Width of the column of line numbers, 0 for none.
    lines_width: usize,
    /// Width of a column's text.
    text: usize,
    colour: bool,
    /// Per CPU: the thread that was shown last.
    thread: Vec<Option<ContextId>>,
    /// Per context, the function whose name was printed last.
    functions: Vec<String>,
    lines: Vec<String>,
}

/// Lines of one column, with their styles.
type Cell = Vec<(String, Style)>;

pub(super) fn write(page: &mut Page, story: &Story<'_>) {
    let all = events(story);
    let verbose = page.options.verbose;
    let shown = |e: &&Event| verbose || e.matters;
    let silent = silent_waits(story, &all);
    // A CPU on which nothing happens needs no column.
    let mut cpus: Vec<usize> = (0..story.protocol.cpus)
        .filter(|&cpu| {
            all.iter().filter(shown).any(|e| {
                story.cpu_of(e.context) == cpu || e.elsewhere.iter().any(|(c, _)| *c == cpu)
            }) || silent.iter().any(|(c, _)| story.cpu_of(*c) == cpu)
                || story.wrong().is_some_and(|(c, _)| story.cpu_of(c) == cpu)
        })
        .collect();
    if cpus.is_empty() {
        cpus = (0..story.protocol.cpus).collect();
    }
    let most = all
        .iter()
        .map(|e| e.line)
        .chain(silent.iter().map(|s| s.1.line))
        .max();
    let lines_width = match most {
        None | Some(0) => 0,
        Some(most) => (most.to_string().len() + 2).max(5),
    };
    let marks = Marks::new(story);
    let room = page.options.width.saturating_sub(NUMBER + lines_width) / cpus.len();
    let gap = 2 + usize::from(marks.width > 0);
    let mut table = Table {
        story,
        text: room.saturating_sub(marks.width + gap).clamp(LEAST, WIDEST),
        marks,
        cpus,
        lines_width,
        colour: page.options.colour,
        thread: vec![None; story.protocol.cpus],
        functions: vec![String::new(); story.contexts().count()],
        lines: Vec::new(),
    };
    for event in all.iter().filter(shown) {
        if story.loops_to.is_some_and(|to| event.n > to) {
            table.loop_line(page.options.width, "from here on, for ever:");
        }
        table.event(event);
    }
    if let Some(to) = story.loops_to {
        let back = format!("and back to where it was before step {}", to + 1);
        table.rule(page.options.width, &back);
    }
    for (context, row) in &silent {
        table.announce(story.end(), *context, row.line);
        table.wait(story.end(), *context, row);
    }
    if let Some((context, note)) = story.wrong()
        && let Some((_, line)) = story.stands_at(story.end(), context)
    {
        table.announce(story.end(), context, 0);
        let function = super::event::function(story, context, &line.text.function);
        table.function(story.end(), context, &function);
        let indent = table.indent(story.end(), context);
        let cell = table.statement(indent, &line.text.statement, Some(&note));
        table.one("", line.span.line, story.cpu_of(context), story.end(), cell);
    }
    let legend = table.marks.legend(story);
    if !legend.is_empty() {
        page.paragraph("", &legend);
    }
    let (number, total) = (all.iter().filter(shown).count(), all.len());
    if number < total {
        page.line(&format!("{number} of {total} steps; --verbose shows all."));
    }
    let idle: Vec<String> = (0..story.protocol.cpus)
        .filter(|c| !table.cpus.contains(c))
        .map(|c| format!("CPU{c}"))
        .collect();
    if !idle.is_empty() {
        let verb = if idle.len() == 1 { "takes" } else { "take" };
        page.line(&format!("{} {verb} no part in this run.", list(idle)));
    }
    if !legend.is_empty() || number < total || table.cpus.len() < story.protocol.cpus {
        page.blank();
    }
    let body = std::mem::take(&mut table.lines);
    let heads = table
        .cpus
        .iter()
        .map(|c| vec![(format!("CPU{c}"), Style::Head)])
        .collect();
    let rules = table
        .cpus
        .iter()
        .map(|_| vec![("----".to_string(), Style::Plain)])
        .collect();
    let blank = vec![String::new(); table.cpus.len()];
    let line = if lines_width > 0 { "line" } else { "" };
    table.row("", line, &blank, heads);
    table.row("", "", &blank, rules);
    for line in table.lines.drain(..).chain(body) {
        page.line(&line);
    }
    page.blank();
}

/// Marks where a name that is too long for the column may be broken.
const MAY_BREAK: char = '\u{1}';
/// Stands for `()`, which is not broken.
const NO_ARGUMENTS: &str = "\u{2}\u{2}";

/// Where C may be broken: at blanks, after an opening parenthesis, and where [`breakable`] says.
fn c_words(line: &str) -> Box<dyn Iterator<Item = textwrap::core::Word<'_>> + '_> {
    let words = line.split_inclusive([' ', '(', MAY_BREAK]);
    Box::new(words.map(textwrap::core::Word::from))
}

/// Lets names that are wider than `width` be broken behind an underscore.
fn breakable(text: &str, width: usize) -> String {
    let pieces = text.split_inclusive([' ', '(']).map(|piece| {
        if piece.trim_end().chars().count() > width {
            piece.replace('_', &format!("_{MAY_BREAK}"))
        } else {
            piece.to_string()
        }
    });
    pieces.collect()
}

impl Table<'_> {
    fn narrow(&self) -> bool {
        self.text < NARROW
    }

    fn column(&self, cpu: usize) -> usize {
        self.cpus.iter().position(|&c| c == cpu).unwrap_or(0)
    }

    /// One row; cells may have any number of lines.
    fn row(&mut self, number: &str, line: &str, marks: &[String], cells: Vec<Cell>) {
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        let width = self.marks.width;
        for k in 0..height {
            let (number, source) = if k == 0 { (number, line) } else { ("", "") };
            let mut line = format!("{number:>NUMBER$}");
            if self.lines_width > 0 {
                let source = format!("{source:>0$}", self.lines_width);
                line += &Style::Note.paint(&source, self.colour);
            }
            for (marks, cell) in marks.iter().zip(&cells) {
                let (text, style) = cell
                    .get(k)
                    .cloned()
                    .unwrap_or((String::new(), Style::Plain));
                let pad = self.text.saturating_sub(text.chars().count());
                let trimmed = marks.trim_end();
                let marks = Style::Bad.paint(trimmed, self.colour)
                    + &" ".repeat(width.saturating_sub(trimmed.chars().count()));
                let gap = if width > 0 { " " } else { "" };
                line += &format!(
                    "  {marks}{gap}{}{}",
                    style.paint(&text, self.colour),
                    " ".repeat(pad)
                );
            }
            self.lines.push(line.trim_end().to_string());
        }
    }

    fn marks_at(&self, n: usize) -> Vec<String> {
        self.cpus
            .iter()
            .map(|&cpu| self.marks.of(self.story, n, cpu))
            .collect()
    }

    fn rule(&mut self, width: usize, text: &str) {
        let line = format!("    ---- {text} ");
        let rest = width.min(100).saturating_sub(line.chars().count());
        self.lines.push(line + &"-".repeat(rest));
    }

    /// The rule above the circle, once.
    fn loop_line(&mut self, width: usize, text: &str) {
        if !self.lines.iter().any(|l| l.contains(text)) {
            self.rule(width, text);
        }
    }

    fn wrap(&self, indent: usize, text: &str, style: Style) -> Cell {
        let indent = indent.min(self.text / 3);
        let first = " ".repeat(indent);
        let hanging = if self.narrow() { 1 } else { 4 };
        let rest = " ".repeat(indent + hanging);
        let options = textwrap::Options::new(self.text)
            .initial_indent(&first)
            .subsequent_indent(&rest)
            .word_separator(textwrap::WordSeparator::Custom(c_words))
            .word_splitter(textwrap::WordSplitter::NoHyphenation);
        // The comment signs stay with the words next to them.
        let text = text.replace("/* ", "/*\u{a0}").replace(" */", "\u{a0}*/");
        let text = text.replace("()", NO_ARGUMENTS);
        let text = breakable(&text, self.text.saturating_sub(indent + hanging));
        textwrap::wrap(&text, options)
            .into_iter()
            .map(|line| {
                let line = line.replace('\u{a0}', " ").replace(MAY_BREAK, "");
                (line.replace(NO_ARGUMENTS, "()"), style)
            })
            .collect()
    }

    /// A statement with its comment: on one line if both fit.
    fn statement(&self, indent: usize, what: &str, note: Option<&Note>) -> Cell {
        let Some(note) = note else {
            return self.wrap(indent, what, Style::Plain);
        };
        let style = if note.bad { Style::Bad } else { Style::Note };
        let comment = if note.text.starts_with("--") {
            note.text.clone()
        } else {
            format!("/* {} */", note.text)
        };
        let one = format!("{what} {comment}").trim_start().to_string();
        if indent + one.chars().count() <= self.text {
            let style = match (note.bad, what.is_empty()) {
                (true, _) => Style::Bad,
                (false, true) => Style::Note,
                (false, false) => Style::Plain,
            };
            return self.wrap(indent, &one, style);
        }
        let mut cell = match what.is_empty() {
            true => Vec::new(),
            false => self.wrap(indent, what, Style::Plain),
        };
        cell.extend(self.wrap(indent + if self.narrow() { 1 } else { 2 }, &comment, style));
        cell
    }

    /// How far statements of a context are indented: by what it interrupted.
    fn indent(&self, n: usize, context: ContextId) -> usize {
        let per = if self.narrow() { 1 } else { 2 };
        let depth = match self.story.is_thread(context) {
            true => 0,
            false => self.story.stack(n, context).len().saturating_sub(1).max(1),
        };
        per * depth + usize::from(!self.narrow())
    }

    /// One cell in the column of a CPU.
    fn one(&mut self, number: &str, line: u32, cpu: usize, n: usize, cell: Cell) {
        let mut cells: Vec<Cell> = vec![Vec::new(); self.cpus.len()];
        let column = self.column(cpu);
        cells[column] = cell;
        let line = source_line(line);
        let marks = self.marks_at(n);
        self.row(number, &line, &marks, cells);
    }

    /// Says which thread the CPU runs now, where that is not the one before.
    fn announce(&mut self, n: usize, context: ContextId, _line: u32) {
        let cpu = self.story.cpu_of(context);
        if !self.story.is_thread(context) || self.thread[cpu] == Some(context) {
            return;
        }
        let known = self.thread[cpu].replace(context).is_some()
            && self.lines.iter().any(|l| {
                let name = &self.story.source_of(context).name;
                l.contains(&format!("{name}()"))
            });
        let head = self.story.head(context);
        let head = if known {
            format!("back in {head}")
        } else {
            head
        };
        let line = self.story.source_of(context).span.line;
        let cell = self.wrap(0, &head, Style::Head);
        self.one("", line, cpu, n, cell);
    }

    fn event(&mut self, event: &Event) {
        let story = self.story;
        let (before, after) = (event.n - 1, event.n);
        let cpu = story.cpu_of(event.context);
        if event.is_head {
            if story.is_thread(event.context) {
                self.thread[cpu] = Some(event.context);
            }
            self.functions[event.context.index()].clear();
        } else {
            self.announce(before, event.context, event.line);
            self.function(before, event.context, &event.function);
        }
        let indent = match story.view(before).place(event.context) {
            0 => self.indent(after, event.context),
            _ => self.indent(before, event.context),
        };
        let mut cells: Vec<Cell> = vec![Vec::new(); self.cpus.len()];
        let column = self.column(cpu);
        cells[column] = match event.is_head {
            true => {
                let outer = indent.saturating_sub(if self.narrow() { 1 } else { 3 });
                self.wrap(outer, &event.what, Style::Head)
            }
            false => self.statement(indent, &event.what, event.note.as_ref()),
        };
        for (other, note) in &event.elsewhere {
            let more = self.wrap(1, note, Style::Note);
            let column = self.column(*other);
            cells[column].extend(more);
        }
        let marks = self.marks_at(after);
        if cells.iter().any(|c| !c.is_empty()) {
            let line = source_line(event.line);
            self.row(&event.n.to_string(), &line, &marks, cells);
        }
        if let Some(row) = &event.waits {
            self.wait(after, event.context, row);
        }
    }

    fn wait(&mut self, n: usize, context: ContextId, row: &WaitRow) {
        if !row.statement.is_empty() {
            self.function(n, context, &row.function);
        }
        let note = Note {
            text: row.note.clone(),
            bad: true,
        };
        let indent = self.indent(n, context);
        let cell = self.statement(indent, &row.statement, Some(&note));
        let line = match row.statement.is_empty() {
            true => 0,
            false => row.line,
        };
        self.one("", line, self.story.cpu_of(context), n, cell);
    }

    /// A line with the function that the next statement is in, when it changes.
    fn function(&mut self, n: usize, context: ContextId, function: &str) {
        if self.functions[context.index()] == function {
            return;
        }
        self.functions[context.index()] = function.to_string();
        let name = match function {
            "" => format!("back in {}():", self.story.source_of(context).name),
            function => format!("{function}():"),
        };
        let indent = self
            .indent(n, context)
            .saturating_sub(usize::from(!self.narrow()));
        let cell = self.wrap(indent, &name, Style::Head);
        self.one("", 0, self.story.cpu_of(context), n, cell);
    }
}

fn source_line(line: u32) -> String {
    match line {
        0 => String::new(),
        line => format!(":{line}"),
    }
}
