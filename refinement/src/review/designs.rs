//! The designs as points in the space of axes.

use super::document::{Block, Part, Table};
use super::findings::plural;
use shootdown_spec::config::Config;
use shootdown_spec::design::{DESIGNS, Design};
use shootdown_spec::environment::Environment;
use shootdown_spec::program::{Op, Program};
use shootdown_spec::variant::VariantSet;
use shootdown_spec::workload::Workload;

pub fn part() -> Part {
    let mut table = Table::new([
        "design",
        "`pgd_lock`",
        "walk takes `page_table_lock`",
        "page-table locks",
        "flush",
        "programs that differ from `v2.6.37`",
        "origin",
    ]);
    let (base, of) = (
        programs(Design::named("v2.6.37").expect("it is named")),
        all(),
    );
    for d in DESIGNS {
        let changed = differing(&base, &programs(d.design));
        table.row([
            format!("`{}`", d.name),
            d.design.pgd_lock.to_string(),
            if d.design.walk_takes_ptl { "yes" } else { "no" }.to_string(),
            d.design.ptl.to_string(),
            d.design.flush.to_string(),
            format!("{} of {of}", changed.len()),
            d.origin.to_string(),
        ]);
    }
    Part {
        title: "The designs".into(),
        blocks: vec![
            Block::Text(
                "A design is four choices; everything else about the kernel paths is the same in all of them. \
                 `pgd_lock` may be taken *irqsave*, *plain* or as an *rwlock* (walks read, alloc and free write). \
                 Flushes may be awaited *under_lock*; *young_after_unlock* moves only the accessed-bit flush of page \
                 aging behind the unlock; *after_unlock* moves every flush; *after_unlock_tracked* moves every flush and \
                 keeps a counter of pending flushes per mm, raised and read under the lock, so that nobody concludes \
                 *not present, hence not cached*."
                    .into(),
            ),
            Block::Table(table),
            Block::Text(
                "Any other combination can be asked for: `shootdown check --pgd-lock plain --ptl irqsave --flush after_unlock_tracked`. \
                 [The tutorial](tutorial.md) goes through one."
                    .into(),
            ),
        ],
    }
}

/// Every program of a design, where all of them exist.
pub fn programs(design: Design) -> Vec<Program> {
    let environment = Environment {
        mms: 2,
        ..Environment::default()
    };
    let workload = Workload::parse("everything+madvise", &environment).expect("it is named");
    let config = Config::new(design, environment, workload, VariantSet::NONE);
    config
        .expect("it makes sense")
        .reachable_programs()
        .cloned()
        .collect()
}

fn all() -> String {
    programs(DESIGNS[0].design).len().to_string()
}

/// Names of the programs of which some step is another.
pub fn differing(base: &[Program], other: &[Program]) -> Vec<&'static str> {
    let changed = |p: &&Program| {
        base.iter()
            .find(|b| b.id == p.id)
            .is_none_or(|b| steps(b) != steps(p))
    };
    other.iter().filter(changed).map(|p| p.id.name()).collect()
}

/// Steps without the jumps between them.
fn steps(program: &Program) -> Vec<(Op, &'static str)> {
    let real = program.lines.iter().filter(|l| !l.op.is_control());
    real.map(|l| (l.op, l.source)).collect()
}

/// `page_referenced_one_huge: 7 statements`, for the price of a design.
pub fn statements(design: Design, program: &str) -> String {
    let programs = programs(design);
    let found = programs.iter().find(|p| p.id.name() == program);
    found.map_or("none".into(), |p| plural(steps(p).len(), "statement"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(name: &str) -> Vec<&'static str> {
        let of = |n| programs(Design::named(n).expect("it is named"));
        differing(&of("v2.6.37"), &of(name))
    }

    #[test]
    fn a_design_differs_where_its_axes_say() {
        assert!(changed("v2.6.37").is_empty());
        // The merged fix: who takes pgd_lock, and nobody else.
        assert_eq!(
            changed("v2.6.38"),
            ["vmalloc_sync_all", "pgd_alloc", "pgd_free"]
        );
        assert_eq!(
            changed("woodman"),
            ["page_referenced_one_pte", "page_referenced_one_huge"]
        );
        assert!(changed("tracked").len() > changed("tracked-plain").len());
    }
}
