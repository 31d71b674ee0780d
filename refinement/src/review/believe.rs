//! What is left to the reviewer: what one would have to believe, what is open, and room for the verdict.

use super::candidates::{enforced, named, rule};
use super::document::{Block, Part, Table};
use super::findings::{Findings, count, plural};
use shootdown_spec::verdict::Verdict;

pub fn part(findings: &Findings) -> Part {
    let mut blocks = vec![Block::Text(
        "A design is right in a kernel if all of this is true. Who doubts one of these has found what to look at next.".into(),
    )];
    blocks.push(Block::List(beliefs(findings)));
    blocks.push(Block::Heading("Open questions".into()));
    blocks.push(Block::List(open(findings)));
    blocks.push(Block::Heading("Verdict of the reviewer".into()));
    let mut table = Table::new(["design taken", "because", "conditions", "name, date"]);
    table.row(["\u{a0}", "", "", ""]);
    blocks.push(Block::Table(table));
    Part {
        title: "What one would have to believe".into(),
        blocks,
    }
}

fn beliefs(findings: &Findings) -> Vec<String> {
    let cells = findings.distinct();
    let cpus = cells.iter().map(|c| c.environment.cpus).max().unwrap_or(0);
    let mut all = vec![
        format!(
            "**The programs say what the kernel does.** {} are written from the C by hand, statement by statement \
             ([kernel map](#kernel-map)). Nothing checks them against the C but a reader.",
            plural(
                super::designs::programs(named("v2.6.38").design).len(),
                "program"
            )
        ),
        format!(
            "**What is left out does not matter.** See [Assumptions](#assumptions). The search covers at most {cpus} CPUs and \
             one operation on each; only the absence of deadlock is proven for any number."
        ),
    ];
    for name in findings.candidates.0 {
        let design = named(name).design;
        all.push(format!(
            "**For `{name}`:** {} Enforced by: {}",
            rule(design),
            enforced(design)
        ));
    }
    let refined: Vec<_> = findings
        .refined
        .iter()
        .filter(|r| findings.candidates.0.contains(&r.design.as_str()))
        .collect();
    let good = refined
        .iter()
        .filter(|r| r.refines == Verdict::Holds && r.differs.is_empty());
    all.push(format!(
        "**The code does what the programs say.** Of `impl`, {} of {} of the candidates were explored beside the protocol and \
         agree ({} joint states); `impl` is Rust, not the kernel.",
        good.count(),
        plural(refined.len(), "cell"),
        count(refined.iter().map(|r| r.states).sum::<u64>()),
    ));
    all.push(
        "**The checker is right.** Every counterexample here was executed again; that something holds rests on the search, on \
         [the faults it noticed](#mutants), and on second opinions by Spin and TLC, which `shootdown second-opinion` asks for \
         and this review does not."
            .into(),
    );
    all
}

fn open(findings: &Findings) -> Vec<String> {
    let mut all = Vec::new();
    let [one, other] = findings.candidates.0;
    let safe = findings.candidates.0.iter().filter(|d| {
        findings
            .cell(d, "irq-free")
            .is_some_and(|c| c.violates("no_deadlock"))
    });
    for design in safe {
        all.push(format!(
            "Does anything take `pgd_lock` from an interrupt in the tree that `{design}` would go into? It did four times since \
             2011; in which commit KVM's \"page ready\" handler lost its reference was not confirmed."
        ));
    }
    all.push(format!(
        "Do `{one}` and `{other}` stay right with store buffers? The matrix is sequentially consistent; `check --memory tso` \
         asks it of one configuration at a time ([memory.md](memory.md))."
    ));
    all.push(
        "How would page tables be freed where a flush does not interrupt its targets (B10)? By RCU or by an IPI of its own; \
         neither is modelled."
            .into(),
    );
    all.push("What do KVM's notifiers, hugetlbfs and CPA add? They are left out.".into());
    let incomplete = findings.incomplete();
    if incomplete > 0 {
        all.push(format!(
            "{} not run to the end in this run.",
            plural(incomplete, "cell")
        ));
    }
    all
}
