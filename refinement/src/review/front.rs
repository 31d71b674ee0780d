//! The first screen: what to do, on which four questions that rests, what neither candidate covers, and where the rest is.

use super::candidates::{changes, enforced, named, rule};
use super::decision::{self, interrupted, quiet};
use super::designs::statements;
use super::document::{Block, Entry, Table, slug};
use super::findings::{Cell, Findings, plural};
use super::runs::Runs;
use super::short::short;
use super::word::Kind;
use shootdown_spec::verdict::Verdict;

/// Under the title.
pub fn blocks(findings: &Findings, runs: &Runs<'_>) -> Vec<Block> {
    let [one, other] = findings.candidates.0;
    let mut table = Table::new(["", &format!("`{one}`"), &format!("`{other}`")].map(String::from));
    let mut row = |question: &str, answer: &dyn Fn(&'static str) -> Entry| {
        table.row([Entry::from(question), answer(one), answer(other)]);
    };
    row(
        "Deadlock today, as long as no interrupt frees an mm",
        &|d| quiet(findings, d),
    );
    row("Deadlock if one does", &|d| interrupted(findings, runs, d));
    row("The rule to keep, and who enforces it", &|d| {
        let design = named(d).design;
        format!("{} **Enforced by:** {}", rule(design), enforced(design)).into()
    });
    row("Cost", &|d| cost(d).into());
    vec![
        Block::Lead(recommendation(findings, runs)),
        Block::Table(table),
        Block::Text(format!("**Neither covers:** {}", neither(findings))),
        Block::Text(links(findings, runs)),
    ]
}

fn cost(design: &str) -> String {
    let (changed, all) = changes(design);
    let length = |program| statements(named(design).design, program);
    format!(
        "changes {changed} of {all} programs against `v2.6.37`; aging a huge page is {}, `vmalloc_sync_all` {}; [times](#cost)",
        length("page_referenced_one_huge"),
        length("vmalloc_sync_all"),
    )
}

/// One line, from the findings alone.
pub fn recommendation(findings: &Findings, runs: &Runs<'_>) -> String {
    let [one, other] = findings.candidates.0;
    let of = |design: &'static str| findings.grid.iter().filter(move |c| c.design == design);
    let cells = || of(one).chain(of(other));
    let known = |c: &Cell| c.outcome.as_ref().is_some_and(|o| o.complete) && c.as_expected();
    if cells().next().is_none() || !cells().all(known) {
        return "**No recommendation:** some cell of a candidate was not run to its end, or is not as expected.".into();
    }
    if findings.candidates.is_default() && !findings.stand(decision::PREMISES) {
        return format!(
            "**No recommendation:** it would rest on {}, and not all of these came out as expected.",
            decision::PREMISES.join(", ")
        );
    }
    let harm = |design: &'static str| {
        let cells = of(design).filter(|c| c.by_ipi() && !c.environment.pgd_free_in_irq);
        let worst = cells.filter_map(|c| harmful(c).map(|p| (c, p)));
        worst.min_by_key(|(_, p)| *p != "no_deadlock")
    };
    let told = |design: &str, (cell, property): (&Cell, &str)| {
        let how = runs.told(Some(cell), property);
        format!("`{design}` violates `{property}` {how}")
    };
    match (harm(one), harm(other)) {
        (Some(a), Some(b)) => format!(
            "**Take neither as it is.** {}; {}.",
            told(one, a),
            told(other, b)
        ),
        (Some(a), None) => format!("**Take `{other}`.** {}.", told(one, a)),
        (None, Some(b)) => format!("**Take `{one}`.** {}.", told(other, b)),
        (None, None) => no_harm_today(findings, runs),
    }
}

