//! `export`: models for other checkers, and runs for other tools.

use crate::{SEED, run, run_with};

/// The subcommands that take a run.
const OF_RUNS: [&str; 6] = ["itf", "perfetto", "shiviz", "dot", "splat", "markdown"];

#[test]
fn a_small_model_reads_like_the_kernel() {
    let ran =
        run("export promela --design v2.6.37 --split-ptlocks off --thp off --workload unmapping");
    insta::assert_snapshot!(ran.exits(0).out);
}

#[test]
fn a_model_says_what_it_is_of() {
    let flags = "--design woodman --cpus 3 --mms 2 --ops-per-cpu 2 --pgd-free-in-irq on";
    run(&format!("export promela {flags} --workload lifecycle"))
        .exits(0)
        .prints(&[
            " * woodman",
            "cpus=3 mms=2 ops=2",
            "pgd_free_in_irq=on",
            "workload: lifecycle",
            "spin -o2 -o3 -a model.pml",
            "-DNOREDUCE",
            "inline pgd_free(self)",
        ]);
    run("export promela --variant ack-before-flush")
        .exits(0)
        .prints(&["DEVIATING from the protocol: ack-before-flush"]);
}

#[test]
fn a_model_can_be_written_to_a_file() {
    let directory = tempfile::tempdir().expect("there is room");
    let path = directory.path().join("model.pml");
    let file = path.to_str().expect("it is text");
    let ran = run(&format!("export promela -o {file}")).exits(0);
    assert_eq!(ran.out, "");
    let written = std::fs::read_to_string(&path).expect("it was written");
    assert_eq!(written, run("export promela").exits(0).out);

    run("export promela -o /nowhere/at/all.pml")
        .exits(2)
        .complains(&["/nowhere/at/all.pml"]);
}

#[test]
fn what_check_refuses_is_refused_here() {
    run("export promela --flush-backend ipi --xen-pin on")
        .exits(2)
        .complains(&["xen_pin needs flush_backend=hypercall"]);
    run("export")
        .exits(2)
        .complains(&["promela", "itf", "splat", "rv"]);
    run("export pascal").exits(2).complains(&["'pascal'"]);
}

#[test]
fn a_run_is_exported_alike_from_its_schedule_from_a_file_and_from_its_configuration() {
    let directory = tempfile::tempdir().expect("there is room");
    let file = directory.path().join("seed");
    std::fs::write(&file, format!("{SEED}\n")).expect("there is room");
    let file = file.to_str().expect("it is text");
    let searched = "--design v2.6.37 --thp on --workload page_referenced_one,vmalloc_sync_all --property no_deadlock";
    for what in OF_RUNS {
        let of_schedule = run_with(&["export", what, SEED]).exits(0);
        assert_eq!(of_schedule.err, "");
        assert_eq!(
            of_schedule.out,
            run_with(&["export", what, file]).exits(0).out
        );
        assert_eq!(
            of_schedule.out,
            run(&format!("export {what} {searched}")).exits(0).out
        );
    }
}

#[test]
fn each_flavour_and_each_graph_can_be_asked_for() {
    let splat = |flavour: &str| run_with(&["export", "splat", "--flavour", flavour, SEED]).exits(0);
    splat("modern").prints(&[
        "NOT A KERNEL LOG",
        "WARNING: possible circular locking dependency detected",
    ]);
    splat("2.6.38").prints(&[
        "NOT A KERNEL LOG",
        "[ INFO: possible circular locking dependency detected ]",
    ]);
    splat("dept").prints(&[
        "NOT A KERNEL LOG",
        "DEPT: Circular dependency has been detected.",
    ]);
    run_with(&["export", "dot", "--graph", "waits", SEED])
        .exits(0)
        .prints(&["digraph waits"]);
    // Nothing needs to be violated for an order to be drawn.
    run("export dot --graph order --design tracked")
        .exits(0)
        .prints(&["digraph order", "acyclic"]);
    run("export rv no_spin_irqs_off")
        .exits(0)
        .prints(&["digraph state_automaton {", "flush_lock_spin"]);
}

#[test]
fn a_run_of_the_code_is_exported_in_the_protocols_steps() {
    let found = run("refine --design v2.6.37 --env nosplit --workload aging").exits(1);
    let at = found.out.find("'code:").expect("it says how to replay it");
    let schedule = found.out[at + 1..].split('\'').next().expect("it ends");
    run_with(&["export", "splat", schedule])
        .exits(0)
        .prints(&["possible circular locking dependency"]);
    let broken = schedule.replace("code:", "code:x");
    run_with(&["export", "splat", &broken])
        .exits(2)
        .complains(&["after `code:`", "column 1"]);
}

