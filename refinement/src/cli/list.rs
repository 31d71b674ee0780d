//! `list`: every name there is, each with a line that explains it.

use super::Format;
use super::error::CliError;
use super::exit_code::ExitCode;
use super::output;
use super::subject::Subject;
use clap::ValueEnum;
use comfy_table::presets;
use serde::Serialize;
use shootdown_refinement::map;
use shootdown_spec::barrier::BARRIERS;
use shootdown_spec::config::Config;
use shootdown_spec::design::{DESIGNS, Flush, PgdLock, Ptl};
use shootdown_spec::environment::{ENVIRONMENTS, FlushBackend};
use shootdown_spec::program::PROGRAMS;
use shootdown_spec::property::{Decided, PROPERTIES};
use shootdown_spec::variant::VARIANTS;
use shootdown_spec::workload::{GROUPS, WORKLOADS};
use std::fmt::Write as _;

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Section {
    /// What the kernel chooses.
    Designs,
    /// What it is built with and runs on.
    Environments,
    /// The values of every axis.
    Axes,
    /// The kernel paths.
    Programs,
    /// What is promised.
    Properties,
    /// Named workloads.
    Workloads,
    /// Deliberate deviations.
    Variants,
    /// What keeps stores in order, and can be left out with `check --memory tso`.
    Barriers,
    /// Commands on scenario files, and what they are written in.
    Scenarios,
    /// The steps of every program of one configuration.
    Steps,
}

/// Arguments of `list`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One section only
    #[arg(value_enum)]
    section: Option<Section>,
    /// As Markdown: properties and steps make docs/properties.md and docs/kernel-map.md
    #[arg(long, conflicts_with = "format")]
    markdown: bool,
    /// Text for people or JSON for programs
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// For `steps`: whose steps
    #[command(flatten)]
    subject: Subject,
}

const SCENARIOS: &[(&str, &str)] = &[
    ("new NAME", "writes a commented scenario to begin with"),
    (
        "check FILE...",
        "verdicts and the shortest counterexample; a folder: a line for each file",
    ),
    (
        "check --compare A B",
        "what changed between two files, and what came of it",
    ),
    (
        "prove FILE",
        "no deadlock for any number of CPUs, or the cycle",
    ),
    ("explore FILE", "the page"),
    ("replay 'STRING' FILE", "a printed run again, step by step"),
    (
        "export KIND FILE",
        "itf, perfetto, shiviz, dot, splat, markdown, promela, tla, c",
    ),
    ("second-opinion FILE...", "Spin on the same steps, or TLC"),
    ("report FILE", "one HTML page for a design review"),
    (
        "explain [CODE]",
        "what a message or a property means; without CODE, all of them",
    ),
];

/// A list of names.
#[derive(Debug, Serialize)]
struct Listing {
    title: &'static str,
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

/// Prints the lists.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let sections = match args.section {
        Some(section) => vec![section],
        None => Section::value_variants()
            .iter()
            .copied()
            .filter(|s| *s != Section::Steps)
            .collect(),
    };
    let listings = sections
        .iter()
        .map(|s| listing(*s, args))
        .collect::<Result<Vec<_>, CliError>>()?;
    let mut out = String::new();
    if args.markdown {
        match args.section {
            Some(Section::Properties) => out += &properties_markdown(),
            Some(Section::Steps) => out += &steps_markdown(&args.config()?),
            _ => {
                for listing in &listings {
                    out += &markdown(listing);
                }
            }
        }
    } else if args.format == Format::Json {
        #[derive(Serialize)]
        struct Lists<'a> {
            schema: &'static str,
            lists: &'a [Listing],
        }
        let lists = Lists {
            schema: "shootdown/list/1",
            lists: &listings,
        };
        output::print_json(&lists)?;
    } else {
        for listing in &listings {
            let _ = writeln!(
                out,
                "{}\n{}\n",
                output::wrap(listing.title, output::width(), 2),
                table(listing)
            );
        }
    }
    output::print(out)?;
    Ok(ExitCode::AsPromised)
}

impl Args {
    fn config(&self) -> Result<Config, CliError> {
        self.subject.config("v2.6.38", "everything")
    }
}

/// The generated pages: docs/properties.md and docs/kernel-map.md.
pub fn pages() -> Result<(String, String), CliError> {
    let config = Subject::default().config("v2.6.38", "everything")?;
    Ok((properties_markdown(), steps_markdown(&config)))
}

