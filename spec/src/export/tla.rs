//! A configuration as a TLA+ module for TLC, with its configuration file.
//!
//! One step of ours is one action of the module's, named after the program and the number of the
//! step, so TLC counts our states and our transitions:
//! - a context is a CPU and a level; `program` and `pc` say where it is;
//! - a lock is the queue of the contexts that asked for it, whose first is the owner: asking is a
//!   step of its own and the next step waits to be first, so that the unlock is the hand-off;
//! - interrupts are actions that are possible while `irqs_on`, and process context executes only
//!   while no handler runs above it;
//! - what follows from the rest is no variable: who runs a munmap on an mm, who has a reference.
//!
//! Every property is a state predicate of its name, `no_deadlock` included: contexts that can
//! never move again are looked for as a set in which everybody needs somebody of the set, said
//! without the fixpoint that [`crate::state::State::stuck`] computes. `progress` is a temporal
//! formula under weak fairness per CPU, and strong fairness of the flush IPI, which is the reading
//! of [`crate::progress`].
//!
//! Variables that nothing in a configuration changes are left out (a huge pmd without `thp`, the
//! counter of pending flushes in a design without one).

mod effect;
mod moves;
mod objects;
mod programs;
mod promises;
mod steps;
mod variables;

use super::Exported;
use crate::config::Config;
use crate::design::DESIGNS;
use crate::environment::Environment;
use crate::id::MmId;
use crate::variant::{Variant, VariantSet};
use crate::workload::Workload;
use std::fmt::Write as _;
use thiserror::Error;
use variables::Variables;

/// The module that [`survey`] writes.
pub const SURVEY: &str = "Survey";

/// What TLC is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// `TypeOK` and every property of states.
    Safety {
        /// States that differ in the names of the CPUs are one.
        symmetry: bool,
    },
    /// `progress`, under fairness.
    Progress,
}

/// Why CPUs cannot be exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Asymmetric {
    /// The workload gives each CPU a role of its own.
    #[error("each CPU has a role of its own in this workload")]
    Roles,
    /// A deviation that looks at the numbers of CPUs.
    #[error("skip-one-target looks at the numbers of the CPUs")]
    Numbers,
    /// There is nobody to exchange.
    #[error("there is one CPU")]
    One,
}

/// The name of the module of a design: its own, as far as TLA+ has the letters.
pub fn module_name(config: &Config) -> String {
    match config.design.name() {
        Some(name) => name.replace(['.', '-'], "_"),
        None => "shootdown".into(),
    }
}

/// Can a module be called this?
pub fn is_module_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(allowed) && name.chars().any(|c| c.is_ascii_alphabetic())
}

/// Are the CPUs interchangeable, so that TLC may take states for one that differ in their names?
///
/// They are if all have the same role, which decides what they start and where they are placed:
/// then no action and no invariant tells one from another. The initial states are one of each
/// renaming already.
///
/// # Errors
/// With what tells them apart.
pub fn symmetric(config: &Config) -> Result<(), Asymmetric> {
    if config.cpus() == 1 {
        return Err(Asymmetric::One);
    }
    if config.workload.roles.len() > 1 {
        return Err(Asymmetric::Roles);
    }
    match config.variants.has(Variant::SkipOneTarget) {
        true => Err(Asymmetric::Numbers),
        false => Ok(()),
    }
}

/// Writes the module.
pub fn write(config: &Config, name: &str) -> String {
    let e = Exported::new(config);
    let v = Variables::of(&e);
    let dashes = "-".repeat(36usize.saturating_sub(name.len() / 2));
    let mut text = format!("{dashes} MODULE {name} {dashes}\n");
    text += &header(&e);
    for part in [
        objects::constants(&e),
        v.declarations(),
        objects::tests(&e),
        objects::changes(&e),
        v.initial(&e),
        programs::all(&e, &v),
        moves::all(&e, &v),
        promises::all(&e),
    ] {
        text.push('\n');
        text += &part;
    }
    let _ = writeln!(text, "\n{}", "=".repeat(78));
    text
}

/// Writes the configuration file.
///
/// # Errors
/// If symmetry is asked for where it would be unsound.
pub fn cfg(config: &Config, question: Question) -> Result<String, Asymmetric> {
    let mut text = constants_of_cfg(config);
    match question {
        Question::Safety { symmetry } => {
            text += "SPECIFICATION Spec\n\nINVARIANTS\n    TypeOK\n";
            for property in Exported::state_properties() {
                let _ = writeln!(text, "    {}", property.name);
            }
            if symmetry {
                symmetric(config)?;
                text += "\n\\* All CPUs have the same role.\nSYMMETRY Symmetry\n";
            }
        }
        Question::Progress => {
            text += "\
SPECIFICATION FairSpec

\\* Without symmetry: TLC's check of a temporal formula is unsound with it.
PROPERTY progress
";
        }
    }
    Ok(text)
}

