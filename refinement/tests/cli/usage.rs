//! What is refused, with which words.

use crate::{run, run_with, shootdown};

#[test]
fn an_unknown_design_gets_the_list_and_the_nearest() {
    run("check --design trackd").exits(2).complains(&[
        "'trackd'",
        "v2.6.36, v2.6.37, v2.6.38, rwlock, woodman, deferred, tracked-plain, tracked",
        "a similar value exists: 'tracked'",
    ]);
}

#[test]
fn an_unknown_name_of_any_axis_gets_the_list() {
    for (flags, listed) in [
        ("--env splat", "split+thp"),
        ("--pgd-lock mutex", "irqsave, plain, rwlock"),
        ("--ptl mutex", "plain, irqsave"),
        ("--flush never", "under_lock, young_after_unlock"),
        ("--walk-takes-ptl maybe", "yes, no"),
        ("--thp maybe", "on, off"),
        ("--flush-backend pigeon", "ipi, hypercall"),
        ("--variant flag-for-countr", "flag-for-counter"),
        ("--property no_dedlock", "no_deadlock"),
    ] {
        run(&format!("check {flags}")).exits(2).complains(&[listed]);
    }
}

#[test]
fn an_unknown_program_gets_its_column_and_the_nearest() {
    // "page_referenced_one," has 20 characters, so the second name starts in column 21.
    run("check --workload page_referenced_one,vmaloc_sync_all")
        .exits(2)
        .complains(&[
            "column 21",
            "`vmaloc_sync_all`",
            "did you mean `vmalloc_sync_all`?",
        ]);
}

#[test]
fn an_unknown_workload_gets_the_nearest_and_where_the_names_are() {
    run("check --workload agin").exits(2).complains(&[
        "column 1",
        "did you mean `aging`?",
        "shootdown list workloads",
    ]);
    run("check --workload qqq")
        .exits(2)
        .complains(&["`qqq`", "shootdown list programs"]);
}

#[test]
fn a_workload_without_programs_is_refused() {
    for text in ["", ",", "idle", "/", "mm0=", "@", "aging@mm7"] {
        let ran = run_with(&["check", "--workload", text]).exits(2);
        assert_eq!(ran.out, "", "{text:?}");
    }
}

#[test]
fn contradictory_axes_are_named() {
    run("check --flush-backend ipi --xen-pin on")
        .exits(2)
        .complains(&["xen_pin needs flush_backend=hypercall"]);
    run("check --workload split_huge_page --thp off")
        .exits(2)
        .complains(&["split_huge_page needs thp=on"]);
    run("check --workload three-cpus --cpus 2")
        .exits(2)
        .complains(&["3 roles", "2 CPUs"]);
}

#[test]
fn numbers_out_of_range_are_refused_with_the_range() {
    for (flags, range) in [
        ("--cpus 0", "1..=4"),
        ("--cpus 5", "1..=4"),
        ("--cpus -1", "1..=4"),
        ("--cpus 300", "1..=4"),
        ("--mms 0", "1..=3"),
        ("--mms 9", "1..=3"),
        ("--ops-per-cpu 0", "1..=4"),
        ("--cpus x", "invalid digit"),
        ("--threads 0", "1 to 1024"),
        ("--threads 1000000000", "1 to 1024"),
    ] {
        run(&format!("check {flags}")).exits(2).complains(&[range]);
    }
}

#[test]
fn bounds_that_are_no_bounds_are_refused_with_an_example() {
    for (flag, values, example) in [
        (
            "--max-states",
            ["0", "many", "-5", "1e400"],
            "a count such as 5M",
        ),
        (
            "--max-memory",
            ["0", "4 elephants", "-1", "NaN"],
            "a size such as 4GiB",
        ),
        (
            "--timeout",
            ["0", "banana", "-1", "inf"],
            "a time such as 90s or 5m",
        ),
    ] {
        for value in values {
            run_with(&["check", flag, value])
                .exits(2)
                .complains(&[flag, value, example]);
        }
    }
}

#[test]
fn an_unknown_subcommand_is_refused() {
    run("chekc").exits(2).complains(&["chekc", "check"]);
}

#[test]
fn help_and_version_succeed_and_fit_80_columns() {
    run("--version").exits(0).prints(&["shootdown"]);
    run("--help")
        .exits(0)
        .prints(&["Exit codes:", "explore", "check", "matrix", "replay"]);
    for command in [
        "explore",
        "check",
        "matrix",
        "replay",
        "list",
        "completions",
        "man",
    ] {
        for flag in ["-h", "--help"] {
            let output = shootdown()
                .env("COLUMNS", "80")
                .args([command, flag])
                .output();
            let ran = crate::Ran::from(output.expect("it runs")).exits(0);
            for line in ran.out.lines() {
                assert!(line.chars().count() <= 80, "{command} {flag}: {line}");
            }
        }
    }
}

#[test]
fn completions_and_the_manual_page_are_printed() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        run(&format!("completions {shell}"))
            .exits(0)
            .prints(&["shootdown", "flush-backend"]);
    }
    run("completions tcl").exits(2).complains(&["bash"]);
    run("man")
        .exits(0)
        .prints(&[".TH shootdown 1", "\\-\\-flush\\-backend"]);
}
