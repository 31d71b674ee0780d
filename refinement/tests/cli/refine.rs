//! `refine`: cells of the matrix, the rows that they have in the page, and coverage.

use crate::run;
use std::path::PathBuf;

/// A tree with the page of this one, changed.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str, change: impl Fn(&str) -> String) -> Tree {
        let root = std::env::temp_dir().join(format!("shootdown-{name}-{}", std::process::id()));
        let tree = Tree(root);
        std::fs::create_dir_all(tree.0.join("docs")).expect("a directory");
        let page = include_str!("../../../docs/refinement.md");
        std::fs::write(tree.page(), change(page)).expect("a file");
        tree
    }

    fn page(&self) -> PathBuf {
        self.0.join("docs/refinement.md")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.page()).expect("text")
    }

    fn refine(&self, more: &str) -> crate::Ran {
        run(&format!(
            "refine --matrix --only two-madvise {more} {}",
            self.0.display()
        ))
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A row of one of the cells that are run, and of one that is not.
const RUN: &str = "| `--design tracked --env split+thp --workload two-madvise` |";
const NOT_RUN: &str = "| `--design tracked --env split --workload everything` |";

#[test]
fn rows_of_some_cells_are_compared_without_running_the_others() {
    Tree::new("fresh", str::to_string)
        .refine("--check-docs")
        .exits(0)
        .prints(&[
            "3 cells",
            "refines: holds, agrees; 3,259 states",
            "real code run",
        ]);
}

#[test]
fn a_row_that_is_not_what_came_out_is_stale() {
    let stale = Tree::new("stale", |page| page.replace("| 3,259 |", "| 3,260 |"));
    let ran = stale.refine("--check-docs").exits(1);
    assert!(
        ran.err.contains("does not have the row") && ran.err.contains("| 3,259 |"),
        "{}",
        ran.err
    );
}

#[test]
fn so_is_a_row_that_is_missing_or_says_otherwise_what_is_expected_run_or_not() {
    let without = |page: &str| -> String {
        page.split_inclusive('\n')
            .filter(|line| !line.starts_with(NOT_RUN))
            .collect()
    };
    let ran = Tree::new("missing", without)
        .refine("--check-docs")
        .exits(1);
    assert!(ran.err.contains(NOT_RUN), "{}", ran.err);
    let other = |page: &str| page.replace(NOT_RUN, &format!("{NOT_RUN} deadlock"));
    Tree::new("other", other).refine("--check-docs").exits(1);
    let more =
        |page: &str| page.replace(NOT_RUN, &format!("| `--design linux` | holds |\n{NOT_RUN}"));
    Tree::new("more", more).refine("--check-docs").exits(1);
}

#[test]
fn writing_the_rows_of_some_cells_leaves_the_others() {
    let marked = |page: &str| {
        let page = page.replace("| 3,259 |", "| 3,260 |");
        page.replace(
            &format!("{NOT_RUN} holds | agrees"),
            &format!("{NOT_RUN} holds | **DIFFERS**"),
        )
    };
    let tree = Tree::new("written", marked);
    assert_ne!(tree.text(), include_str!("../../../docs/refinement.md"));
    tree.refine("--docs").exits(0);
    let written = tree.text();
    assert!(
        written.contains(&format!("{RUN} holds | agrees | holds | 3,259 | 3,259 |")),
        "{written}"
    );
    assert!(
        written.contains(&format!("{NOT_RUN} holds | **DIFFERS** | holds")),
        "not run, not touched"
    );
}

#[test]
fn no_such_cell_is_refused() {
    run("refine --matrix --only linux")
        .exits(2)
        .complains(&["none of the", "docs/refinement.md"]);
    run("refine --only linux").exits(2).complains(&["--matrix"]);
}

#[test]
fn coverage_counts_the_steps_by_interrupt_state() {
    run("refine --env split --workload page_referenced_one_pte,vmalloc_sync_all --coverage")
        .exits(0)
        .prints(&[
            "steps of the protocol that the code took, irqs on:",
            "in an interrupt:",
            "allows here and the code never took: 0",
        ]);
}