fn listing(section: Section, args: &Args) -> Result<Listing, CliError> {
    let s = |text: &str| text.to_string();
    let listing = |title, columns: &[&'static str], rows| Listing {
        title,
        columns: columns.to_vec(),
        rows,
    };
    Ok(match section {
        Section::Designs => listing(
            "Designs (--design)",
            &[
                "name",
                "pgd_lock",
                "walk takes ptl",
                "ptl",
                "flush",
                "origin",
            ],
            DESIGNS
                .iter()
                .map(|d| {
                    let takes = if d.design.walk_takes_ptl { "yes" } else { "no" };
                    let a = &d.design;
                    vec![
                        s(d.name),
                        a.pgd_lock.to_string(),
                        s(takes),
                        a.ptl.to_string(),
                        a.flush.to_string(),
                        s(d.origin),
                    ]
                })
                .collect(),
        ),
        Section::Environments => listing(
            "Environments (--env)",
            &["name", "axes", "stands for"],
            ENVIRONMENTS
                .iter()
                .map(|e| vec![s(e.name), e.environment.to_string(), s(e.about)])
                .collect(),
        ),
        Section::Axes => listing(
            "Axes",
            &["flag", "values", "what it changes"],
            vec![
                vec![
                    s("--pgd-lock"),
                    names(PgdLock::NAMES),
                    s("how pgd_lock is taken"),
                ],
                vec![
                    s("--walk-takes-ptl"),
                    s("yes, no"),
                    s("whether the walk takes each mm's page_table_lock"),
                ],
                vec![
                    s("--ptl"),
                    names(Ptl::NAMES),
                    s("how page-table locks are taken"),
                ],
                vec![
                    s("--flush"),
                    names(Flush::NAMES),
                    s("where a changed entry is flushed"),
                ],
                vec![s("--cpus"), s("1 to 4"), s("CPUs")],
                vec![
                    s("--mms"),
                    s("1 to 3"),
                    s("mms alive at the start; pgd_alloc may add one"),
                ],
                vec![
                    s("--ops-per-cpu"),
                    s("1 to 4"),
                    s("programs each CPU may start; interrupts are not counted"),
                ],
                vec![
                    s("--split-ptlocks"),
                    s("on, off"),
                    s("whether the pte has a lock of its own"),
                ],
                vec![
                    s("--thp"),
                    s("on, off"),
                    s("whether every mm also maps a huge pmd"),
                ],
                vec![
                    s("--flush-backend"),
                    names(FlushBackend::NAMES),
                    s("IPIs with acknowledgements, or one hypercall"),
                ],
                vec![
                    s("--xen-pin"),
                    s("on, off"),
                    s("whether Xen pins page tables; implies hypercall"),
                ],
                vec![
                    s("--pgd-free-in-irq"),
                    s("on, off"),
                    s("whether an interrupt may drop the last reference of an mm"),
                ],
            ],
        ),
        Section::Programs => listing(
            "Programs (--workload)",
            &["name", "what it does"],
            PROGRAMS
                .iter()
                .map(|p| vec![s(p.name), s(p.about)])
                .chain(GROUPS.iter().map(|g| vec![s(g.0), s(g.2)]))
                .collect(),
        ),
        Section::Properties => listing(
            "Properties",
            &["name", "promise"],
            PROPERTIES
                .iter()
                .map(|p| vec![s(p.name), s(p.promise)])
                .collect(),
        ),
        Section::Workloads => listing(
            "Workloads (--workload): a name, or programs with commas; roles of CPUs with slashes",
            &["name", "programs", "for"],
            WORKLOADS
                .iter()
                .map(|w| vec![s(w.name), s(w.text), s(w.about)])
                .collect(),
        ),
        Section::Scenarios => listing(
            "Scenarios: FILE.sd, a lock, interrupt or IPI protocol of your own (docs/language.md)",
            &["command", "what it does"],
            SCENARIOS
                .iter()
                .map(|(name, about)| vec![s(name), s(about)])
                .collect(),
        ),
        Section::Barriers => listing(
            "Barriers (check --memory tso --without-barrier)",
            &["name", "without it", "source"],
            BARRIERS
                .iter()
                .map(|b| vec![s(b.name), s(b.without), s(b.source)])
                .collect(),
        ),
        Section::Variants => listing(
            "Deviations (--variant): none is a design, each is there to break something",
            &["name", "what it does", "breaks"],
            VARIANTS
                .iter()
                .map(|v| vec![s(v.name), s(v.about.trim()), s(v.breaks)])
                .collect(),
        ),
        Section::Steps => {
            let config = args.config()?;
            let mut rows = Vec::new();
            for program in config.reachable_programs() {
                for (i, line) in program.lines.iter().enumerate() {
                    let op = format!("{:?}", line.op);
                    rows.push(vec![
                        s(program.id.name()),
                        i.to_string(),
                        s(line.function),
                        s(line.source),
                        op,
                    ]);
                }
            }
            listing(
                "Steps",
                &["program", "step", "function", "source", "operation"],
                rows,
            )
        }
    })
}

