//! No text makes the reader panic, overflow its stack or take long.

use proptest::prelude::*;
use shootdown_lang::{new_template, parse, parse_bytes};

/// A piece of a scenario, to be put together wrongly.
fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "scenario \"x\";",
        "cpus 2;",
        "spinlock_t l;",
        "struct mutex m;",
        "percpu int p[2];",
        "cpumask_t c = 1;",
        "void f(void)",
        "task t on CPU0",
        "irq i on any times 1",
        "work w",
        "{",
        "}",
        "(",
        ")",
        ";",
        ",",
        "if",
        "else",
        "while",
        "do",
        "either",
        "or",
        "atomic",
        "goto x;",
        "x:",
        "return;",
        "spin_lock(&l);",
        "spin_unlock_irqrestore(&l, flags);",
        "on_each_cpu(f, 1);",
        "schedule_work(&w);",
        "wait_event(c)",
        "mutex_lock",
        "per_cpu(p, 1)",
        "[",
        "]",
        "=",
        "+=",
        "++",
        "&",
        "*",
        "->",
        "?",
        ":",
        "1",
        "0x",
        "99",
        "l",
        "m",
        "c",
        "p",
        "f",
        "t",
        "i",
        "w",
        "int n in 0..3;",
        "enum { A, B };",
        "invariant v:",
        "expect violated",
        "break;",
        "\"",
        "/*",
        "//",
        "\n",
        "#if",
        "\\",
        "é",
        "f();",
        "stop_machine(f);",
        "for_each_cpu (k, c)",
        "assert(",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pieces_in_any_order_are_read_or_refused(pieces in prop::collection::vec(piece(), 0..80)) {
        let _ = parse(&pieces.join(" "), "fuzz.sd").map_err(|errors| errors.render(true));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_bytes(&bytes, "fuzz.sd").map_err(|errors| errors.render(false));
    }

    #[test]
    fn a_scenario_with_a_few_bytes_changed_is_read_or_refused(changes in prop::collection::vec((any::<prop::sample::Index>(), 32u8..127), 1..8), cut in any::<prop::sample::Index>()) {
        let mut bytes = new_template("x").into_bytes();
        for (at, byte) in &changes {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        let cut = cut.index(bytes.len());
        let _ = parse_bytes(&bytes, "fuzz.sd").map_err(|errors| errors.render(false));
        let _ = parse_bytes(&bytes[..cut], "fuzz.sd").map_err(|errors| errors.render(false));
    }
}

#[test]
fn deep_nesting_is_refused_without_a_stack_overflow() {
    let head = "scenario \"x\"; cpus 1; int x; task t on CPU0 { ";
    for (open, close) in [
        ("(", ")"),
        ("{", "}"),
        ("if (1) ", ""),
        ("!", ""),
        ("x = -", ""),
        ("x[", "]"),
        ("1 + ", ""),
        ("while (x) { ", "}"),
        ("if (x) ; else ", ""),
        ("f(", ")"),
        ("either { ", "}"),
        ("x ? 1 : ", ""),
    ] {
        for prefix in ["", "x = "] {
            let text = format!(
                "{head}{prefix}{}1{}; }}",
                open.repeat(50_000),
                close.repeat(50_000)
            );
            assert!(parse(&text, "deep.sd").is_err(), "{open}");
        }
    }
    let text = format!("{head} x = {}1; }}", "1 + ".repeat(90));
    assert!(parse(&text, "long.sd").is_ok());
}

/// Nothing of it has a step, and all of it doubles.
#[test]
fn functions_that_double_at_every_level_are_refused_in_time() {
    let mut text = "scenario \"x\"; cpus 2; void f0(void) { }\n".to_owned();
    for i in 1..40 {
        let below = i - 1;
        text += &format!("void f{i}(void) {{ f{below}(); f{below}(); }}\n");
    }
    let errors =
        parse(&format!("{text}task t on CPU0 {{ f39(); }}"), "double.sd").expect_err("too long");
    assert!(errors.list.iter().any(|d| d.code.name == "too-long"));
    let loops: String = (0..30)
        .map(|i| format!("for_each_cpu (c{i}, cpu_online_mask) {{ "))
        .chain((0..30).map(|_| "}".to_owned()))
        .collect();
    assert!(
        parse(
            &format!("scenario \"x\"; cpus 16; task t on CPU0 {{ {loops} }}"),
            "loops.sd"
        )
        .is_err()
    );
}

#[test]
fn a_function_that_stops_the_machine_to_run_itself_is_refused() {
    for body in ["stop_machine(f)", "stop_one_cpu(1, f)", "on_each_cpu(f, 1)"] {
        let text =
            format!("scenario \"x\"; cpus 2; void f(void) {{ {body}; }} task t on CPU0 {{ f(); }}");
        let errors = parse(&text, "self.sd").expect_err("recursion");
        assert_eq!(errors.list[0].code.name, "recursion", "{body}");
    }
}

#[test]
fn the_template_reads_without_a_word() {
    let text = new_template("my lock");
    match parse(&text, "my-lock.sd") {
        Ok(checked) => assert_eq!(checked.protocol.name, "my lock"),
        Err(errors) => panic!("{}", errors.render(false)),
    }
}

/// A million files, by hand: `cargo test -p shootdown-lang --release --test hostile -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes"]
fn a_million_mutated_scenarios_each_within_a_tenth_of_a_second() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../corpus");
    let classes = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/classes");
    let seeds: Vec<Vec<u8>> = [corpus, classes]
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).expect("a folder"))
        .filter_map(|entry| std::fs::read(entry.ok()?.path()).ok())
        .collect();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below.max(1) as u64) as usize
    };
    let (mut longest, mut read) = (std::time::Duration::ZERO, 0u32);
    for _ in 0..1_000_000 {
        let mut bytes = seeds[next(seeds.len())].clone();
        for _ in 0..=next(6) {
            let other = &seeds[next(seeds.len())];
            let (at, from) = (next(bytes.len()), next(other.len()));
            match next(5) {
                0 => bytes[at] = next(256) as u8,
                1 => bytes.truncate(at + 1),
                2 => {
                    let to = (at + next(40)).min(bytes.len());
                    bytes.drain(at..to);
                    bytes.push(b' ');
                }
                3 => {
                    let to = (from + next(60)).min(other.len());
                    let part = other[from..to].to_vec();
                    bytes.splice(at..at, part);
                }
                _ => bytes[at] = b"{}();,&*=!<>+-|\"/\n 019"[next(22)],
            }
        }
        let timed = || {
            let start = std::time::Instant::now();
            let good = match parse_bytes(&bytes, "fuzz.sd") {
                Ok(read) => {
                    // It fits the search or is refused.
                    drop(shootdown_ir::compile::compile(&read.protocol));
                    true
                }
                Err(errors) => {
                    drop(errors.render(false));
                    false
                }
            };
            (start.elapsed(), good)
        };
        let (mut took, good) = timed();
        read += u32::from(good);
        // A machine that does something else meanwhile is not the reader's fault: what is slow is slow every time.
        for _ in 0..5 {
            if took > std::time::Duration::from_millis(20) {
                took = took.min(timed().0);
            }
        }
        if took > longest {
            longest = took;
        }
    }
    println!("{read} of a million read without an error; the longest took {longest:?}");
    assert!(longest.as_millis() < 100, "{longest:?}");
}
