//! `export`: models for other checkers.

use crate::run;

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
    run("export").exits(2).complains(&["promela"]);
    run("export pascal").exits(2).complains(&["'pascal'"]);
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
