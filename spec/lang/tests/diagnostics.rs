//! Every check has a file that triggers it, and its message reads as it should.

use shootdown_lang::{CODES, Severity, explain, parse};

const HEAD: &str = "scenario \"t\"; cpus 2;\n";

/// A file for each code, without its first line (see `HEAD`) unless it starts with `!`.
const TRIGGERS: &[(&str, &str)] = &[
    ("binary-file", "!scenario \"t\";\0"),
    (
        "preprocessor",
        "#include <linux/spinlock.h>\n#ifdef CONFIG_SMP\ntask t on CPU0 { }\n#endif\n",
    ),
    (
        "unknown-character",
        "task t on CPU0 { @ }\nbool größe;\nint a = \u{201c}3\u{201d};\n",
    ),
    ("unterminated", "task t on CPU0 { } /* to the end\n"),
    (
        "bad-number",
        "enum { A = 99999999999999999999, B = 1.5 };\ntask t on CPU0 { }\n",
    ),
    (
        "unexpected",
        "task t on CPU0 {\n    x + 1;\n    else { }\n}\ntsk u on CPU1 { }\n",
    ),
    (
        "missing-semicolon",
        "bool x\ntask t on CPU0 {\n    x = 1\n    x = 0;\n}\n",
    ),
    (
        "unclosed",
        "bool x;\ntask t on CPU0 {\n    if (x) {\n        x = 0;\n\ntask u on CPU1 { }\n",
    ),
    (
        "too-deep",
        "bool x;\ntask t on CPU0 { x = ((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((1)))))))))))); }\n",
    ),
    (
        "not-in-language",
        "int x;\nint f(void) { return 1; }\ntask t on CPU0 {\n    int *p;\n    for (x = 0; x < 3; x++) ;\n    switch (x) { case 1: break; }\n    x = dev->lock;\n    x = (int)x;\n}\nstruct foo { int a; };\n",
    ),
    (
        "duplicate",
        "cpus 3;\nspinlock_t l;\nbool l;\ntask t on CPU0 { spin_lock(&l); spin_unlock(&l); }\n",
    ),
    ("missing-cpus", "!scenario \"t\";\ntask t on CPU0 { }\n"),
    ("no-source", "spinlock_t l;\n"),
    (
        "unknown-name",
        "spinlock_t page_table_lock;\ntask t on CPU0 {\n    spin_lock(&page_tabel_lock);\n    spin_unlock(&page_table_lock);\n}\n",
    ),
    (
        "unknown-call",
        "spinlock_t l;\ntask t on CPU0 {\n    spin_lok(&l);\n    do_something();\n    spin_unlock(&l);\n}\n",
    ),
    (
        "unsupported-call",
        "task t on CPU0 {\n    kfree_rcu(obj, head);\n    kmalloc(10, GFP_KERNEL);\n}\n",
    ),
    (
        "unknown-type",
        "struct mutx m;\nmutex n;\nstruct timer_list t;\nfloat f;\ntask a on CPU0 { }\n",
    ),
    (
        "unknown-property",
        "expect violated no_deadlok;\nrule strickt;\ntask t on CPU0 { }\n",
    ),
    (
        "wrong-kind",
        "struct mutex m;\nraw_spinlock_t r;\ntask t on CPU0 {\n    spin_lock(&m);\n    spin_lock(&r);\n    mutex_lock(m);\n    t = 1;\n}\n",
    ),
    (
        "wrong-arity",
        "spinlock_t l;\nvoid f(void) { }\ntask t on CPU0 {\n    spin_lock_irqsave(&l);\n    smp_call_function(f);\n    f(1);\n}\n",
    ),
    (
        "no-value",
        "bool x;\nspinlock_t l;\ntask t on CPU0 {\n    x = spin_lock(&l);\n}\n",
    ),
    (
        "needs-constant",
        "int n;\nint a[n];\nvoid f(void) { }\ntask t on CPU0 { smp_call_function(f, n); }\n",
    ),
    (
        "out-of-range",
        "int n in 0..3 = 7;\nint a[2];\ncpumask_t m = 9;\ntask t on CPU5 {\n    a[2] = 1;\n    n = 4;\n    n = 1 / 0;\n}\n",
    ),
    (
        "not-assignable",
        "enum { A };\nspinlock_t l;\ntask t on CPU0 {\n    A = 1;\n    NR_CPUS = 3;\n    l = 1;\n    1 = 2;\n}\n",
    ),
    (
        "bad-jump",
        "bool x;\ntask t on CPU0 {\n    if (x) goto otu;\n    break;\nout:\n    x = 1;\n}\n",
    ),
    (
        "recursion",
        "void g(void) { f(); }\nvoid f(void) { g(); }\ntask t on CPU0 { f(); }\n",
    ),
    (
        "too-long",
        "bool x;\nvoid a(void) { x = 1; x = 0; x = 1; x = 0; x = 1; x = 0; x = 1; x = 0; }\nvoid b(void) { a(); a(); a(); a(); a(); a(); a(); a(); }\nvoid c(void) { b(); b(); b(); b(); b(); b(); b(); b(); }\nvoid d(void) { c(); c(); c(); c(); c(); c(); c(); c(); }\ntask t on CPU0 { d(); d(); }\n",
    ),
    (
        "not-atomic",
        "spinlock_t l;\nbool x;\ntask t on CPU0 {\n    atomic { spin_lock(&l); x = 1; }\n    spin_unlock(&l);\n}\n",
    ),
    (
        "needs-statement",
        "atomic_t n;\ninvariant i: atomic_inc_return(&n) < 3;\ntask t on CPU0 { wait_event(atomic_dec_and_test(&n)); }\n",
    ),
    (
        "flags-never-saved",
        "spinlock_t l;\ntask t on CPU0 {\n    spin_lock(&l);\n    spin_unlock_irqrestore(&l, flags);\n}\n",
    ),
    (
        "lock-imbalance",
        "spinlock_t l;\nbool x;\ntask t on CPU0 {\n    spin_lock(&l);\n    if (x) return;\n    spin_unlock(&l);\n}\n",
    ),
    (
        "unlock-without-lock",
        "rwlock_t l;\ntask t on CPU0 {\n    read_lock(&l);\n    write_unlock(&l);\n}\n",
    ),
    (
        "self-deadlock",
        "spinlock_t l;\nvoid f(void) { spin_lock(&l); spin_unlock(&l); }\ntask t on CPU0 {\n    spin_lock(&l);\n    f();\n    spin_unlock(&l);\n}\n",
    ),
    (
        "recursive-read",
        "rwlock_t l fair;\ntask t on CPU0 {\n    read_lock(&l);\n    read_lock(&l);\n    read_unlock(&l);\n    read_unlock(&l);\n}\n",
    ),
    (
        "sleep-in-atomic",
        "spinlock_t l;\nstruct mutex m;\ntask change_page_attr on CPU0 {\n    spin_lock(&l);\n    mutex_lock(&m);\n    mutex_unlock(&m);\n    spin_unlock(&l);\n}\n",
    ),
    (
        "ipi-wait-irqs-off",
        "spinlock_t l;\nvoid f(void) { }\ntask t on CPU0 {\n    spin_lock_irq(&l);\n    on_each_cpu(f, NULL, 1);\n    spin_unlock_irq(&l);\n}\n",
    ),
    (
        "crossed-flags",
        "spinlock_t a, b;\ntask t on CPU0 {\n    spin_lock_irqsave(&a, flags);\n    spin_lock_irqsave(&b, flags);\n    spin_unlock_irqrestore(&b, flags);\n    spin_unlock_irqrestore(&a, flags);\n}\n",
    ),
    (
        "flags-maybe-unsaved",
        "bool x;\ntask t on CPU0 {\n    unsigned long flags;\n\n    if (x)\n        local_irq_save(flags);\n    local_irq_restore(flags);\n}\n",
    ),
    (
        "restore-order",
        "spinlock_t a, b;\ntask t on CPU0 {\n    spin_lock_irq(&a);\n    spin_lock_irq(&b);\n    spin_unlock_irq(&b);\n    spin_unlock_irq(&a);\n}\n",
    ),
    (
        "context-imbalance",
        "bool x;\ntask t on CPU0 {\n    local_irq_disable();\n    if (x) return;\n    local_irq_enable();\n}\n",
    ),
    (
        "nmi-lock",
        "raw_spinlock_t l;\nnmi pmu on CPU0 times 1 { raw_spin_lock(&l); raw_spin_unlock(&l); }\ntask t on CPU0 { raw_spin_lock(&l); raw_spin_unlock(&l); }\n",
    ),
    ("never-raised", "work w on CPU0 { }\ntask t on CPU0 { }\n"),
    ("unused-lock", "spinlock_t l;\ntask t on CPU0 { }\n"),
    ("unused-function", "void f(void) { }\ntask t on CPU0 { }\n"),
    ("unused-variable", "int n;\ntask t on CPU0 { }\n"),
    (
        "unreachable",
        "bool x;\ntask t on CPU0 {\n    return;\n    x = 1;\n}\n",
    ),
    (
        "ignored-result",
        "struct mutex m;\ntask t on CPU0 {\n    mutex_trylock(&m);\n    mutex_unlock(&m);\n}\n",
    ),
];

