//! The command line as its users meet it: what is printed where, and the exit code.

use assert_cmd::Command;
use std::process::Output;

mod cli {
    mod check;
    mod checkpoint;
    mod ci;
    mod diagnose;
    mod expected;
    mod explore;
    mod export;
    mod limits;
    mod list;
    mod matrix;
    mod mutants;
    mod pages;
    mod prove;
    mod refine;
    mod replay;
    mod report;
    mod scenario;
    mod second_opinion;
    mod second_opinion_tlc;
    mod signals;
    mod sweep;
    mod usage;
    mod verdict_tables;
    mod words;
}

/// The seed's deadlock, as `check` prints it: 11 steps, one context switch.
const SEED: &str = "v2.6.37;cpus=2,mms=1;workload=page_referenced_one,vmalloc_sync_all;start=mm0,mm0;\
                    1:page_referenced_one_huge@mm0 1*4 0:vmalloc_sync_all 0*5;";

/// The binary, with an environment that changes nothing.
fn shootdown() -> Command {
    let mut command = Command::cargo_bin("shootdown").expect("cargo builds it for this test");
    for name in ["COLUMNS", "RUST_LOG", "NO_COLOR"] {
        command.env_remove(name);
    }
    command
}

/// What came of a run.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("text is UTF-8"),
            err: String::from_utf8(output.stderr).expect("text is UTF-8"),
        }
    }
}

/// Runs it with arguments written as in a shell without quotes.
fn run(arguments: &str) -> Ran {
    run_with(&arguments.split_whitespace().collect::<Vec<_>>())
}

fn run_with(arguments: &[&str]) -> Ran {
    shootdown()
        .args(arguments)
        .output()
        .expect("it runs")
        .into()
}

impl Ran {
    /// It ended as documented, neither with a panic nor by a signal.
    #[track_caller]
    fn exits(self, code: i32) -> Ran {
        let Ran { out, err, .. } = &self;
        assert_eq!(self.code, Some(code), "stdout:\n{out}\nstderr:\n{err}");
        assert!(!err.contains("panicked"), "{err}");
        self
    }

    /// Stdout has each of these, however its lines are broken.
    #[track_caller]
    fn prints(self, parts: &[&str]) -> Ran {
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let out = flat(&self.out);
        for part in parts {
            assert!(out.contains(&flat(part)), "no {part:?} in\n{}", self.out);
        }
        self
    }

    /// Stderr has each of these, and says nothing on stdout.
    #[track_caller]
    fn complains(self, parts: &[&str]) -> Ran {
        for part in parts {
            assert!(self.err.contains(part), "no {part:?} in\n{}", self.err);
        }
        assert_eq!(self.out, "");
        self
    }
}