fn no_harm_today(findings: &Findings, runs: &Runs<'_>) -> String {
    let [one, other] = findings.candidates.0;
    let falls = |design: &str| {
        let cell = findings.cell(design, "irq-free");
        (cell.is_some_and(|c| c.violates("no_deadlock")), cell)
    };
    let only = |safe: &str, unsafe_: &str, cell: Option<&Cell>| {
        let (few, _) = changes(unsafe_);
        let (many, _) = changes(safe);
        format!(
            "**Take `{unsafe_}` only if no interrupt will ever take `pgd_lock`, and somebody keeps that true; otherwise take \
             `{safe}`.** One interrupt that does, and `{unsafe_}` hangs {}; it changes {}, `{safe}` {}.",
            runs.told(cell, "no_deadlock"),
            plural(few, "program"),
            plural(many, "program"),
        )
    };
    match (falls(one), falls(other)) {
        ((true, cell), (false, _)) => only(other, one, cell),
        ((false, _), (true, cell)) => only(one, other, cell),
        ((true, _), (true, _)) => format!(
            "**Nothing found here separates `{one}` and `{other}` by safety:** both hang if one interrupt takes `pgd_lock`. \
             Decide by what has to stay true, and by cost."
        ),
        ((false, _), (false, _)) => format!(
            "**Nothing found here separates `{one}` and `{other}` by safety.** Decide by what has to stay true, and by cost."
        ),
    }
}

/// The worst that is violated there, rules about waiting left out.
fn harmful(cell: &Cell) -> Option<&'static str> {
    let names: Vec<&str> = cell.violated().map(|j| j.name.as_str()).collect();
    let harm = |p: &&'static shootdown_spec::property::Property| {
        names.contains(&p.name) && Kind::of([p.name], true, "everything") == Kind::Violated
    };
    let properties = shootdown_spec::property::PROPERTIES.iter();
    properties.filter(harm).map(|p| p.name).next()
}

/// What is violated in both, and what nothing here speaks of.
fn neither(findings: &Findings) -> String {
    let [one, other] = findings.candidates.0;
    let mut both: Vec<(&str, Vec<&str>)> = Vec::new();
    for env in findings.environments() {
        let of = |design| findings.cell(design, env);
        let (Some(a), Some(b)) = (of(one), of(other)) else {
            continue;
        };
        for p in shootdown_spec::property::PROPERTIES {
            let harm = Kind::of([p.name], true, "everything") == Kind::Violated;
            let falls = |c: &Cell| c.violated().any(|j| j.name == p.name);
            if harm && falls(a) && falls(b) {
                match both.iter_mut().find(|(name, _)| *name == p.name) {
                    Some((_, envs)) => envs.push(env),
                    None => both.push((p.name, vec![env])),
                }
            }
        }
    }
    let mut all: Vec<String> = both
        .iter()
        .map(|(name, envs)| {
            let what = match *name {
                "no_walker_on_reused_table" => {
                    "fast GUP where a flush does not interrupt its targets"
                }
                name => short(name),
            };
            let envs: Vec<_> = envs.iter().map(|e| format!("`{e}`")).collect();
            format!(
                "{what} (`{name}` is violated in both, in {})",
                envs.join(", ")
            )
        })
        .collect();
    all.push(
        "store buffers, which `check --memory tso` asks for and this matrix does not ([memory.md](memory.md)); hugetlbfs, KVM's \
         notifiers and CPA, which are not modelled"
            .into(),
    );
    format!("{}.", all.join("; "))
}

fn links(findings: &Findings, runs: &Runs<'_>) -> String {
    let hang = findings.cell("v2.6.37", "nosplit+thp");
    let picture = match hang.and_then(|c| c.verdict("no_deadlock")) {
        Some(Verdict::Violated) => runs.link(
            hang.expect("it was asked"),
            "no_deadlock",
            "the hang of 2011 as a picture",
        ),
        _ => "the hang of 2011 (not found by this run)".to_string(),
    };
    format!(
        "{picture} · [the evidence](#{}) · [the assumptions](#{})",
        slug("The assurance ladder"),
        slug("Assumptions")
    )
}

/// Who proposes the candidates, for a sentence under the decision table.
pub fn proposers(findings: &Findings) -> String {
    let of = |name: &&str| format!("`{name}`: {}", named(name).origin);
    let both: Vec<_> = findings.candidates.0.iter().map(of).collect();
    let stake = match findings.candidates.0.contains(&"tracked") {
        true => {
            " The authors of this review also wrote `tracked` and its implementation: that is a stake, and a reason to look \
             hardest at what is said in its favour."
        }
        false => "",
    };
    format!("Who proposes them: {}.{stake}", both.join("; "))
}