#[test]
fn every_check_has_a_file_that_triggers_it() {
    for code in CODES {
        // A file of more than 1 MiB is made below.
        if code.name == "file-too-large" {
            continue;
        }
        let Some((_, text)) = TRIGGERS.iter().find(|(name, _)| *name == code.name) else {
            panic!("nothing triggers {}", code.name);
        };
        let text = match text.strip_prefix('!') {
            Some(whole) => whole.to_owned(),
            None => format!("{HEAD}{text}"),
        };
        let found = match parse(&text, "t.sd") {
            Ok(checked) => checked.warnings,
            Err(errors) => *errors,
        };
        assert!(
            found.list.iter().any(|d| d.code.name == code.name),
            "{} is not triggered:\n{}",
            code.name,
            found.render(false)
        );
        let is_error = found.errors() > 0;
        assert_eq!(
            is_error,
            code.severity == Severity::Error,
            "{}:\n{}",
            code.name,
            found.render(false)
        );
        insta::assert_snapshot!(code.name, format!("{text}\n---\n{}", found.render(false)));
    }
}

#[test]
fn a_file_of_ten_megabytes_is_refused_at_once() {
    let errors = parse(&"spinlock_t l;\n".repeat(800_000), "big.sd").expect_err("too large");
    assert_eq!(errors.list[0].code.name, "file-too-large");
}

#[test]
fn ten_errors_are_shown_and_more_are_counted_as_more() {
    let text = format!(
        "{HEAD}task t on CPU0 {{\n{}}}\n",
        (0..20)
            .map(|i| format!("    missing_{i} = 1;\n"))
            .collect::<String>()
    );
    let errors = parse(&text, "t.sd").expect_err("unknown names");
    assert_eq!((errors.errors(), errors.cut), (10, true));
}

#[test]
fn every_code_is_explained() {
    for code in CODES {
        assert!(
            explain(code.name).is_some_and(|text| text.len() > 30),
            "{}",
            code.name
        );
    }
    assert_eq!(explain("no-such-code"), None);
}

#[test]
fn windows_line_ends_and_tabs_are_white_space() {
    let text = format!(
        "{HEAD}spinlock_t l;\ntask t on CPU0 {{\n\tspin_lock(&l);\n\tspin_unlock(&l);\n}}\n"
    )
    .replace('\n', "\r\n");
    assert!(parse(&text, "t.sd").is_ok());
}
