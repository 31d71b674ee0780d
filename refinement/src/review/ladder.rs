//! The assurance ladder: kinds of evidence, what each establishes, what it does not, and what this run adds.

use super::document::{Block, Entry, Part, Table, Tone};
use super::findings::{Asked, Cell, Fault, Findings, count, plural};
use shootdown_spec::order::Proof;
use shootdown_spec::verdict::Verdict;

pub fn part(findings: &Findings) -> Part {
    let mut table = Table::new([
        "evidence",
        "establishes",
        "does not",
        "in this run",
        "command",
    ]);
    let mut rung = |name: &str, does: &str, does_not: &str, here: String, command: &str| {
        table.row([
            name.to_string(),
            does.into(),
            does_not.into(),
            here,
            command.into(),
        ]);
    };
    rung(
        "types",
        "code of the default design that awaits acknowledgements with a lock held, or with interrupts off, or takes the \
         locks in the wrong order, does not compile",
        "a flush that is forgotten, the wrong mm, an interrupt that takes what its own CPU holds",
        format!(
            "{} of the seeded faults are refused by the compiler; the programs that must not compile are \
             `impl/tests/compile_fail`, and were not compiled by this run",
            judged(findings, 0)
        ),
        "`cargo test -p shootdown-impl --test compile_fail`",
    );
    rung(
        "order",
        "no deadlock, for any number of CPUs, mms and operations, where the graph of waits has no cycle",
        "anything but deadlock; which cycles can be reached",
        order(findings),
        "`shootdown prove --grid`",
    );
    rung(
        "model",
        "every property, for every interleaving within the bounds; a shortest run where one falls",
        "more CPUs, mms or operations; weaker memory than sequentially consistent",
        model(findings),
        "`shootdown matrix`",
    );
    rung(
        "second opinion",
        "the same verdicts, states and transitions by the Spin verifier: the engine and the meaning of a step are not ours alone",
        "that the programs say what the kernel does: both read the same ones",
        "not run by this command".into(),
        "`shootdown second-opinion`",
    );
    rung(
        "refinement",
        "whatever the compiled code of `impl` does, in every interleaving within the bounds, the protocol does too; same \
         deadlocks, same verdicts",
        "larger cells than those explored; other machines than the simulated one",
        refinement(findings),
        "`shootdown refine --matrix`",
    );
    rung(
        "mutants",
        "that the judges above can fail: each fault is noticed by everybody who must notice it",
        "faults that nobody thought of",
        format!(
            "{}, {} noticed by the refinement",
            plural(findings.faults.len(), "fault"),
            judged(findings, 3)
        ),
        "`shootdown mutants`",
    );
    rung(
        "stress",
        "that the code runs on real threads with real signals, and that the hang is no artefact of a simulation",
        "anything about runs that did not happen",
        "differs from run to run: only in the HTML file".into(),
        "`shootdown stress --design v2.6.37`",
    );
    let mut blocks = vec![
        Block::Text(
            "Kinds of evidence from one source of truth, each able to contradict the others. From top to bottom they say less \
             and less about all runs, and more and more about real ones."
                .into(),
        ),
        Block::Table(table),
    ];
    if !findings.refined.is_empty() {
        blocks.push(Block::Heading("Code beside protocol".into()));
        blocks.push(Block::Text(
            "Every interleaving of the real code, followed step by step by the protocol. The cells are those that fit into this \
             run; [refinement.md](refinement.md) has all of them."
                .into(),
        ));
        blocks.push(Block::Table(refined(findings)));
        let runs: u64 = findings.refined.iter().map(|r| r.runs).sum();
        let runs = format!("Real code was run {} times for it.", count(runs));
        blocks.push(Block::ThisRun(vec![Block::Text(runs)]));
    }
    if !findings.stressed.is_empty() {
        blocks.push(Block::ThisRun(vec![
            Block::Text(
                "Real threads are CPUs, signals are interrupts. A design that can deadlock should hang, and the watchdog say why; \
                 the others should run clean until the time is over."
                    .into(),
            ),
            Block::Table(stressed(findings)),
        ]));
    }
    Part {
        title: "The assurance ladder".into(),
        blocks,
    }
}

fn judged(findings: &Findings, judge: usize) -> usize {
    let killed = |f: &&Fault| f.judged[judge] == Asked::Killed;
    findings.faults.iter().filter(killed).count()
}

fn order(findings: &Findings) -> String {
    let of = |proof| findings.orders.iter().filter(|o| o.proof == proof).count();
    let cells = findings.distinct();
    let acyclic = cells.iter().filter(|c| c.standing() == "acyclic");
    let unsound = acyclic.filter(|c| c.violates("no_deadlock") || c.violates("no_lock_cycle"));
    let realised = cells
        .iter()
        .filter(|c| c.standing() == "cyclic, realised")
        .count();
    format!(
        "{} in {} of designs and environments, {} with cycles; of the configurations checked, {realised} with a cycle that the \
         model realises, and {} that are acyclic and yet deadlock",
        of(Proof::Acyclic),
        findings.orders.len(),
        of(Proof::Cyclic),
        unsound.count(),
    )
}

fn model(findings: &Findings) -> String {
    let cells = findings.distinct();
    let run = cells
        .iter()
        .filter(|c| c.outcome.as_ref().is_some_and(|o| o.complete))
        .count();
    format!(
        "{} explored whole, {} states",
        plural(run, "configuration"),
        count(cells.iter().map(|c| Cell::states(c)).sum::<u64>())
    )
}

fn refinement(findings: &Findings) -> String {
    let rows = &findings.refined;
    let good = rows
        .iter()
        .filter(|r| r.refines == Verdict::Holds && r.differs.is_empty());
    format!(
        "{} of {} refine and agree in every verdict: {} joint states",
        good.count(),
        plural(rows.len(), "cell"),
        count(rows.iter().map(|r| r.states).sum::<u64>())
    )
}

fn refined(findings: &Findings) -> Table {
    let mut table = Table::new([
        "`shootdown refine …`",
        "violated, by code and protocol",
        "refines",
        "joint states",
    ]);
    for r in &findings.refined {
        let violated: Vec<_> = r.violated.iter().map(|v| super::short(v)).collect();
        let good = r.refines == Verdict::Holds && r.differs.is_empty();
        table.row([
            Entry::from(format!("`{}`", r.flags)),
            match (r.differs.is_empty(), violated.is_empty()) {
                (false, _) => {
                    Entry::toned(format!("DIFFERS: {}", r.differs.join(", ")), Tone::Open)
                }
                (true, true) => "holds".into(),
                (true, false) => violated.join(" ").into(),
            },
            Entry::toned(r.refines.name(), if good { Tone::Good } else { Tone::Bad }),
            count(r.states).into(),
        ]);
    }
    table
}

fn stressed(findings: &Findings) -> Table {
    let mut table = Table::new([
        "command",
        "came out",
        "seconds",
        "operations",
        "flush IPIs",
        "the watchdog",
    ]);
    for s in &findings.stressed {
        table.row([
            Entry::from(format!("`{}`", s.command)),
            Entry::toned(
                s.verdict,
                if s.as_expected {
                    Tone::Good
                } else {
                    Tone::Open
                },
            ),
            format!("{:.1}", s.seconds).into(),
            count(s.operations).into(),
            count(s.ipis).into(),
            s.hang.clone().unwrap_or_else(|| "-".into()).into(),
        ]);
    }
    table
}