fn names<T>(table: &[(&str, T)]) -> String {
    table.iter().map(|n| n.0).collect::<Vec<_>>().join(", ")
}

/// Columns where they fit without breaking a word; elsewhere each name with what belongs to it below.
fn table(listing: &Listing) -> String {
    let width = output::width();
    let mut table = output::table(width);
    table
        .load_style(presets::NOTHING)
        .set_header(&listing.columns);
    table.add_rows(&listing.rows);
    if let Some(text) = output::whole_words(&mut table, width) {
        return text;
    }
    let mut text = String::new();
    for row in &listing.rows {
        let mut entries = row.iter().zip(&listing.columns);
        if let Some((name, _)) = entries.next() {
            let _ = writeln!(text, " {name}");
        }
        for (entry, column) in entries.filter(|(entry, _)| !entry.is_empty()) {
            let line = output::wrap(&format!("{column}: {entry}"), width - 4, 2);
            let _ = writeln!(text, "    {}", line.replace('\n', "\n    "));
        }
    }
    text.trim_end().to_string()
}

fn markdown(listing: &Listing) -> String {
    let mut text = format!("## {}\n\n", listing.title);
    let _ = writeln!(text, "| {} |", listing.columns.join(" | "));
    let _ = writeln!(text, "|{}", "---|".repeat(listing.columns.len()));
    for row in &listing.rows {
        let row: Vec<_> = row.iter().map(|c| c.replace('|', "\\|")).collect();
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text + "\n"
}

fn properties_markdown() -> String {
    let mut text = String::from(
        "# Properties\n\n\
         Generated by `shootdown list properties --markdown`; the texts are in `spec/src/property/`.\n\n\
         Strict implies upstream. Neither implies `no_deadlock`, nor the reverse. Upstream,\n\
         `irqs_on_while_waiting_for_ipi` and `no_lock_cycle` together imply `no_deadlock`: follow the\n\
         waits from a stuck CPU. `spec/tests/sensitivity.rs` checks both implications on every state of\n\
         the cells it explores, and that each property fails on a deliberately broken model.\n\n",
    );
    for p in PROPERTIES {
        let _ = write!(
            text,
            "## `{}`\n\n{}.\n\n- Relied on by: {}.\n- Not covered: {}.\n- Decided: {}.\n- Witnesses, without which it is *vacuous*:\n",
            p.name,
            capital(p.promise),
            p.relied_on_by,
            p.not_covered,
            match p.decided {
                Decided::OnStates(_) => "on every reachable state",
                Decided::OnGraph => "on the explored graph: ends that are not idle, and fair loops",
            },
        );
        for w in p.witnesses {
            let w = w.info();
            let _ = writeln!(text, "  - `{}`: {}", w.name, w.about);
        }
        text.push('\n');
    }
    text.trim_end().to_string() + "\n"
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or(String::new(), |c| c.to_uppercase().chain(chars).collect())
}

fn steps_markdown(config: &Config) -> String {
    let mut text = format!(
        "# Kernel map\n\n\
         Generated by `shootdown list steps --markdown`: the steps of every program in design {}\n\
         ({}), as a trace shows them. Another design's: add `--design NAME`.\n\
         The file of a program is `spec/src/path/<kernel function>.rs`; it opens with the kernel\n\
         version it follows, its locks and its interrupt state.\n\n",
        config.design, config.environment
    );
    for program in config.reachable_programs() {
        let _ = write!(
            text,
            "## `{}`\n\n{}.\n\n",
            program.id.name(),
            capital(program.id.info().about)
        );
        if let Some(implemented) = map::config::implemented(program.id) {
            let _ = write!(text, "Implementation: `{}`.\n\n", implemented.file);
        }
        text += "| step | kernel function | statement | abstract step |\n|---|---|---|---|\n";
        for (i, line) in program
            .lines
            .iter()
            .enumerate()
            .filter(|(_, l)| !l.op.is_control())
        {
            let source = line.source.replace('|', "\\|");
            let _ = writeln!(
                text,
                "| {i} | `{}` | `{source}` | `{:?}` |",
                line.function, line.op
            );
        }
        text.push('\n');
    }
    text.trim_end().to_string() + "\n"
}
