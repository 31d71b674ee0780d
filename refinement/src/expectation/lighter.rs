//! Three CPUs that run everything are 4 to 11 million states of the protocol for each design: what keeps whole states, or
//! explores the code beside the protocol, gets three CPUs that age pages in their place.

use super::Cell;

/// Design, states, what is violated.
type Aging = (&'static str, u64, &'static [&'static str]);

const STRICT: &[&str] = &["no_lock_held_across_ipi_wait"];

const HANGS: &[&str] = &[
    "no_deadlock",
    "no_lock_held_across_ipi_wait",
    "no_irqs_off_wait_for_flush_lock",
    "progress",
];

const AGING: &[Aging] = &[
    ("v2.6.36", 300_371, STRICT),
    ("v2.6.37", 307_343, HANGS),
    ("v2.6.38", 354_422, STRICT),
    ("rwlock", 394_792, STRICT),
    ("woodman", 972_114, &[]),
    ("deferred", 972_114, &[]),
    ("tracked-plain", 1_294_178, &[]),
    ("tracked", 1_364_728, &[]),
];

/// Nothing is unmapped, nobody pins.
const VACUOUS: &[&str] = &[
    "no_stale_tlb_after_return",
    "no_use_of_freed_frame",
    "no_walker_on_reused_table",
    "no_write_to_pinned_pgd",
];

impl Cell {
    /// The cell itself, or what stands for it.
    pub fn lighter(&self) -> Cell {
        let aging = AGING.iter().find(|(design, ..)| self.design == *design);
        let heavy = self.env == "3-cpus" && self.workload == "everything";
        let (true, Some((_, states, violated))) = (heavy, aging) else {
            return self.clone();
        };
        let owned = |names: &[&str]| names.iter().map(|n| (*n).to_string()).collect();
        Cell {
            workload: "aging".to_string(),
            states: *states,
            violated: owned(violated),
            vacuous: owned(VACUOUS),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cell, Expectations};
    use super::AGING;
    use shootdown_spec::check::check;
    use shootdown_spec::model::Protocol;
    use shootdown_spec::search::Options;
    use shootdown_spec::verdict::Verdict;

    fn grid() -> Vec<Cell> {
        Expectations::load().grid
    }

    #[test]
    fn every_design_has_one_and_nothing_else_is_changed() {
        let heavy = |c: &&Cell| c.env == "3-cpus";
        assert_eq!(grid().iter().filter(heavy).count(), AGING.len());
        for cell in grid() {
            let lighter = cell.lighter();
            assert_eq!(lighter != cell, cell.env == "3-cpus", "{}", cell.command());
            assert!(lighter.states <= cell.states);
        }
    }

    /// The smallest of them, against `check`.
    #[test]
    fn what_is_written_here_comes_out() {
        let all = grid();
        let cell = all
            .iter()
            .find(|c| c.env == "3-cpus" && c.design == "v2.6.37");
        let lighter = cell.expect("a cell of the grid").lighter();
        let config = lighter.config().expect("it makes sense");
        let result = check(&Protocol::new(config), &Options::default());
        assert_eq!(result.states.unique, lighter.states);
        let with = |verdict| -> Vec<&str> {
            let of = result.properties.iter().filter(|p| p.verdict == verdict);
            of.map(|p| p.name).collect()
        };
        assert_eq!(with(Verdict::Violated), lighter.violated);
        assert_eq!(with(Verdict::Vacuous), lighter.vacuous);
    }
}
