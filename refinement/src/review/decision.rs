//! One candidate or the other: what somebody who has to choose needs, and nothing else.

use super::candidates::{Candidates, gist, named, rule};
use super::designs::{differing, programs, statements};
use super::document::{Block, Entry, Part, Table, Tone};
use super::findings::{Cell, Findings, Refined, count, plural};
use super::front::proposers;
use super::runs::Runs;
use super::word::{Kind, is_partial};
use shootdown_spec::design::Design;
use shootdown_spec::order::Proof;
use shootdown_spec::verdict::Verdict;

/// Claims on which the advice about the choice of 2011 rests.
pub(super) const PREMISES: &[&str] = &["C4", "C5", "B5", "B6", "B8", "B9", "B10", "B11"];

pub fn part(findings: &Findings, runs: &Runs<'_>) -> Part {
    let [one, other] = findings.candidates.0;
    let head = |name: &str| format!("`{name}`: {}", gist(named(name).design));
    let mut table = Table::new(["question".to_string(), head(one), head(other)]);
    let mut row = |question: &str, answer: &dyn Fn(&str) -> Entry| {
        table.row([Entry::from(question), answer(one), answer(other)]);
    };
    row(
        "Can it deadlock where flushes are IPIs, as long as no interrupt frees an mm?",
        &|d| quiet(findings, d),
    );
    row("And if one does?", &|d| interrupted(findings, runs, d));
    row("What must stay true for that", &|d| {
        Entry::from(rule(named(d).design))
    });
    row(
        "A lock held while acknowledgements are awaited (strict rule)",
        &|d| broken(findings, runs, d, &["no_lock_held_across_ipi_wait"]),
    );
    row(
        "A translation used after munmap returned, or a freed frame",
        &|d| {
            broken(
                findings,
                runs,
                d,
                &["no_stale_tlb_after_return", "no_use_of_freed_frame"],
            )
        },
    );
    row("Two madvise of one range at once (B11)", &|d| {
        claimed(
            findings,
            runs,
            "B11",
            d,
            "two-madvise",
            false,
            "no_stale_tlb_after_return",
        )
    });
    row(
        "Two splits of one huge page, were the anon_vma lock not there (B11)",
        &|d| {
            claimed(
                findings,
                runs,
                "B11",
                d,
                "two-splits",
                true,
                "no_walker_on_reused_table",
            )
        },
    );
    row(
        "Fast GUP where flushes do not interrupt: Xen, and whatever flushes remotely today (B10)",
        &|d| of_env(findings, runs, d, "hypercall", "no_walker_on_reused_table"),
    );
    row("What changes against `v2.6.37`", &|d| {
        Entry::from(changes(d))
    });
    row("Aging a huge page", &|d| {
        Entry::from(statements(named(d).design, "page_referenced_one_huge"))
    });
    row("The code beside the protocol", &|d| refined(findings, d));
    let mut blocks = vec![Block::Table(table), Block::Text(proposers(findings))];
    if !findings.candidates.is_default() {
        blocks.push(Block::Text(
            "The recommendation at the top follows from the verdicts alone. Advice written by hand, with what each choice leaves \
             to be kept true, there is for `v2.6.38` or `tracked` only: `shootdown report`."
                .into(),
        ));
    } else if findings.stand(PREMISES) {
        blocks.extend(advice(findings));
    } else {
        blocks.push(Block::Text(format!(
            "**No advice.** It rests on {}, and not all of these came out as expected in this run.",
            PREMISES.join(", ")
        )));
    }
    Part {
        title: title(findings.candidates),
        blocks,
    }
}

/// The heading of the part.
pub fn title(candidates: Candidates) -> String {
    format!("In short: {}?", candidates.or())
}

fn advice(findings: &Findings) -> Vec<Block> {
    let text = |t: String| Block::Text(t);
    let of = |design: &str| {
        let cells = of_design(findings, design).filter(|c| c.by_ipi());
        let acyclic = |c: &&Cell| findings.standing(design, &c.env) == "acyclic";
        cells.filter(acyclic).count()
    };
    vec![
        text(format!(
            "**Both cure the deadlock that was reported.** In the environments where flushes are IPIs, the order of \
             `v2.6.38` is free of cycles in {}, that of `tracked` in {}; there, no number of CPUs deadlocks. What differs is \
             what each leaves to be kept true by people.",
            of("v2.6.38"),
            of("tracked")
        )),
        text(
            "**Take `v2.6.38` if the change has to be small, or go to stable kernels.** It touches only who takes `pgd_lock`. \
             The price is a rule about the whole kernel: nobody, in any interrupt, softirq or exception, takes `pgd_lock`, and \
             nobody waits with interrupts off for a page-table lock or for anything whose holder may. The first half lockdep \
             enforces, once the path has run, and it has had to four times (see \
             [below](#the-merged-fix-needs-nobody-takes-pgd_lock-from-an-interrupt)); the second half nothing enforces, and a \
             breach is the hang of 2011 again."
                .into(),
        ),
        text(
            "**Take `tracked` if you would rather not depend on that rule.** Nothing is awaited under `pgd_lock` or a page-table \
             lock, so who waits for them, and how, cannot hang a flush; it survives interrupts that free an mm; it closes the hole \
             of parallel madvise. The price: every path that flushes changes, and is longer; page-table locks are held with \
             interrupts off, in all paths; the counter must be a counter, raised under the lock and read under it (B6); SPLITTING \
             stays visible across the flush, and the anon_vma lock becomes something that splits depend on (B11). Its rule is \
             local, and in `impl` a breach does not compile."
                .into(),
        ),
        text(
            "**Neither** is safe against fast GUP where a flush does not interrupt its targets (B10): that needs page tables freed \
             by RCU or an IPI of its own. And `tracked-plain`, the tempting middle, is not a choice: it deadlocks without any IPI \
             as soon as one interrupt frees an mm (B8). What none of this speaks of is under [Assumptions](#assumptions): weaker \
             memory than sequentially consistent, hugetlbfs, KVM's notifiers, CPA, the cost of time."
                .into(),
        ),
    ]
}

