//! The two designs that there are to choose from, and what follows from their axes.

use super::designs::{differing, programs};
use shootdown_spec::design::{DESIGNS, Design, Flush, NamedDesign, PgdLock, Ptl};

/// Two named designs, the smaller change first by custom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidates(pub [&'static str; 2]);

impl Default for Candidates {
    /// The fix that was merged, and the design that `impl` implements.
    fn default() -> Candidates {
        Candidates(["v2.6.38", "tracked"])
    }
}

impl Candidates {
    /// Two names with a comma between them.
    ///
    /// # Errors
    /// What is wrong, and which names there are.
    pub fn parse(text: &str) -> Result<Candidates, String> {
        let names: Vec<&str> = text.split(',').map(str::trim).collect();
        let [one, other] = names.as_slice() else {
            return Err(format!(
                "two designs with a comma between them, such as v2.6.38,tracked; not {}",
                names.len()
            ));
        };
        let candidates = Candidates([known(one)?.name, known(other)?.name]);
        if candidates.0[0] == candidates.0[1] {
            return Err(format!("`{one}` cannot be compared with itself"));
        }
        Ok(candidates)
    }

    /// Is it the choice of 2011, for which the review has advice written by hand?
    pub fn is_default(self) -> bool {
        self == Candidates::default()
    }

    /// `v2.6.38 or tracked`.
    pub fn or(self) -> String {
        self.0.join(" or ")
    }
}

fn known(name: &str) -> Result<&'static NamedDesign, String> {
    DESIGNS.iter().find(|d| d.name == name).ok_or_else(|| {
        let names: Vec<_> = DESIGNS.iter().map(|d| d.name).collect();
        format!("no design is called `{name}`: {}", names.join(", "))
    })
}

/// The design behind a name that was checked.
pub fn named(name: &str) -> &'static NamedDesign {
    known(name).expect("its name was checked")
}

/// What distinguishes a design, in three or four words for the head of a column.
pub fn gist(design: Design) -> &'static str {
    match (design.flush, design.pgd_lock, design.walk_takes_ptl) {
        (Flush::UnderLock, _, false) => "the walk takes `pgd_lock` only",
        (Flush::UnderLock, PgdLock::Irqsave, true) => "irqsave `pgd_lock`",
        (Flush::UnderLock, PgdLock::Plain, true) => "plain `pgd_lock`",
        (Flush::UnderLock, PgdLock::Rwlock, true) => "`pgd_lock` as an rwlock",
        (Flush::YoungAfterUnlock, ..) => "aging flushes after the unlock",
        (Flush::AfterUnlock, ..) => "flush after the unlock",
        (Flush::AfterUnlockTracked, ..) => "flush after the unlock, counted",
    }
}

/// What has to stay true for a design to stay right.
pub fn rule(design: Design) -> &'static str {
    match (design.flush, design.pgd_lock, design.ptl) {
        (Flush::UnderLock, _, _) if !design.walk_takes_ptl => {
            "Nobody who holds only a page-table lock relies on the walk staying out: no Xen guest pins page tables."
        }
        (Flush::UnderLock | Flush::YoungAfterUnlock, PgdLock::Irqsave, _) => {
            "No path awaits acknowledgements under a page-table lock that the walk takes with interrupts off. Paths that \
             do exist."
        }
        (Flush::UnderLock | Flush::YoungAfterUnlock, _, _) => {
            "No interrupt takes `pgd_lock`, and nobody waits with interrupts off for a page-table lock, through any chain \
             of holders. A rule about the whole kernel."
        }
        (Flush::AfterUnlock, _, _) => {
            "Nobody concludes from an entry that is not present that no TLB has it. Paths that do exist."
        }
        (Flush::AfterUnlockTracked, _, Ptl::Plain) => {
            "Whoever changes an entry raises the counter under the lock, flushes after it, and drops the counter then; no \
             interrupt takes `pgd_lock`."
        }
        (Flush::AfterUnlockTracked, _, Ptl::Irqsave) => {
            "Whoever changes an entry raises the counter under the lock, flushes after it, and drops the counter then; \
             page-table locks are always taken irqsave. Local to the paths that flush."
        }
    }
}

/// Who notices if the rule is broken.
pub fn enforced(design: Design) -> &'static str {
    match (design.flush, design.ptl) {
        (Flush::AfterUnlock, _) => "Nobody.",
        (Flush::AfterUnlockTracked, Ptl::Irqsave) => {
            "In `impl` the types: a breach does not compile. In C nobody but a reviewer."
        }
        (Flush::AfterUnlockTracked, Ptl::Plain) => {
            "The counter: in `impl` the types. The interrupt: lockdep, once the path has run."
        }
        (Flush::UnderLock, _) if !design.walk_takes_ptl => "Nobody.",
        _ => {
            "The first half lockdep, once the path has run; the second half nobody: waiting for an IPI is no lock to it."
        }
    }
}

/// How many programs a design changes against v2.6.37, of how many.
pub fn changes(name: &str) -> (usize, usize) {
    let of = |name| programs(named(name).design);
    let all = of(name);
    (differing(&of("v2.6.37"), &all).len(), all.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_two_designs_that_differ() {
        assert_eq!(
            Candidates::parse("v2.6.38,tracked"),
            Ok(Candidates::default())
        );
        assert_eq!(
            Candidates::parse(" rwlock, deferred "),
            Ok(Candidates(["rwlock", "deferred"]))
        );
        let refused = |text: &str| Candidates::parse(text).expect_err("it is refused");
        assert!(refused("tracked").contains("two designs"));
        assert!(refused("a,b,c").contains("not 3"));
        assert!(refused("tracked,tracked").contains("itself"));
        assert!(refused("tracked,trakced").contains("`trakced`: v2.6.36, v2.6.37"));
    }
}
