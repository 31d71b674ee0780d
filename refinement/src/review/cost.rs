//! What the candidates cost: statements, the same everywhere, and times of real threads, which differ from run to run.

use super::candidates::named;
use super::designs::{differing, programs, statements};
use super::document::{Block, Entry, Part, Table, Tone};
use super::findings::{Findings, Measured, count};

pub fn part(findings: &Findings) -> Part {
    let [one, other] = findings.candidates.0;
    let of = |name| programs(named(name).design);
    let changed = differing(&of(one), &of(other));
    let mut table = Table::new([
        "program".to_string(),
        format!("`{one}`"),
        format!("`{other}`"),
    ]);
    for program in &changed {
        let length = |name: &str| statements(named(name).design, program);
        table.row([format!("`{program}`"), length(one), length(other)]);
    }
    let mut blocks = vec![
        Block::Text(
            "Statements of the programs in which they differ, from the first to the return. They say how much longer a path is, \
             not how much slower."
                .into(),
        ),
        Block::Table(table),
    ];
    if let [a, b] = findings.measured.as_slice() {
        blocks.push(Block::ThisRun(measured(a, b)));
    }
    Part {
        title: "Cost".into(),
        blocks,
    }
}

fn measured(a: &Measured, b: &Measured) -> Vec<Block> {
    let mut table = Table::new([
        "command of one round",
        "came out",
        "operations a second, by round",
        "flush IPIs for 1,000 operations",
        "a flush takes, p50 and p99",
    ]);
    for m in [a, b] {
        let rates: Vec<String> = m.rates.iter().map(|r| count(*r as u64)).collect();
        let tone = if m.verdict == "clean" {
            Tone::Plain
        } else {
            Tone::Bad
        };
        let latency = |(p50, p99): (u64, u64)| format!("{} ns, {} ns", count(p50), count(p99));
        table.row([
            Entry::from(format!("`{}`", m.command)),
            Entry::toned(m.verdict, tone),
            rates.join(", ").into(),
            format!("{:.0}", m.ipis).into(),
            m.latency.map_or("-".into(), latency).into(),
        ]);
    }
    let clean = a.verdict == "clean" && b.verdict == "clean" && a.rate() > 0.0;
    let ratio = match clean {
        true => format!(
            "`{}` does {:.2} times the operations of `{}`, by the medians of {} rounds in turn.",
            b.design,
            b.rate() / a.rate(),
            a.design,
            a.rates.len()
        ),
        false => "A design that hangs or breaks has no rate that could be compared.".into(),
    };
    vec![
        Block::Text(format!(
            "The implementation on real threads of this machine, every program at random. {ratio} The ratio is about these \
             threads; a kernel's interrupts and caches cost differently."
        )),
        Block::Table(table),
    ]
}
