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
