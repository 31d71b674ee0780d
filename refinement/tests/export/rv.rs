//! Automata for the kernel's runtime verification: its reading rules, and what the automata say of runs.

use super::{ANSWERED, SEED, run, runs};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use shootdown_refinement::export::Run;
use shootdown_refinement::export::rv::{Automaton, RULES, Rule, events, parse};
use shootdown_spec::id::LockId;
use shootdown_spec::property::Property;

/// Accepted by `dot2c` and `rvgen monitor -c da` of Linux 6.18 when the rules were written down.
const TAKEN_BY_6_18: &str = r#"digraph state_automaton {
	{node [shape = plaintext, style=invis, label=""] "__init_irqs_on"};
	{node [shape = circle] "irqs_off"};
	{node [shape = doublecircle] "irqs_on"};
	{node [shape = circle] "irqs_on"};
	"__init_irqs_on" -> "irqs_on";
	"irqs_off" [label = "irqs_off"];
	"irqs_off" -> "irqs_on" [ label = "irq_enable" ];
	"irqs_on" [label = "irqs_on"];
	"irqs_on" -> "irqs_off" [ label = "irq_disable" ];
	"irqs_on" -> "irqs_on" [ label = "pgt_lock_spin\nirq_enable" ];
	{ rank = min ;
		"__init_irqs_on";
		"irqs_on";
	}
}
"#;

fn no_spin() -> Automaton {
    Rule::named("no_spin_irqs_off")
        .expect("it is a rule")
        .automaton()
}

fn no_await() -> Automaton {
    Rule::named("no_await_irqs_off")
        .expect("it is a rule")
        .automaton()
}

#[test]
fn a_graph_that_the_kernels_generator_takes_is_taken() {
    let automaton = parse("x/monitor.dot", TAKEN_BY_6_18).expect("6.18 takes it");
    assert_eq!(
        (automaton.name.as_str(), automaton.initial.as_str()),
        ("monitor", "irqs_on")
    );
    assert_eq!(automaton.transitions.len(), 4);
    assert_eq!(automaton.step("irqs_off", "pgt_lock_spin"), None);
}

#[test]
fn what_is_written_is_read_as_it_was_meant() {
    for rule in RULES {
        let automaton = rule.automaton();
        let read =
            parse(&format!("{}.dot", rule.name), &automaton.dot()).expect("the rules are kept");
        assert_eq!(read, automaton);
    }
}

#[test]
fn the_automata_read_so() {
    insta::assert_snapshot!(no_spin().dot());
    insta::assert_snapshot!(no_await().dot());
}

/// One edit for each rule: what the generator would fail at, or take for something else, is refused with the line.
#[test]
fn what_the_generator_would_not_take_is_refused() {
    let edits: [(&str, &str, usize, &str); 14] = [
        (
            "digraph state_automaton {",
            "digraph g {",
            1,
            "the first line",
        ),
        (
            "\t{node [shape = circle] \"irqs_off\"};\n",
            "\n",
            3,
            "a blank line",
        ),
        (
            "\t{node [shape = circle] \"irqs_off\"};\n",
            "",
            7,
            "`irqs_off` is no node",
        ),
        (
            "\"__init_irqs_on\"};\n",
            "\"start\"};\n",
            6,
            "says where it starts",
        ),
        (
            "\"__init_irqs_on\"};\n",
            "\"__init_off\"};\n",
            6,
            "the initial state `off` is no node",
        ),
        (
            "\t\"__init_irqs_on\" -> \"irqs_on\";\n",
            "",
            6,
            "here stands",
        ),
        (
            "\"__init_irqs_on\" -> \"irqs_on\";",
            "\"__init_irqs_on\" -> \"irqs_off\";",
            6,
            "here stands",
        ),
        (
            "[ label = \"irq_enable\" ];",
            "[label = \"irq_enable\"];",
            8,
            "with these blanks",
        ),
        (
            "[ label = \"irq_enable\" ];",
            "[ label = \"irq enable\" ];",
            8,
            "with these blanks",
        ),
        (
            "[ label = \"irq_enable\" ];",
            "[ label = \"irq-enable\" ];",
            8,
            "does not make a name in C",
        ),
        (
            "\t\"irqs_on\" [label = \"irqs_on\"];\n",
            "\n",
            9,
            "a blank line",
        ),
        (
            "pgt_lock_spin\\nirq_enable",
            "irq_disable",
            11,
            "not deterministic",
        ),
        (
            "\t{ rank = min ;\n\t\t\"__init_irqs_on\";\n\t\t\"irqs_on\";\n\t}\n}\n",
            "",
            12,
            "no line ends the transitions",
        ),
        (
            "\"irqs_off\" -> \"irqs_on\" [",
            "\"irqs_off\" -> \"nowhere\" [",
            8,
            "`nowhere` is no node",
        ),
    ];
    for (old, new, line, reason) in edits {
        assert!(TAKEN_BY_6_18.contains(old), "{old}");
        let error = parse("monitor.dot", &TAKEN_BY_6_18.replacen(old, new, 1)).expect_err(reason);
        assert!(error.reason.contains(reason), "{reason}: {error}");
        assert_eq!(error.line, line, "{reason}: {error}");
    }
    for file in ["monitor", ".dot", "monitor.txt"] {
        let error = parse(file, TAKEN_BY_6_18).expect_err("it has no name");
        assert!(error.reason.contains("NAME.dot"), "{error}");
    }
}

