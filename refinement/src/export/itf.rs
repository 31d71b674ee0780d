//! Informal Trace Format: what Apalache writes, Quint reads, and model-based testing tools take.
//!
//! Built from the `itf` crate's types, so that every value is one that the format has. A state is the whole machine;
//! `mbt::actionTaken` and `mbt::nondetPicks` say how it came about, under the names that Quint Connect looks for.
//!
//! | variable | what it is |
//! |---|---|
//! | `cpus` | CPU → flags, the line each level stands at, what it holds, spins for and awaits |
//! | `locks` | lock → who holds it, who waits in order |
//! | `page_tables` | mm → its life, masks, entries and frames |
//! | `pgd_list` | the listed mms, head first |
//! | `init_entry` | init_mm's kernel entry is present |
//! | `tlb` | CPU → the user translations it may still use |
//!
//! Nothing is left out but registers and budgets of the CPUs.

use super::run::Run;
use itf::state::{Meta as StateMeta, State as ItfState};
use itf::trace::Meta;
use itf::value::{BigInt, Map, Record, Set, Tuple, Value};
use serde_json::Value as Json;
use shootdown_spec::cpu::{Cpu, Ctx};
use shootdown_spec::id::{CpuSet, Level, LockId, MAX_LOCKS};
use shootdown_spec::mm::Mm;
use shootdown_spec::model::Action;
use shootdown_spec::program::Entry;
use shootdown_spec::state::State;
use std::collections::BTreeMap;

/// The variables of a state.
pub const VARS: [&str; 8] = [
    "cpus",
    "init_entry",
    "locks",
    "mbt::actionTaken",
    "mbt::nondetPicks",
    "page_tables",
    "pgd_list",
    "tlb",
];

/// The run as a trace of the `itf` crate.
pub fn trace(run: &Run) -> itf::Trace<Record> {
    let config = &run.protocol.config;
    let mut other = BTreeMap::from([
        ("design".to_string(), config.design.to_string()),
        ("environment".to_string(), config.environment.to_string()),
        ("workload".to_string(), config.workload.text.clone()),
        ("schedule".to_string(), run.schedule()),
        ("version".to_string(), env!("CARGO_PKG_VERSION").to_string()),
    ]);
    if !config.variants.is_empty() {
        other.insert("variants".to_string(), config.variants.to_string());
    }
    if let Some(property) = run.property {
        other.insert("property".to_string(), property.name.to_string());
        other.insert("status".to_string(), "violation".to_string());
    }
    let description = match run.property {
        Some(p) => format!("A counterexample of {}: {}", p.name, p.promise),
        None => "A run".to_string(),
    };
    let states = run.states.iter().enumerate().map(|(i, state)| {
        let taken = i.checked_sub(1).map(|before| run.trace.actions[before]);
        let told = match i.checked_sub(1).and_then(|before| run.steps.get(before)) {
            Some(step) => format!("CPU{}: {}", step.cpu, step.step),
            None => "start".to_string(),
        };
        ItfState {
            meta: StateMeta {
                index: Some(i as u64),
                other: BTreeMap::from([("step".to_string(), told)]),
            },
            value: values(run, state, taken),
        }
    });
    itf::Trace {
        meta: Meta {
            format: Some("ITF".to_string()),
            format_description: Some(
                "https://apalache-mc.org/docs/adr/015adr-trace.html".to_string(),
            ),
            source: Some("shootdown export itf".to_string()),
            description: Some(description),
            var_types: var_types(),
            timestamp: None,
            other,
        },
        params: Vec::new(),
        vars: VARS.map(str::to_string).to_vec(),
        loop_index: run.trace.loops_to.map(|to| to as u64),
        states: states.collect(),
    }
}

/// The run as the text of an `.itf.json` file.
///
/// # Panics
/// Never: the types serialize.
pub fn itf(run: &Run) -> String {
    let mut json = serde_json::to_value(trace(run)).expect("strings and numbers serialize");
    without_nulls(&mut json);
    serde_json::to_string_pretty(&json).expect("JSON serializes") + "\n"
}

