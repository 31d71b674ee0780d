//! A run with store buffers, in the same columns as any other.

use super::TextOptions;
use super::columns::Style;
use crate::check::{BufferedRun, BufferedStep, Does};
use textwrap::{Options, wrap};

const NUMBER: usize = 3;
const LEAST: usize = 14;

/// The run as lines; `<now in memory: ...>` is a store that leaves its CPU's buffer.
pub fn buffered(run: &BufferedRun, options: &TextOptions) -> String {
    let cpus = run.start.len().max(1);
    let width = (options.width.saturating_sub(NUMBER) / cpus)
        .saturating_sub(2)
        .max(LEAST);
    let mut text = String::new();
    let starts = run.start.iter().enumerate().map(|(cpu, mm)| match mm {
        Some(mm) => format!("CPU{cpu} on {mm}"),
        None => format!("CPU{cpu} on no mm"),
    });
    text += &format!("  start     {}\n\n", starts.collect::<Vec<_>>().join(", "));
    let row = |number: &str, cpu: usize, line: &str, style: Style| {
        let mut row = format!("{number:>NUMBER$}");
        row += &" ".repeat(cpu * (width + 2) + 2);
        row += &style.paint(line, options.colour);
        row + "\n"
    };
    let heads = |what: &dyn Fn(usize) -> String| {
        let cells = (0..cpus).map(|cpu| format!("  {:<width$}", what(cpu)));
        let line: String = cells.collect();
        format!("{:NUMBER$}{}\n", "", line.trim_end())
    };
    text += &heads(&|cpu| format!("CPU{cpu}"));
    text += &heads(&|_| "----".to_string());
    // By CPU and level, the function whose name was printed last.
    let mut functions = vec![[""; 2]; cpus];
    for (n, step) in run.steps.iter().enumerate() {
        let number = (n + 1).to_string();
        let shown = &mut functions[step.cpu][usize::from(step.in_interrupt)];
        let mut number = number.as_str();
        if matches!(step.what, Does::Statement(_)) && *shown != step.function {
            *shown = step.function;
            let indent = indent(step, 0);
            text += &row(
                "",
                step.cpu,
                &format!("{indent}{}():", step.function),
                Style::Head,
            );
        }
        let (line, style) = told(step);
        if let Does::Starts(program, _) = &step.what {
            *shown = program;
        }
        let indent = indent(step, usize::from(matches!(step.what, Does::Statement(_))));
        let hanging = format!("{indent}    ");
        let wrapping = Options::new(width)
            .initial_indent(&indent)
            .subsequent_indent(&hanging);
        for line in wrap(&line, wrapping) {
            text += &row(number, step.cpu, &line, style);
            number = "";
        }
    }
    text
}

fn indent(step: &BufferedStep, more: usize) -> String {
    "  ".repeat(usize::from(step.in_interrupt) + more)
}

fn told(step: &BufferedStep) -> (String, Style) {
    match &step.what {
        Does::Starts(program, None) => (format!("{program}()"), Style::Head),
        Does::Starts(program, Some(mm)) => (format!("{program}({mm})"), Style::Head),
        Does::Interrupt(text) => (format!("<{text}>"), Style::Note),
        Does::Statement(statement) => ((*statement).to_string(), Style::Plain),
        Does::Fills(entry) => (format!("<hardware caches {entry}>"), Style::Note),
        Does::Drains(store) => (format!("<now in memory: {store}>"), Style::Note),
    }
}
