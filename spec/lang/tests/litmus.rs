//! The store buffers against what is published of x86-TSO: Owens, Sarkar and Sewell, "A better x86 memory model: x86-TSO"
//! (2009), and the shapes of herd7's `x86` tests. Each outcome is derivable by hand from the machine of that paper.

#[path = "pages/fresh.rs"]
mod page;

use page::{fresh, root};
use shootdown_ir::Memory;
use shootdown_ir::check::{Verdict, check};
use shootdown_ir::compile::compile;
use shootdown_ir::explore::Bounds;
use shootdown_ir::machine::Machine;
use shootdown_lang::parse_with;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// A test: a CPU's statements each (`mfence` between some), and the outcome that is asked about.
struct Litmus {
    name: &'static str,
    threads: &'static [&'static [&'static str]],
    exists: &'static str,
    /// Can it come out on x86?
    tso: bool,
}

const MFENCE: &str = "smp_mb()";

const TESTS: &[Litmus] = &[
    Litmus {
        name: "SB",
        threads: &[&["x = 1", "r0 = y"], &["y = 1", "r1 = x"]],
        exists: "r0 == 0 && r1 == 0",
        tso: true,
    },
    Litmus {
        name: "SB+mfences",
        threads: &[&["x = 1", MFENCE, "r0 = y"], &["y = 1", MFENCE, "r1 = x"]],
        exists: "r0 == 0 && r1 == 0",
        tso: false,
    },
    Litmus {
        name: "SB+mfence+po",
        threads: &[&["x = 1", MFENCE, "r0 = y"], &["y = 1", "r1 = x"]],
        exists: "r0 == 0 && r1 == 0",
        tso: true,
    },
    Litmus {
        name: "SB+xchgs (iwp2.8.a)",
        threads: &[&["xchg(&x, 1)", "r0 = y"], &["xchg(&y, 1)", "r1 = x"]],
        exists: "r0 == 0 && r1 == 0",
        tso: false,
    },
    Litmus {
        name: "SB+lock-add-elsewhere",
        threads: &[
            &["x = 1", "atomic_inc(&z)", "r0 = y"],
            &["y = 1", "atomic_inc(&z)", "r1 = x"],
        ],
        exists: "r0 == 0 && r1 == 0",
        tso: false,
    },
    Litmus {
        name: "SB+wmb (sfence orders stores only)",
        threads: &[
            &["x = 1", "smp_wmb()", "r0 = y"],
            &["y = 1", "smp_rmb()", "r1 = x"],
        ],
        exists: "r0 == 0 && r1 == 0",
        tso: true,
    },
    Litmus {
        name: "SB+rfi (iwp2.4)",
        threads: &[
            &["x = 1", "r0 = x", "r1 = y"],
            &["y = 1", "r2 = y", "r3 = x"],
        ],
        exists: "r0 == 1 && r1 == 0 && r2 == 1 && r3 == 0",
        tso: true,
    },
    Litmus {
        name: "MP",
        threads: &[&["x = 1", "y = 1"], &["r0 = y", "r1 = x"]],
        exists: "r0 == 1 && r1 == 0",
        tso: false,
    },
    Litmus {
        name: "LB",
        threads: &[&["r0 = x", "y = 1"], &["r1 = y", "x = 1"]],
        exists: "r0 == 1 && r1 == 1",
        tso: false,
    },
    Litmus {
        name: "S",
        threads: &[&["x = 2", "y = 1"], &["r0 = y", "x = 1"]],
        exists: "r0 == 1 && x == 2",
        tso: false,
    },
    Litmus {
        name: "R",
        threads: &[&["x = 1", "y = 1"], &["y = 2", "r0 = x"]],
        exists: "y == 2 && r0 == 0",
        tso: true,
    },
    Litmus {
        name: "R+po+mfence",
        threads: &[&["x = 1", "y = 1"], &["y = 2", MFENCE, "r0 = x"]],
        exists: "y == 2 && r0 == 0",
        tso: false,
    },
    Litmus {
        name: "2+2W",
        threads: &[&["x = 1", "y = 2"], &["y = 1", "x = 2"]],
        exists: "x == 1 && y == 1",
        tso: false,
    },
    Litmus {
        name: "CoRR",
        threads: &[&["x = 1"], &["r0 = x", "r1 = x"]],
        exists: "r0 == 1 && r1 == 0",
        tso: false,
    },
    Litmus {
        name: "CoWR, two stores on their way",
        threads: &[&["x = 1", "x = 2", "r0 = x"], &["r1 = x"]],
        exists: "r0 == 1",
        tso: false,
    },
    Litmus {
        name: "n4",
        threads: &[&["r0 = x", "x = 1"], &["r1 = x", "x = 2"]],
        exists: "r0 == 2 && r1 == 1",
        tso: false,
    },
    Litmus {
        name: "n5",
        threads: &[&["x = 1", "r0 = x"], &["x = 2", "r1 = x"]],
        exists: "r0 == 2 && r1 == 1",
        tso: false,
    },
    Litmus {
        name: "n6",
        threads: &[&["x = 1", "r0 = x", "r1 = y"], &["y = 2", "x = 2"]],
        exists: "r0 == 1 && r1 == 0 && x == 1 && y == 2",
        tso: true,
    },
    Litmus {
        name: "n7",
        threads: &[
            &["x = 1", "r0 = x", "r1 = y"],
            &["y = 1"],
            &["r2 = y", "r3 = x"],
        ],
        exists: "r0 == 1 && r1 == 0 && r2 == 1 && r3 == 0",
        tso: true,
    },
    Litmus {
        name: "IRIW",
        threads: &[
            &["x = 1"],
            &["y = 1"],
            &["r0 = x", "r1 = y"],
            &["r2 = y", "r3 = x"],
        ],
        exists: "r0 == 1 && r1 == 0 && r2 == 1 && r3 == 0",
        tso: false,
    },
    Litmus {
        name: "WRC",
        threads: &[&["x = 1"], &["r0 = x", "y = 1"], &["r1 = y", "r2 = x"]],
        exists: "r0 == 1 && r1 == 1 && r2 == 0",
        tso: false,
    },
    Litmus {
        name: "RWC",
        threads: &[&["x = 1"], &["r0 = x", "r1 = y"], &["y = 1", "r2 = x"]],
        exists: "r0 == 1 && r1 == 0 && r2 == 0",
        tso: true,
    },
    Litmus {
        name: "RWC+mfence",
        threads: &[
            &["x = 1"],
            &["r0 = x", "r1 = y"],
            &["y = 1", MFENCE, "r2 = x"],
        ],
        exists: "r0 == 1 && r1 == 0 && r2 == 0",
        tso: false,
    },
    Litmus {
        name: "SB through a spin_unlock",
        threads: &[
            &["spin_lock(&l)", "x = 1", "spin_unlock(&l)", "r0 = y"],
            &["y = 1", MFENCE, "r1 = x"],
        ],
        exists: "r0 == 0 && r1 == 0",
        tso: true,
    },
    Litmus {
        name: "SB through a mutex_unlock, which is locked",
        threads: &[
            &["mutex_lock(&m)", "x = 1", "mutex_unlock(&m)", "r0 = y"],
            &["y = 1", MFENCE, "r1 = x"],
        ],
        exists: "r0 == 0 && r1 == 0",
        tso: false,
    },
    Litmus {
        name: "stores before a release are seen behind the lock",
        threads: &[
            &["spin_lock(&l)", "x = 1", "y = 1", "spin_unlock(&l)"],
            &["spin_lock(&l)", "r0 = y", "r1 = x", "spin_unlock(&l)"],
        ],
        exists: "r0 != r1",
        tso: false,
    },
    Litmus {
        name: "a release that is only late",
        threads: &[
            &["spin_lock(&l)", "spin_unlock(&l)", "r0 = y"],
            &["y = 1", MFENCE, "r1 = spin_is_locked(&l)"],
        ],
        exists: "r0 == 0 && r1 == 1",
        tso: true,
    },
    Litmus {
        name: "SB over cond_resched()",
        threads: &[
            &["x = 1", "cond_resched()", "r0 = y"],
            &["y = 1", MFENCE, "r1 = x"],
        ],
        exists: "r0 == 0 && r1 == 0",
        tso: true,
    },
    Litmus {
        name: "SB over schedule()",
        threads: &[
            &["x = 1", "schedule()", "r0 = y"],
            &["y = 1", MFENCE, "r1 = x"],
        ],
        exists: "r0 == 0 && r1 == 0",
        tso: false,
    },
    Litmus {
        name: "SB over a wait_event() that finds its condition",
        threads: &[
            &["x = 1", "wait_event(free)", "r0 = y"],
            &["y = 1", MFENCE, "r1 = x"],
        ],
        exists: "r0 == 0 && r1 == 0",
        tso: true,
    },
    Litmus {
        name: "SB over raise_softirq()",
        threads: &[
            &["x = 1", "raise_softirq(&soft)", "r0 = y"],
            &["y = 1", MFENCE, "r1 = x"],
        ],
        exists: "r0 == 0 && r1 == 0",
        tso: true,
    },
    Litmus {
        name: "SB over tasklet_schedule(), which is locked",
        threads: &[
            &["x = 1", "tasklet_schedule(&soft)", "r0 = y"],
            &["y = 1", MFENCE, "r1 = x"],
        ],
        exists: "r0 == 0 && r1 == 0",
        tso: false,
    },
    Litmus {
        name: "SB over interrupts, preemption and RCU",
        threads: &[
            &[
                "x = 1",
                "local_irq_disable()",
                "local_irq_enable()",
                "preempt_disable()",
                "preempt_enable()",
                "rcu_read_lock()",
                "rcu_read_unlock()",
                "r0 = y",
            ],
            &["y = 1", MFENCE, "r1 = x"],
        ],
        exists: "r0 == 0 && r1 == 0",
        tso: true,
    },
    Litmus {
        name: "SB over write_lock(), which is locked",
        threads: &[
            &["x = 1", "write_lock(&rw)", "write_unlock(&rw)", "r0 = y"],
            &["y = 1", MFENCE, "r1 = x"],
        ],
        exists: "r0 == 0 && r1 == 0",
        tso: false,
    },
    Litmus {
        name: "SB over a trylock that fails",
        threads: &[
            &[
                "x = 1",
                "r2 = spin_trylock(&never)",
                "r0 = y",
                "if (r2) spin_unlock(&never)",
            ],
            &["y = 1", MFENCE, "r1 = x"],
            &["spin_lock(&never)", "spin_unlock(&never)"],
        ],
        exists: "r0 == 0 && r1 == 0 && r2 == 0",
        tso: true,
    },
    Litmus {
        name: "SB over wake_up(), which takes the queue's lock",
        threads: &[
            &["x = 1", "wake_up(&queue)", "r0 = y"],
            &["y = 1", MFENCE, "r1 = x"],
        ],
        exists: "r0 == 0 && r1 == 0",
        tso: false,
    },
    Litmus {
        name: "SB over an IPI",
        threads: &[
            &[
                "x = 1",
                "smp_call_function_single(1, ipi, NULL, 0)",
                "r0 = y",
            ],
            &["y = 1", MFENCE, "r1 = x"],
        ],
        exists: "r0 == 0 && r1 == 0",
        tso: false,
    },
];

impl Litmus {
    fn text(&self) -> String {
        let mut text = format!("scenario \"{}\"; cpus {};\n", self.name, self.threads.len());
        text += "int x in 0..2, y in 0..2; atomic_t z; spinlock_t l; struct mutex m;\n";
        text += "int r0 in 0..2, r1 in 0..2, r2 in 0..2, r3 in 0..2; int done in 0..4;\n";
        text += "rwlock_t rw; spinlock_t never; bool free = 1; wait_queue_head_t queue;\n";
        text += "void ipi(void *info) { } softirq soft on CPU0 raised { }\n";
        for (cpu, thread) in self.threads.iter().enumerate() {
            text += &format!("task t{cpu} on CPU{cpu} {{ ");
            for statement in *thread {
                text += &format!("{statement}; ");
            }
            text += "atomic { done++; } }\n";
        }
        let all = self.threads.len();
        text + &format!("invariant never: !(done == {all} && {});\n", self.exists)
    }