fn of_design<'a>(findings: &'a Findings, design: &'a str) -> impl Iterator<Item = &'a Cell> {
    findings.grid.iter().filter(move |c| c.design == design)
}

/// Cells in which a verdict means something, and in words the others: vacuous, or with programs left out.
fn counted<'a>(cells: &[&'a Cell], properties: &[&str]) -> (Vec<&'a Cell>, String) {
    let broken = |c: &Cell| properties.iter().any(|p| c.violates(p));
    let vacuous = |c: &Cell| {
        let verdicts = properties.iter().map(|p| c.verdict(p));
        verdicts.into_iter().any(|v| v == Some(Verdict::Vacuous))
    };
    let (mut good, mut empty, mut partial) = (Vec::new(), Vec::new(), Vec::new());
    for cell in cells {
        if broken(cell) {
            good.push(*cell);
        } else if vacuous(cell) {
            empty.push(format!("`{}`", cell.env));
        } else if is_partial(&cell.workload) {
            partial.push(format!("`{}`: {} only", cell.env, cell.workload));
        } else {
            good.push(*cell);
        }
    }
    let mut notes = Vec::new();
    if !empty.is_empty() {
        notes.push(format!("vacuous in {}", empty.join(", ")));
    }
    if !partial.is_empty() {
        notes.push(format!("partial in {}", partial.join(", ")));
    }
    let note = match notes.is_empty() {
        true => String::new(),
        false => format!("; {}", notes.join("; ")),
    };
    (good, note)
}

/// No deadlock where no interrupt frees an mm: how many environments, and for how many CPUs.
pub(super) fn quiet(findings: &Findings, design: &str) -> Entry {
    let cells: Vec<_> = of_design(findings, design)
        .filter(|c| c.by_ipi() && !c.environment.pgd_free_in_irq)
        .collect();
    let (cells, note) = counted(&cells, &["no_deadlock"]);
    let holds = cells
        .iter()
        .filter(|c| c.verdict("no_deadlock") == Some(Verdict::Holds))
        .count();
    let acyclic = cells
        .iter()
        .filter(|c| findings.standing(design, &c.env) == "acyclic");
    let acyclic = acyclic.count();
    let all = holds == cells.len() && acyclic == cells.len() && holds > 0;
    if !all && !cells.iter().any(|c| c.violates("no_deadlock")) {
        return Entry::toned("not decided", Tone::Open);
    }
    Entry::toned(
        format!(
            "{}: holds in {holds} of {} environments, {acyclic} of them acyclic, so for any number of CPUs{note}",
            if all { "No" } else { "**Yes**" },
            cells.len(),
        ),
        if all { Tone::Good } else { Tone::Bad },
    )
}

pub(super) fn interrupted(findings: &Findings, runs: &Runs<'_>, design: &str) -> Entry {
    let cell = findings.cell(design, "irq-free");
    let orders = findings
        .orders
        .iter()
        .filter(|o| o.design == design && o.env.ends_with("irq-free"));
    let orders: Vec<_> = orders.map(|o| o.proof).collect();
    let acyclic = orders.iter().filter(|p| **p == Proof::Acyclic).count();
    match cell.and_then(|c| c.verdict("no_deadlock")) {
        Some(Verdict::Violated) => Entry::toned(
            format!("**Yes**, {}", runs.told(cell, "no_deadlock")),
            Tone::Bad,
        ),
        Some(Verdict::Holds) => Entry::toned(
            format!(
                "No: holds in {} states; acyclic in {acyclic} of {} such environments",
                count(cell.map_or(0, Cell::states)),
                orders.len()
            ),
            Tone::Good,
        ),
        _ => Entry::toned("not decided", Tone::Open),
    }
}