#[test]
fn nonsense_is_refused_with_its_position_and_the_impossible_with_its_step() {
    let unreadable = [
        ("v2.6.37;cpus=2", "column 15"),
        (
            "v2.6.99;cpus=2,mms=1;",
            "column 1: no design is called `v2.6.99`",
        ),
        (&SEED.replace("0*5", "0*x") as &str, "is not"),
        ("no such file", "no file"),
    ];
    let early = SEED.replace("1*4", "1*40");
    for what in OF_RUNS {
        for (schedule, reason) in unreadable {
            run_with(&["export", what, schedule])
                .exits(2)
                .complains(&[reason]);
        }
        // The wait for the acknowledgement does not end.
        run_with(&["export", what, &early])
            .exits(1)
            .complains(&["does not fit", "awaits the acknowledgement of CPU0"]);
        run_with(&["export", what, SEED, "--design", "tracked"])
            .exits(2)
            .complains(&["cannot be used with"]);
    }
    run("export rv no_sleep")
        .exits(2)
        .complains(&["no_spin_irqs_off", "no_await_irqs_off"]);
}

#[test]
fn without_a_counterexample_there_is_nothing_to_export() {
    run("export itf --design tracked --workload aging")
        .exits(1)
        .complains(&["nothing is violated"]);
    run("export itf --design v2.6.38 --workload aging --property no_deadlock")
        .exits(1)
        .complains(&[
            "no_deadlock holds",
            "violated here: no_lock_held_across_ipi_wait",
        ]);
    run("export itf --design v2.6.38 --workload aging --property no_deadlock --max-states 5")
        .exits(3)
        .complains(&["cut off"]);
    // The strict rule is broken, but nobody waits without end and no order could deadlock.
    run("export splat --design v2.6.38 --workload aging")
        .exits(1)
        .complains(&["nothing in this run"]);
    run("export markdown --design v2.6.38 --workload aging")
        .exits(0)
        .prints(&["no_lock_held_across_ipi_wait"]);
}

#[test]
fn a_small_module_reads_like_the_kernel() {
    let ran = run("export tla --design v2.6.37 --split-ptlocks off --thp off --workload unmapping");
    insta::assert_snapshot!(ran.exits(0).out);
}

#[test]
fn a_module_says_what_it_is_of_and_what_tlc_is_asked() {
    let flags = "--design woodman --cpus 3 --mms 2 --pgd-free-in-irq on --workload lifecycle";
    run(&format!("export tla {flags}")).exits(0).prints(&[
        "MODULE woodman",
        "cpus=3 mms=2",
        "cpu0, cpu1, cpu2,",
        "irq_pgd_free(c, m) ==",
        "pgd_free_0(c, l) ==",
    ]);
    run(&format!("export tla --cfg {flags}"))
        .exits(0)
        .prints(&["INVARIANTS TypeOK no_deadlock", "SYMMETRY Symmetry"]);
    let ran = run(&format!("export tla --cfg --ask progress {flags}")).exits(0);
    assert!(!ran.out.contains("SYMMETRY"));
    ran.prints(&["SPECIFICATION FairSpec", "PROPERTY progress"]);
    run("export tla --variant ack-before-flush")
        .exits(0)
        .prints(&["DEVIATING from the protocol: ack-before-flush"]);
}

#[test]
fn symmetry_is_refused_where_it_is_unsound() {
    run("export tla --cfg --ask progress --symmetry on")
        .exits(2)
        .complains(&["--symmetry on", "temporal formula"]);
    run("export tla --cfg --workload three-cpus --symmetry on")
        .exits(2)
        .complains(&["each CPU has a role of its own"]);
    let ran = run("export tla --cfg --workload three-cpus").exits(0);
    assert!(!ran.out.contains("SYMMETRY"));
}

#[test]
fn a_module_is_in_a_file_of_its_name_with_its_configuration_beside_it() {
    let directory = tempfile::tempdir().expect("there is room");
    let path = directory.path().join("Small.tla");
    let file = path.to_str().expect("it is text");
    let ran = run(&format!("export tla --workload aging -o {file}")).exits(0);
    assert_eq!(ran.out, "");
    let module = std::fs::read_to_string(&path).expect("it was written");
    assert!(module.contains(" MODULE Small "));
    let cfg = std::fs::read_to_string(path.with_extension("cfg")).expect("beside it");
    assert_eq!(cfg, run("export tla --cfg --workload aging").exits(0).out);
    for name in ["two-words.tla", "Module.txt", "12.tla"] {
        let path = directory.path().join(name);
        run(&format!("export tla -o {}", path.display()))
            .exits(2)
            .complains(&[name, "letters, digits and `_`"]);
    }
}

#[test]
fn the_kept_modules_are_those_that_would_be_written() {
    run("export tla --check-docs ..").exits(0);
    let directory = tempfile::tempdir().expect("there is room");
    let kept = directory.path().join("spec/tla");
    std::fs::create_dir_all(&kept).expect("there is room");
    let root = directory.path().display();
    run(&format!("export tla --docs {root}")).exits(0);
    run(&format!("export tla --check-docs {root}")).exits(0);
    std::fs::write(kept.join("tracked.cfg"), "").expect("it is ours");
    run(&format!("export tla --check-docs {root}"))
        .exits(1)
        .complains(&["tracked.cfg is stale", "export tla --docs ."]);
}