    /// Can the outcome come out? And how many states have been looked at.
    fn allowed(&self, memory: Memory) -> (bool, usize) {
        let read = parse_with(&self.text(), "litmus.sd", Some(memory))
            .unwrap_or_else(|errors| panic!("{}: {}", self.name, errors.render(false)));
        let system = compile(&read.protocol).expect("it compiles");
        let machine = Machine::new(&system);
        let outcome = check(&read.protocol, &machine, Bounds::default());
        assert!(outcome.cut().is_none(), "{}", self.name);
        let never = outcome.result("never").expect("the invariant");
        let others = outcome.results.iter().filter(|r| r.name != "never");
        for other in others {
            assert_ne!(
                other.verdict,
                Verdict::Violated,
                "{}: {}",
                self.name,
                other.name
            );
        }
        (never.verdict == Verdict::Violated, outcome.graph.len())
    }
}

#[test]
fn the_page_has_every_outcome() {
    let mut table = "| test | CPUs | outcome | x86 | states |\n|---|---|---|---|--:|\n".to_string();
    for test in TESTS {
        let threads: Vec<String> = test
            .threads
            .iter()
            .map(|thread| format!("`{}`", thread.join("; ")))
            .collect();
        let (allowed, states) = test.allowed(Memory::Tso);
        let word = if allowed { "allowed" } else { "forbidden" };
        let _ = writeln!(
            table,
            "| {} | {} | `{}` | {word} | {states} |",
            test.name,
            threads.join("<br>"),
            test.exists
        );
    }
    fresh("litmus", "memory.md", "litmus", &table);
}

/// The violated properties of a file of the corpus.
fn violated(path: &Path, memory: Option<Memory>) -> Vec<String> {
    let text = fs::read_to_string(path).expect("a readable file");
    let read = parse_with(&text, "corpus.sd", memory).expect("it reads");
    let system = compile(&read.protocol).expect("it compiles");
    let machine = Machine::new(&system);
    let outcome = check(&read.protocol, &machine, Bounds::default());
    assert!(outcome.cut().is_none(), "{}", path.display());
    outcome.violated().map(|r| r.name.clone()).collect()
}

#[test]
fn store_buffers_add_behaviour_and_take_none_away() {
    let mut table = "| file | violated | with store buffers |\n|---|---|---|\n".to_string();
    let folder = root().join("spec/corpus");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("readable").path())
        .collect();
    files.sort();
    for path in files {
        let (sc, tso) = (
            violated(&path, Some(Memory::Sc)),
            violated(&path, Some(Memory::Tso)),
        );
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        assert!(sc.iter().all(|p| tso.contains(p)), "{name}: {sc:?} {tso:?}");
        let own = fs::read_to_string(&path)
            .expect("readable")
            .contains("\nmemory tso;");
        if sc != tso && !own {
            let told = |list: &[String]| match list {
                [] => "nothing".to_string(),
                list => format!("`{}`", list.join("` `")),
            };
            let _ = writeln!(table, "| `{name}` | {} | {} |", told(&sc), told(&tso));
        }
    }
    fresh("litmus", "memory.md", "changed", &table);
}

