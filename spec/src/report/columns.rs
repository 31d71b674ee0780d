//! The columns: one per CPU, one row per step, marks that show in every row what each CPU has.

use super::event::{Event, events};
use super::{Page, Run};
use crate::id::{CpuId, Level, LockId};
use crate::model::Action;
use crate::state::State;
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
    pub(super) fn paint(self, text: &str, colour: bool) -> String {
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

/// Marks per CPU: interrupts, `pgd_lock`, page-table locks.
const MARKS: usize = 3;
const NUMBER: usize = 3;

struct Table<'a> {
    run: &'a Run<'a>,
    /// Width of a column's text.
    text: usize,
    colour: bool,
    /// Per CPU and level, the function whose name was printed last.
    functions: Vec<[Option<&'static str>; 2]>,
    /// Marks that were used, for the legend.
    used: String,
    lines: Vec<String>,
}

pub(super) fn write(page: &mut Page, run: &Run<'_>) {
    let cpus = run.protocol.config.cpus();
    let room = page.options.width.saturating_sub(NUMBER) / cpus;
    let mut table = Table {
        run,
        text: room.saturating_sub(MARKS + 2).max(12),
        colour: page.options.colour,
        functions: vec![[None; 2]; cpus],
        used: String::new(),
        lines: Vec::new(),
    };
    let all = events(run);
    let shown = |e: &&Event<'_>| page.options.verbose || e.matters;
    let total = all.len();
    for event in all.iter().filter(shown) {
        if run.trace.loops_to.is_some_and(|to| event.n > to) {
            table.loop_line(page.options.width, "from here on, for ever:");
        }
        table.event(event);
    }
    if let Some(to) = run.trace.loops_to {
        let back = if run.closes() {
            format!("and back to where it was before step {}", to + 1)
        } else {
            format!("this should be as before step {}, but is not", to + 1)
        };
        table.rule(page.options.width, &back);
    }
    let number = all.iter().filter(shown).count();
    page.paragraph("", &table.legend());
    if number < total {
        page.line(&format!("{number} of {total} steps; --verbose shows all."));
    }
    page.blank();
    let heads = (0..cpus)
        .map(|c| vec![(format!("CPU{c}"), Style::Head)])
        .collect();
    let rules = (0..cpus)
        .map(|_| vec![("----".to_string(), Style::Plain)])
        .collect();
    let body = std::mem::take(&mut table.lines);
    let blank = vec![String::new(); cpus];
    table.row("", &blank, heads);
    table.row("", &blank, rules);
    for line in table.lines.drain(..).chain(body) {
        page.line(&line);
    }
    page.blank();
}

/// Marks where a name that is too long for the column may be broken.
const MAY_BREAK: char = '\u{1}';
/// Stands for `()`, which is not broken.
const NO_ARGUMENTS: &str = "\u{2}\u{2}";
/// Columns below this are narrow: little is left for indentation.
const NARROW: usize = 26;

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

/// Lines of one column, with their styles.
type Cell = Vec<(String, Style)>;

impl Table<'_> {
    fn narrow(&self) -> bool {
        self.text < NARROW
    }

    fn cpus(&self) -> usize {
        self.functions.len()
    }

    /// One row; cells may have any number of lines.
    fn row(&mut self, number: &str, marks: &[String], cells: Vec<Cell>) {
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        for k in 0..height {
            let mut line = format!("{:>NUMBER$}", if k == 0 { number } else { "" });
            for (marks, cell) in marks.iter().zip(&cells) {
                let (text, style) = cell
                    .get(k)
                    .cloned()
                    .unwrap_or((String::new(), Style::Plain));
                let pad = self.text.saturating_sub(text.chars().count());
                let marks = format!("{marks:<MARKS$}");
                let marks = Style::Bad.paint(marks.trim_end(), self.colour)
                    + &" ".repeat(MARKS - marks.trim_end().len());
                line += &format!(
                    " {marks} {}{}",
                    style.paint(&text, self.colour),
                    " ".repeat(pad)
                );
            }
            self.lines.push(line.trim_end().to_string());
        }
    }

    /// Interrupts, locks held and spun for, as marks.
    fn marks(&mut self, state: &State) -> Vec<String> {
        let config = &self.run.protocol.config;
        let marks: Vec<String> = state
            .each_cpu(config)
            .map(|(who, cpu)| {
                let spins = |pgd: bool| {
                    Level::ALL.iter().any(|&l| {
                        cpu.context(l)
                            .spins_for()
                            .is_some_and(|s| (s == LockId::PgdLock) == pgd)
                    })
                };
                let held = cpu
                    .context(Level::Task)
                    .held
                    .union(cpu.context(Level::Irq).held);
                let mark = |spins: bool, held: bool, small: char, large: char| match (spins, held) {
                    (true, _) => small,
                    (false, true) => large,
                    (false, false) => ' ',
                };
                let awaits = Level::ALL.iter().any(|&l| cpu.awaits_acks(config, l));
                debug_assert!(who.index() < config.cpus());
                [
                    mark(false, !cpu.irqs_on, ' ', '#').max(if awaits && cpu.irqs_on {
                        '*'
                    } else {
                        ' '
                    }),
                    mark(spins(true), held.contains(LockId::PgdLock), 'p', 'P'),
                    mark(spins(false), held.any_page_table_lock(), 't', 'T'),
                ]
                .iter()
                .collect()
            })
            .collect();
        self.used
            .extend(marks.iter().flat_map(|m: &String| m.chars()));
        marks
    }

    fn legend(&self) -> String {
        let meanings = [
            ('#', "interrupts off"),
            ('*', "awaits acks"),
            ('P', "holds pgd_lock"),
            ('p', "spins for it"),
            ('T', "holds a page-table lock"),
            ('t', "spins for one"),
        ];
        let used = meanings.iter().filter(|m| self.used.contains(m.0));
        let texts: Vec<String> = used
            .map(|(c, text)| format!("{c}\u{a0}{}", text.replace(' ', "\u{a0}")))
            .collect();
        texts.join(", ")
    }

    fn rule(&mut self, width: usize, text: &str) {
        let line = format!("    ---- {text} ");
        let rest = width.min(100).saturating_sub(line.chars().count());
        self.lines.push(line + &"-".repeat(rest));
    }

    /// The rule above the loop of a lasso, once.
    fn loop_line(&mut self, width: usize, text: &str) {
        if !self.lines.iter().any(|l| l.contains(text)) {
            self.rule(width, text);
        }
    }

    fn wrap(&self, indent: usize, text: &str, style: Style) -> Cell {
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
        let text = breakable(&text, self.text - indent - hanging);
        textwrap::wrap(&text, options)
            .into_iter()
            .map(|line| {
                let line = line.replace('\u{a0}', " ").replace(MAY_BREAK, "");
                (line.replace(NO_ARGUMENTS, "()"), style)
            })
            .collect()
    }

    /// A statement with its comment: on one line if both fit.
    fn statement(&self, indent: usize, what: &str, note: Option<&str>) -> Cell {
        let Some(note) = note else {
            return self.wrap(indent, what, Style::Plain);
        };
        let bad = note.contains("spins") || note.contains("awaits");
        let style = if bad { Style::Bad } else { Style::Note };
        let comment = if note.starts_with("--") {
            note.to_string()
        } else {
            format!("/* {note} */")
        };
        let one = format!("{what} {comment}").trim_start().to_string();
        if indent + one.chars().count() <= self.text {
            return self.wrap(indent, &one, if bad { Style::Bad } else { Style::Plain });
        }
        let mut cell = self.wrap(indent, what, Style::Plain);
        cell.extend(self.wrap(indent + if self.narrow() { 1 } else { 2 }, &comment, style));
        cell
    }

    fn event(&mut self, event: &Event<'_>) {
        let (before, after) = (&self.run.states[event.n - 1], &self.run.states[event.n]);
        let who = event.action.cpu();
        let is_step = matches!(event.action, Action::Step { .. });
        if let Some(function) = event.function {
            self.function(before, who, event.level, function);
        }
        let irq = match (event.level, self.narrow()) {
            (Level::Task, _) => 0,
            (Level::Irq, true) => 1,
            (Level::Irq, false) => 2,
        };
        let indent = irq + usize::from(!self.narrow());
        let mut cells: Vec<Cell> = vec![Vec::new(); self.cpus()];
        cells[who.index()] = if is_step {
            let what = if event.ends_wait { "" } else { &event.what };
            self.statement(indent, what, event.note.as_deref())
        } else {
            if matches!(
                event.action,
                Action::Start { .. } | Action::Ipi { .. } | Action::IrqFree { .. }
            ) {
                self.functions[who.index()][event.level as usize] = None;
            }
            self.wrap(0, &event.what, Style::Head)
        };
        for (other, note) in &event.elsewhere {
            let more = self.wrap(1, note, Style::Note);
            cells[other.index()].extend(more);
        }
        let marks = self.marks(after);
        self.row(&event.n.to_string(), &marks, cells);
        if let Some((line, wait)) = &event.waits {
            self.function(after, who, event.level, line.function);
            let mut cells: Vec<Cell> = vec![Vec::new(); self.cpus()];
            cells[who.index()] = self.statement(indent, line.source, Some(wait));
            self.row("", &marks, cells);
        }
    }

    /// A line with the function that the next statement is in, when it changes.
    fn function(&mut self, state: &State, who: CpuId, level: Level, function: &'static str) {
        let shown = &mut self.functions[who.index()][level as usize];
        if *shown == Some(function) {
            return;
        }
        let program = state.cpu(who).context(level).program;
        let first = shown.replace(function).is_none();
        if first && program.name().starts_with(function) {
            return;
        }
        let (indent, tag) = match level {
            Level::Task => (0, ""),
            Level::Irq => (if self.narrow() { 1 } else { 2 }, "[irq] "),
        };
        let mut cells: Vec<Cell> = vec![Vec::new(); self.cpus()];
        cells[who.index()] = self.wrap(indent, &format!("{tag}{function}():"), Style::Head);
        let marks = self.marks(state);
        self.row("", &marks, cells);
    }
}