/// Writes a module and its configuration file that look at every property in one run.
///
/// TLC stops at the first invariant that fails, or goes on and prints a run for every state in
/// which one does. Here it prints one line for each property that fails somewhere, and goes on.
pub fn survey(config: &Config, name: &str) -> (String, String) {
    let mut text = format!(
        "\
------------------------------- MODULE {SURVEY} -------------------------------
\\* Every property at once: what fails somewhere is said once, and the search goes on.
EXTENDS {name}

ASSUME \\A n \\in 1 .. {count} : TLCSet(n, FALSE)

look_at(n, name, holds) ==
    \\/ holds
    \\/ TLCGet(n)
    \\/ (TLCSet(n, TRUE) /\\ PrintT(<<\"violated\", name>>))

AllOfThem ==
",
        count = Exported::state_properties().count()
    );
    for (n, property) in Exported::state_properties().enumerate() {
        let name = property.name;
        let _ = writeln!(text, "    /\\ look_at({}, \"{name}\", {name})", n + 1);
    }
    let _ = writeln!(text, "\n{}", "=".repeat(78));
    let cfg =
        constants_of_cfg(config) + "SPECIFICATION Spec\n\nINVARIANTS\n    TypeOK\n    AllOfThem\n";
    (text, cfg)
}

/// The files that are kept under `spec/tla/`: for each named design a module, a configuration file
/// for every property of states and one for `progress`; in the environment of a distribution
/// kernel of early 2011, where every program may run.
pub fn kept() -> Vec<(String, String)> {
    let environment = Environment::default();
    let mut files = Vec::new();
    for named in DESIGNS {
        let workload = Workload::parse("everything", &environment).expect("it is a workload");
        let config = Config::new(named.design, environment, workload, VariantSet::NONE);
        let config = config.expect("a named design in the default environment");
        let name = module_name(&config);
        let symmetry = Question::Safety { symmetry: true };
        let safety = cfg(&config, symmetry).expect("all CPUs have the same role");
        let progress = cfg(&config, Question::Progress).expect("it asks for no symmetry");
        files.push((format!("{name}.tla"), write(&config, &name)));
        files.push((format!("{name}.cfg"), safety));
        files.push((format!("{name}_progress.cfg"), progress));
    }
    files
}

fn constants_of_cfg(config: &Config) -> String {
    let mut text = String::from(
        "\\* Run TLC with -deadlock: a state in which everybody is done has no successor.\nCONSTANTS\n",
    );
    for name in objects::names(config) {
        let _ = writeln!(text, "    {name} = {name}");
    }
    text.push('\n');
    text
}

fn header(e: &Exported<'_>) -> String {
    let c = e.config;
    let mut text = format!("\\* {}\n\\* {}\n", c.design, c.environment);
    let _ = writeln!(text, "\\* workload: {}", c.workload);
    if !c.variants.is_empty() {
        let _ = writeln!(text, "\\* DEVIATING from the protocol: {}", c.variants);
    }
    text += "\\*
\\* The Linux x86 pgd_lock / page_table_lock / TLB-flush-IPI protocol, generated by
\\* `shootdown export tla` from the programs of shootdown-spec. Each program stands in the order
\\* of the kernel function it is named after, under the text that says which function and version
\\* it follows, what it locks, and where it differs. An action is one step of it; the comment
\\* above has the number of the step and its C statement.
\\*
\\* What is abstracted: sequential consistency, ticket-fair locks, one flush vector, one kernel
\\* entry, one pte and one huge pmd per mm. The steps are as coarse as the programs say.

EXTENDS Naturals, Sequences, FiniteSets, TLC
";
    text
}

/// The name of an mm as a constant.
fn mm_name(mm: MmId) -> String {
    match mm.is_some() {
        true => format!("mm{}", mm.0),
        false => "NoMm".into(),
    }
}

/// A paragraph as comment lines.
fn comment(text: &str, first: &str) -> String {
    let options = textwrap::Options::new(96)
        .initial_indent(first)
        .subsequent_indent("\\* ")
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    let lines = textwrap::wrap(text, options);
    lines
        .iter()
        .map(|l| format!("{}\n", l.trim_end()))
        .collect()
}

#[cfg(test)]
mod tests;