#[test]
fn outcomes_are_those_of_x86() {
    let wrong: Vec<String> = TESTS
        .iter()
        .filter(|test| test.allowed(Memory::Tso).0 != test.tso)
        .map(|test| format!("{}: allowed on x86: {}", test.name, test.tso))
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn sequential_consistency_allows_none_of_them() {
    for test in TESTS {
        assert!(!test.allowed(Memory::Sc).0, "{}", test.name);
    }
}

/// What a stronger machine can do the weaker one can do, too: with a full barrier behind every store nothing is left of
/// the buffers but their steps.
#[test]
fn a_barrier_behind_every_store_gives_sequential_consistency_back() {
    for test in TESTS {
        let mut text = test
            .text()
            .replace("mutex_lock(&m); ", "")
            .replace("mutex_unlock(&m); ", "");
        for store in [
            "x = 1; ",
            "x = 2; ",
            "y = 1; ",
            "y = 2; ",
            "spin_unlock(&l); ",
        ] {
            text = text.replace(store, &format!("{store}smp_mb(); "));
        }
        let read = parse_with(&text, "litmus.sd", Some(Memory::Tso)).expect("it reads");
        let system = compile(&read.protocol).expect("it compiles");
        let machine = Machine::new(&system);
        let outcome = check(&read.protocol, &machine, Bounds::default());
        let never = outcome.result("never").expect("the invariant");
        assert_ne!(never.verdict, Verdict::Violated, "{}", test.name);
    }
}