/// The crate writes what is absent as `null`, which the format does not have.
fn without_nulls(json: &mut Json) {
    match json {
        Json::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Json::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// In Apalache's notation, which it needs to read a trace back.
fn var_types() -> BTreeMap<String, String> {
    let types = [
        (
            "cpus",
            "Int -> { irqs_on: Bool, in_irq: Bool, active_mm: Int, lazy: Bool, loaded: Bool, task: Str, irq: Str, \
             holds: Set(Str), spins_for: Str, awaits_ack_of: Set(Int), pending_ipis_of: Set(Int) }",
        ),
        ("init_entry", "Bool"),
        ("locks", "Str -> { holders: Set(Str), waiters: Seq(Str) }"),
        ("mbt::actionTaken", "Str"),
        (
            "page_tables",
            "Int -> { life: Str, kernel_entry: Bool, pinned: Bool, pending_flushes: Int, cpumask: Set(Int), pte: { \
             present: Bool, accessed: Bool, dirty: Bool, splitting: Bool, table: Bool, frame_refs: Int, frame_freed: \
             Bool }, pmd: { present: Bool, accessed: Bool, dirty: Bool, splitting: Bool, table: Bool, frame_refs: Int, \
             frame_freed: Bool } }",
        ),
        ("pgd_list", "Seq(Int)"),
        ("tlb", "Int -> Set(Str)"),
    ];
    let types = types.into_iter();
    types
        .map(|(name, of)| (name.to_string(), of.to_string()))
        .collect()
}

fn values(run: &Run, state: &State, taken: Option<Action>) -> Record {
    let config = &run.protocol.config;
    let cpus = state.each_cpu(config);
    let cpus = cpus.map(|(who, cpu)| (int(who.0), cpu_record(run, cpu)));
    let tlb = state.each_cpu(config).map(|(who, cpu)| {
        let cached = Entry::ALL.into_iter().filter(|&e| cpu.tlb.contains(e));
        (int(who.0), set(cached.map(|e| text(e.to_string()))))
    });
    let mms = state
        .each_mm(config)
        .map(|(mm, of)| (int(mm.0), mm_record(of)));
    let locks = (0..MAX_LOCKS)
        .map(LockId::from_index)
        .filter(|l| exists(run, *l));
    let locks = locks.map(|id| {
        let lock = state.lock(id);
        let holders = set(lock.holders().map(|c| text(c.to_string())));
        let waiters = Value::List(lock.waiters().map(|(c, _)| text(c.to_string())).collect());
        (
            text(id.to_string()),
            record([("holders", holders), ("waiters", waiters)]),
        )
    });
    let listed = Value::List(state.list.iter().map(|mm| int(mm.0)).collect());
    let fields = [
        ("cpus", map(cpus)),
        ("init_entry", Value::Bool(state.list.init_entry)),
        ("locks", map(locks)),
        ("mbt::actionTaken", text(action_name(taken))),
        ("mbt::nondetPicks", picks(taken)),
        ("page_tables", map(mms)),
        ("pgd_list", listed),
        ("tlb", map(tlb)),
    ];
    fields
        .into_iter()
        .map(|(name, value)| (name.to_string(), value))
        .collect()
}

/// Does the configuration have the lock?
fn exists(run: &Run, lock: LockId) -> bool {
    let slots = run.protocol.config.slots();
    match lock {
        LockId::PgdLock => true,
        LockId::PageTableLock(mm) => mm.index() < slots,
        LockId::SplitPtl(mm) => mm.index() < slots && run.protocol.config.environment.split_ptlocks,
    }
}

fn cpu_record(run: &Run, cpu: &Cpu) -> Value {
    let line = |ctx: &Ctx| {
        if !ctx.is_running() {
            return text("-".to_string());
        }
        let line = run.protocol.config.program(ctx.program).line(ctx.pc);
        let on = if ctx.mm.is_some() {
            format!("({})", ctx.mm)
        } else {
            "()".to_string()
        };
        text(format!("{}{on}: {}", ctx.program, line.source))
    };
    let (task, irq) = (cpu.context(Level::Task), cpu.context(Level::Irq));
    let held = task.held.union(irq.held);
    let spins = irq.spins_for().or(task.spins_for());
    let active = if cpu.active.is_some() {
        i64::from(cpu.active.0)
    } else {
        -1
    };
    record([
        ("irqs_on", Value::Bool(cpu.irqs_on)),
        ("in_irq", Value::Bool(cpu.in_irq())),
        ("active_mm", int(active)),
        ("lazy", Value::Bool(cpu.lazy)),
        ("loaded", Value::Bool(cpu.loaded)),
        ("task", line(task)),
        ("irq", line(irq)),
        ("holds", set(held.iter().map(|l| text(l.to_string())))),
        (
            "spins_for",
            text(spins.map_or("-".to_string(), |l| l.to_string())),
        ),
        ("awaits_ack_of", cpu_set(cpu.acks)),
        (
            "pending_ipis_of",
            set(cpu.pending_ipis().map(|ipi| int(ipi.from.0))),
        ),
    ])
}

fn mm_record(mm: &Mm) -> Value {
    let entry = |of: Entry| {
        let (entry, frame) = (mm.entry(of), mm.frame(of));
        record([
            ("present", Value::Bool(entry.present)),
            ("accessed", Value::Bool(entry.accessed)),
            ("dirty", Value::Bool(entry.dirty)),
            ("splitting", Value::Bool(entry.splitting)),
            ("table", Value::Bool(entry.table)),
            ("frame_refs", int(frame.refs)),
            ("frame_freed", Value::Bool(frame.freed)),
        ])
    };
    record([
        ("life", text(format!("{:?}", mm.life).to_lowercase())),
        ("kernel_entry", Value::Bool(mm.kernel_entry)),
        ("pinned", Value::Bool(mm.pinned)),
        ("pending_flushes", int(mm.pending)),
        ("cpumask", cpu_set(mm.cpumask)),
        ("pte", entry(Entry::Pte)),
        ("pmd", entry(Entry::Huge)),
    ])
}

fn action_name(taken: Option<Action>) -> String {
    match taken {
        None => "init",
        Some(Action::Start { .. }) => "start",
        Some(Action::Step { .. }) => "step",
        Some(Action::Ipi { .. }) => "take_ipi",
        Some(Action::IrqFree { .. }) => "interrupt_frees_mm",
        Some(Action::Fill { .. }) => "tlb_fill",
    }
    .to_string()
}

/// What was chosen, each choice an option as Quint writes one. `sender` is that of the IPI taken: `from` would be a keyword
/// to readers in Python.
fn picks(taken: Option<Action>) -> Value {
    let (mut program, mut mm, mut from, mut entry) = (None, None, None, None);
    match taken {
        Some(Action::Start {
            program: p, mm: on, ..
        }) => {
            program = Some(text(p.name().to_string()));
            mm = on.is_some().then(|| int(on.0));
        }
        Some(Action::Ipi { from: sender, .. }) => from = Some(int(sender.0)),
        Some(Action::IrqFree { mm: of, .. }) => mm = Some(int(of.0)),
        Some(Action::Fill { entry: of, .. }) => entry = Some(text(of.to_string())),
        Some(Action::Step { .. }) | None => {}
    }
    let cpu = taken.map(|action| int(action.cpu().0));
    record([
        ("cpu", option(cpu)),
        ("program", option(program)),
        ("mm", option(mm)),
        ("sender", option(from)),
        ("entry", option(entry)),
    ])
}

fn option(value: Option<Value>) -> Value {
    let (tag, value) = match value {
        Some(value) => ("Some", value),
        None => ("None", Value::Tuple(Tuple::from(Vec::new()))),
    };
    record([("tag", text(tag.to_string())), ("value", value)])
}

fn int(n: impl Into<i64>) -> Value {
    Value::BigInt(BigInt::new(n.into()))
}

fn text(text: String) -> Value {
    Value::String(text)
}

fn set(values: impl Iterator<Item = Value>) -> Value {
    Value::Set(values.collect::<Set<Value>>())
}

fn cpu_set(cpus: CpuSet) -> Value {
    set(cpus.iter().map(|c| int(c.0)))
}

fn map(pairs: impl Iterator<Item = (Value, Value)>) -> Value {
    Value::Map(pairs.collect::<Map<Value, Value>>())
}

fn record<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let fields = fields.into_iter();
    Value::Record(
        fields
            .map(|(name, value)| (name.to_string(), value))
            .collect(),
    )
}