/// In how many environments some of these are violated, of those in which they mean something.
fn broken(findings: &Findings, runs: &Runs<'_>, design: &str, properties: &[&str]) -> Entry {
    let all: Vec<_> = of_design(findings, design).collect();
    let ran = all
        .iter()
        .all(|c| c.outcome.as_ref().is_some_and(|o| o.complete));
    let (cells, note) = counted(&all, properties);
    let broken: Vec<_> = cells
        .iter()
        .filter_map(|c| properties.iter().find(|p| c.violates(p)).map(|p| (*c, *p)))
        .collect();
    match broken.first() {
        Some((cell, property)) => Entry::toned(
            format!(
                "in {} of {} environments, first {}{note}",
                broken.len(),
                cells.len(),
                runs.told(Some(cell), property)
            ),
            match Kind::of(broken.iter().map(|b| b.1), true, "everything") {
                Kind::Rule => Tone::Rule,
                _ => Tone::Bad,
            },
        ),
        None if ran && !cells.is_empty() => Entry::toned(
            format!("never, in {}{note}", plural(cells.len(), "environment")),
            Tone::Good,
        ),
        None => Entry::toned("not decided", Tone::Open),
    }
}

fn of_env(findings: &Findings, runs: &Runs<'_>, design: &str, env: &str, property: &str) -> Entry {
    verdict(findings.cell(design, env), runs, property)
}

/// A cell of a claim, with deviations or without.
fn claimed(
    findings: &Findings,
    runs: &Runs<'_>,
    claim: &str,
    design: &str,
    workload: &str,
    deviates: bool,
    property: &str,
) -> Entry {
    let of = |design: &str| {
        let cells = &findings.claim(claim)?.cells;
        cells.iter().find(|c| {
            c.design == design && c.workload == workload && c.variants.is_empty() != deviates
        })
    };
    match of(design) {
        Some(cell) => verdict(Some(cell), runs, property),
        None => match stand_in(findings, claim, design, workload, deviates) {
            Some(cell) => {
                let mut entry = verdict(Some(cell), runs, property);
                entry.text += &format!(" (in `{}`; the programs are the same)", cell.design);
                entry
            }
            None => Entry::toned("not among the claims", Tone::Open),
        },
    }
}

/// A cell of another design in which the same programs run.
fn stand_in<'a>(
    findings: &'a Findings,
    claim: &str,
    design: &str,
    workload: &str,
    deviates: bool,
) -> Option<&'a Cell> {
    let runs = match workload {
        "two-madvise" => "madvise_dontneed",
        "two-splits" => "split_huge_page",
        _ => return None,
    };
    let own = programs(named(design).design);
    let same = |c: &&Cell| {
        c.workload == workload
            && c.variants.is_empty() != deviates
            && Design::named(&c.design)
                .is_some_and(|d| !differing(&programs(d), &own).contains(&runs))
    };
    findings.claim(claim)?.cells.iter().find(same)
}

fn verdict(cell: Option<&Cell>, runs: &Runs<'_>, property: &str) -> Entry {
    match cell.and_then(|c| c.verdict(property)) {
        Some(Verdict::Violated) => Entry::toned(
            format!("`{property}` is violated {}", runs.told(cell, property)),
            Tone::Bad,
        ),
        Some(Verdict::Holds) => Entry::toned(format!("`{property}` holds"), Tone::Good),
        Some(v) => Entry::toned(format!("`{property}`: {v}"), Tone::Open),
        None => Entry::toned("not run", Tone::Open),
    }
}

fn changes(design: &str) -> String {
    let (changed, all) = super::candidates::changes(design);
    format!("{changed} of {all} programs")
}

fn refined(findings: &Findings, design: &str) -> Entry {
    let rows: Vec<&Refined> = findings
        .refined
        .iter()
        .filter(|r| r.design == design)
        .collect();
    if rows.is_empty() {
        return Entry::toned("not explored", Tone::Open);
    }
    let good = rows
        .iter()
        .filter(|r| r.refines == Verdict::Holds && r.differs.is_empty());
    let (good, all) = (good.count(), rows.len());
    Entry::toned(
        format!(
            "refines it in {good} of {} explored here, {} joint states",
            plural(all, "cell"),
            count(rows.iter().map(|r| r.states).sum::<u64>())
        ),
        match good == all {
            true => Tone::Good,
            false if rows.iter().any(|r| r.refines == Verdict::Violated) => Tone::Bad,
            false => Tone::Open,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `claimed` answers for v2.6.38 from a cell of v2.6.37: right only while a split is the same program in both.
    #[test]
    fn a_split_is_the_same_program_in_both() {
        let of = |name| programs(Design::named(name).expect("it is named"));
        assert!(!differing(&of("v2.6.37"), &of("v2.6.38")).contains(&"split_huge_page"));
        assert!(differing(&of("v2.6.37"), &of("tracked")).contains(&"split_huge_page"));
    }
}