fn is_page_table_lock(lock: LockId) -> bool {
    lock.is_page_table_lock()
}

fn rejected_at(automaton: &Automaton, run: &Run, cpu: u8) -> Option<usize> {
    let told = events(run, cpu, is_page_table_lock);
    let at = automaton.rejects(told.iter().map(|(_, event)| *event))?;
    Some(told[at].0)
}

#[test]
fn the_deadlock_of_2011_breaks_the_first_rule_in_its_last_step_and_the_second_never() {
    let run = run(SEED);
    assert_eq!(
        rejected_at(&no_spin(), &run, 0),
        Some(11),
        "CPU0 spins, IF=0"
    );
    assert_eq!(rejected_at(&no_spin(), &run, 1), None);
    assert_eq!(rejected_at(&no_await(), &run, 0), None);
    assert_eq!(rejected_at(&no_await(), &run, 1), None, "CPU1 waits, IF=1");
}

#[test]
fn a_flush_that_is_answered_breaks_neither() {
    for cpu in [0, 1] {
        assert_eq!(rejected_at(&no_spin(), &run(ANSWERED), cpu), None);
        assert_eq!(rejected_at(&no_await(), &run(ANSWERED), cpu), None);
    }
    let told: Vec<_> = events(&run(ANSWERED), 1, is_page_table_lock)
        .into_iter()
        .map(|(_, e)| e)
        .collect();
    assert_eq!(told, ["ack_wait_begin", "ack_wait_end"]);
}

#[test]
fn a_flush_with_interrupts_off_breaks_the_second() {
    let off = "pgd_lock=irqsave,walk_takes_ptl=yes,ptl=irqsave,flush=under_lock;cpus=2,mms=1;\
               workload=page_referenced_one;start=mm0,mm0;0:page_referenced_one_pte@mm0 0*5;";
    assert_eq!(
        rejected_at(&no_await(), &run(off), 0),
        Some(6),
        "local_irq_save, lock, clear, flush, IPI"
    );
}

/// The random runs below would mean nothing if none of them broke a rule.
#[test]
fn random_runs_do_break_the_first_rule() {
    let mut runner = TestRunner::deterministic();
    let runs = runs();
    let broken = (0..300).filter(|_| {
        let run = runs.new_tree(&mut runner).expect("it makes one").current();
        (0..2).any(|cpu| rejected_at(&no_spin(), &run, cpu).is_some())
    });
    assert!(broken.count() > 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    /// The automata say of every run what can be said without them, state by state.
    #[test]
    fn an_automaton_rejects_just_the_runs_that_break_its_rule(run in runs()) {
        let (_, await_rule) = Property::named("irqs_on_while_waiting_for_ipi").expect("it is one");
        let config = &run.protocol.config;
        let cpus = 0..config.cpus() as u8;
        let spins = cpus.clone().any(|cpu| rejected_at(&no_spin(), &run, cpu).is_some());
        let awaits = cpus.clone().any(|cpu| rejected_at(&no_await(), &run, cpu).is_some());
        let spins_off = |s: &shootdown_spec::state::State| s.each_cpu(config).any(|(_, cpu)| {
            let top = cpu.context(cpu.top());
            !cpu.irqs_on && top.spins_for().is_some_and(is_page_table_lock)
        });
        // A wait that an interrupt interrupted is not one with interrupts off.
        let breaks = run.states.iter().any(spins_off);
        prop_assert_eq!(spins, breaks);
        prop_assert_eq!(awaits, run.states.iter().any(|s| await_rule.is_violated(config, s)));
    }
}
