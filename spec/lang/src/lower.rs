//! A syntax tree to a [`Protocol`]: names and types are looked up, functions inlined, calls replaced by instructions.
//!
//! Every source is lowered by itself, its functions in place, so that a function is checked with the arguments that it is
//! called with. Errors go to the list of diagnostics; what is lowered after an error is thrown away.

mod arguments;
mod call;
mod change;
mod condition;
mod cross;
mod declare;
mod deferred;
mod expr;
mod fold;
mod inline;
mod local;
mod locks;
mod place;
mod program;
mod pure;
mod rcu;
mod scope;
mod stmt;
mod stop;
mod value;
mod wait;

use std::collections::HashMap;

use shootdown_ir::{
    Access, Expect, Fires, Invariant, Kind, Memory, Op, Preempt, Protocol, Rule, Set, Source,
    SourceId, Storage, VarId,
};

use crate::ast::{self, File, Item, On};
use crate::code::{self, Code};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::nearest::nearest;
use crate::parser::shorten;
use crate::source::Span;
use program::Here;
use scope::{Entity, Object};

/// The properties that are checked in every scenario, and those that rules ask for.
pub const PROPERTIES: &[&str] = &[
    "no_deadlock",
    "progress",
    "no_lock_cycle",
    "assertion",
    "no_sleep_in_atomic",
    "irqs_on_while_waiting_for_ipi",
    "unlock_held",
    "balance",
    "range",
    "no_lock_held_across_ipi_wait",
    "no_irqs_off_wait_for_flush_lock",
];

/// The rules that a scenario can ask for.
pub const RULES: &[(&str, Rule)] = &[
    ("no_lock_held_across_ipi_wait", Rule::Strict),
    ("no_irqs_off_wait_for_flush_lock", Rule::Upstream),
    ("strict", Rule::Strict),
    ("upstream", Rule::Upstream),
];

/// The most CPUs a scenario can have.
pub const MOST_CPUS: i64 = 16;

/// Lowers a file. `None` after an error.
pub fn lower<'a, 's>(
    file: &'a File<'s>,
    out: &'a mut Diagnostics,
    memory: Option<Memory>,
) -> Option<Protocol> {
    let cpus = cpus(file, out);
    let mut lower = Lower {
        file,
        p: Protocol {
            name: out.file.name.clone(),
            file: out.file.name.clone(),
            cpus,
            preempt: Preempt::Full,
            memory: Memory::Sc,
            vars: Vec::new(),
            locks: Vec::new(),
            sources: Vec::new(),
            invariants: Vec::new(),
            rules: Vec::new(),
            expect: None,
        },
        out,
        objects: Vec::new(),
        names: HashMap::new(),
        enums: HashMap::new(),
        funcs: Vec::new(),
        sources: Vec::new(),
        here: None,
        handlers: Vec::new(),
        queues: Vec::new(),
        hotplug: None,
        hotplug_written: false,
        stop_mutex: None,
        stop_calls: false,
        pure: None,
        scratch: false,
        statements: 0,
        stopping: Vec::new(),
        callbacks: Vec::new(),
        barriers: Vec::new(),
        access: Access::Plain,
        memory,
    };
    lower.run();
    let p = lower.p;
    (out.errors() == 0).then_some(p)
}

/// What `cpus` says.
fn cpus(file: &File<'_>, out: &mut Diagnostics) -> usize {
    let mut found: Option<(i64, Span)> = None;
    for item in &file.items {
        let Item::Cpus(count, span) = item else {
            continue;
        };
        if let Some((_, first)) = found {
            out.push(
                Diagnostic::new(&code::DUPLICATE, *span, "the number of CPUs is given twice")
                    .also(first, "first here"),
            );
        } else if !(1..=MOST_CPUS).contains(count) {
            out.push(Diagnostic::new(
                &code::OUT_OF_RANGE,
                *span,
                format!("a scenario has 1 to {MOST_CPUS} CPUs, not {count}"),
            ));
            found = Some((2, *span));
        } else {
            found = Some((*count, *span));
        }
    }
    match found {
        Some((count, _)) => usize::try_from(count).unwrap_or(2),
        None => {
            // An empty file, or one that could not be read, has other worries.
            if out.errors() == 0 {
                out.push(
                    Diagnostic::new(
                        &code::MISSING_CPUS,
                        Span::default(),
                        "the scenario does not say how many CPUs it has",
                    )
                    .help("add `cpus 2;` behind the scenario's name"),
                );
            }
            2
        }
    }
}

/// A source of the file, or one that lowering made.
pub(crate) struct SourceInfo {
    pub id: SourceId,
    pub name: String,
    pub kind_word: String,
    pub span: Span,
    /// A call raises it.
    pub raised: bool,
}

/// A function of the file.
pub(crate) struct FuncInfo<'a, 's> {
    pub ast: &'a ast::Func<'s>,
    pub used: bool,
    /// Its program as an IPI handler.
    pub handler: Option<SourceId>,
}

/// A wait queue: who waits on it, and where it is woken.
#[derive(Default)]
pub(crate) struct QueueInfo {
    pub waiters: Vec<(SourceId, VarId)>,
    pub wakeups: Vec<(SourceId, usize)>,
}

pub(crate) struct Lower<'a, 's> {
    pub file: &'a File<'s>,
    pub p: Protocol,
    pub out: &'a mut Diagnostics,
    pub objects: Vec<Object>,
    pub names: HashMap<&'s str, Entity>,
    pub enums: HashMap<&'s str, (i64, i64)>,
    pub funcs: Vec<FuncInfo<'a, 's>>,
    pub sources: Vec<SourceInfo>,
    pub here: Option<Here<'s>>,
    /// Functions that become IPI handlers, to be lowered.
    pub handlers: Vec<(usize, SourceId)>,
    pub queues: Vec<QueueInfo>,
    pub hotplug: Option<shootdown_ir::LockId>,
    pub hotplug_written: bool,
    pub stop_mutex: Option<shootdown_ir::LockId>,
    pub stop_calls: bool,
    /// Calls that do something are not allowed now: why.
    pub pure: Option<&'static str>,
    /// A function that nothing calls is lowered, for its errors only.
    pub scratch: bool,
    /// Statements lowered so far, in all programs.
    pub statements: usize,
    /// Functions that run in a stopper while they are lowered.
    pub stopping: Vec<usize>,
    /// What `call_rcu()` runs.
    pub callbacks: Vec<rcu::Callback>,
    /// Where `rcu_barrier()` stands.
    pub barriers: Vec<(SourceId, usize)>,
    /// How what is being lowered meets memory.
    pub access: Access,
    /// What the caller says of the memory, whatever the file says.
    pub memory: Option<Memory>,
}

impl<'a, 's> Lower<'a, 's> {
    fn run(&mut self) {
        self.settings();
        if let Some(memory) = self.memory {
            self.p.memory = memory;
        }
        self.declare();
        self.look_ahead();
        let sources: Vec<&'a ast::Source<'s>> = self.ast_sources().collect();
        if sources.is_empty() && self.out.errors() == 0 {
            self.report(
                Diagnostic::new(
                    &code::NO_SOURCE,
                    Span::default(),
                    "nothing runs in this scenario",
                )
                .help("add a source: `task NAME on CPU0 { ... }`"),
            );
        }
        for (i, source) in sources.iter().enumerate() {
            if self.out.full() {
                return;
            }
            self.source(self.sources[i].id, source);
        }
        self.lower_handlers();
        self.invariants();
        self.unused_functions();
        self.fires(&sources);
        self.wake_ups();
        self.barriers();
        self.unused_objects();
    }

    fn ast_sources(&self) -> impl Iterator<Item = &'a ast::Source<'s>> + use<'a, 's> {
        let file = self.file;
        file.items.iter().filter_map(|item| match item {
            Item::Source(source) => Some(source),
            _ => None,
        })
    }

    pub fn report(&mut self, diagnostic: Diagnostic) {
        let mut diagnostic = diagnostic;
        if diagnostic.within.is_none() {
            diagnostic.within = self.within();
        }
        self.out.push(diagnostic);
    }

    pub fn error(&mut self, code: &'static Code, span: Span, message: impl Into<String>) {
        self.report(Diagnostic::new(code, span, message));
    }

    fn within(&self) -> Option<String> {
        let here = self.here.as_ref()?;
        if self.scratch || here.frames.len() < 2 {
            return None;
        }
        let source = &self.p.sources[here.id.0 as usize];
        let on = match source.on {
            Some(cpu) => format!("CPU{cpu}"),
            None => "any CPU".to_owned(),
        };
        Some(format!("{} {} ({on})", source.kind, source.name))
    }

    /// A span as the instructions carry it.
    pub fn ir_span(&self, span: Span) -> shootdown_ir::Span {
        let (line, column) = self.out.file.line_column(span.start);
        shootdown_ir::Span {
            start: span.start as usize,
            end: span.end as usize,
            line,
            column,
        }
    }

    fn settings(&mut self) {
        let mut seen: HashMap<&str, Span> = HashMap::new();
        let file = self.file;
        for item in &file.items {
            let (what, span) = match item {
                Item::Scenario(name) => {
                    self.p.name = name.text.to_owned();
                    ("scenario", name.span)
                }
                Item::Memory(model) => {
                    match model.text {
                        "sc" => self.p.memory = Memory::Sc,
                        "tso" => self.p.memory = Memory::Tso,
                        other => {
                            let message = format!("`{}` is no memory model", shorten(other));
                            self.report(
                                Diagnostic::new(&code::UNEXPECTED, model.span, message)
                                    .help("write `memory sc;` or `memory tso;` (x86)"),
                            );
                        }
                    }
                    ("memory", model.span)
                }
                Item::Preempt(model) => {
                    match model.text {
                        "none" | "voluntary" => self.p.preempt = Preempt::None,
                        "full" => self.p.preempt = Preempt::Full,
                        other => {
                            let message = format!("`{}` is no preemption model", shorten(other));
                            self.report(
                                Diagnostic::new(&code::UNEXPECTED, model.span, message)
                                    .help("write `preempt none;` or `preempt full;`"),
                            );
                        }
                    }
                    ("preempt", model.span)
                }
                Item::Expect(name, span) => {
                    self.p.expect = Some(match name {
                        None => Expect::Ok,
                        Some(name) => Expect::Violated(self.property(*name)),
                    });
                    ("expect", *span)
                }
                Item::Rule(rule) => {
                    match RULES.iter().find(|(name, _)| *name == rule.text) {
                        Some((_, rule)) => self.p.rules.push(*rule),
                        None => {
                            let near = nearest(rule.text, RULES.iter().map(|(name, _)| *name));
                            let names: Vec<&str> =
                                RULES.iter().take(2).map(|(name, _)| *name).collect();
                            self.report(
                                Diagnostic::new(
                                    &code::UNKNOWN_PROPERTY,
                                    rule.span,
                                    format!("there is no rule `{}`", shorten(rule.text)),
                                )
                                .help(near.map_or(
                                    format!("the rules are {}", names.join(" and ")),
                                    |near| format!("did you mean `{near}`?"),
                                )),
                            );
                        }
                    }
                    continue;
                }
                _ => continue,
            };
            if let Some(first) = seen.insert(what, span) {
                self.report(
                    Diagnostic::new(
                        &code::DUPLICATE,
                        span,
                        format!("`{what}` stands twice in this file"),
                    )
                    .also(first, "first here"),
                );
            }
        }
    }

    /// The property that `expect violated` names.
    fn property(&mut self, name: ast::Name<'s>) -> String {
        let file = self.file;
        let invariants = file.items.iter().filter_map(|item| match item {
            Item::Invariant(name, _) => Some(name.text),
            _ => None,
        });
        let known: Vec<&str> = PROPERTIES.iter().copied().chain(invariants).collect();
        let meant = match name.text {
            "deadlock" => "no_deadlock",
            "assert" => "assertion",
            "strict" => "no_lock_held_across_ipi_wait",
            "upstream" => "no_irqs_off_wait_for_flush_lock",
            other => other,
        };
        if !known.contains(&meant) {
            let near = nearest(name.text, known.iter().copied());
            self.report(
                Diagnostic::new(
                    &code::UNKNOWN_PROPERTY,
                    name.span,
                    format!("there is no property or invariant `{}`", shorten(name.text)),
                )
                .help(near.map_or_else(
                    || {
                        format!(
                            "the properties are {}, and this file's invariants",
                            PROPERTIES[..8].join(", ")
                        )
                    },
                    |near| format!("did you mean `{near}`?"),
                )),
            );
        }
        meant.to_owned()
    }

    /// What must be known before the first source is lowered.
    fn look_ahead(&mut self) {
        let text = &self.out.file.text;
        self.stop_calls = ["stop_machine", "stop_one_cpu"]
            .iter()
            .any(|name| text.contains(name));
        self.hotplug_written = ["cpus_write_lock", "cpu_hotplug_begin"]
            .iter()
            .any(|name| text.contains(name) && !self.names.contains_key(name));
    }

    fn source(&mut self, id: SourceId, source: &'a ast::Source<'s>) {
        let kind = self.p.sources[id.0 as usize].kind;
        self.begin(id, kind, source.name.text);
        self.function_body(&source.body);
        self.end(source.span);
    }

    fn lower_handlers(&mut self) {
        while let Some((func, id)) = self.handlers.pop() {
            if self.out.full() {
                return;
            }
            let ast = self.funcs[func].ast;
            self.begin(id, Kind::Ipi, ast.name.text);
            self.handler_parameters(ast);
            self.function_body(&ast.body);
            self.end(ast.name.span);
        }
    }

    fn invariants(&mut self) {
        let file = self.file;
        for item in &file.items {
            let Item::Invariant(name, holds) = item else {
                continue;
            };
            self.pure = Some("an invariant");
            let value = self.value(holds);
            self.pure = None;
            let text = self.out.file.one_line(holds.span);
            let span = self.ir_span(holds.span);
            self.p.invariants.push(Invariant {
                name: name.text.to_owned(),
                holds: value.e,
                text,
                span,
            });
        }
    }

    /// When each source runs, now that it is known who raises it.
    fn fires(&mut self, sources: &[&'a ast::Source<'s>]) {
        for (i, source) in sources.iter().enumerate() {
            let info = &self.sources[i];
            let (id, raised) = (info.id, info.raised);
            let kind = self.p.sources[id.0 as usize].kind;
            let times = source
                .times
                .map(|(n, _)| u32::try_from(n).unwrap_or(u32::MAX));
            let only_raised = match kind {
                _ if source.raised.is_some() => true,
                _ if times.is_some() => false,
                Kind::Task => false,
                Kind::Work | Kind::Stopper => true,
                _ => raised,
            };
            self.p.sources[id.0 as usize].fires = match times {
                _ if only_raised => Fires::Raised,
                Some(n) => Fires::Times(n),
                None if kind == Kind::Task => Fires::Times(1),
                // Any number of times.
                None => Fires::Times(Fires::ALWAYS),
            };
            if only_raised && !raised {
                let message = format!(
                    "nothing raises {} `{}`: it never runs",
                    source.kind.text,
                    shorten(source.name.text)
                );
                let how = match kind {
                    Kind::Work => "schedule_work",
                    Kind::Softirq => "raise_softirq",
                    Kind::Timer => "mod_timer",
                    Kind::Task => "wake_up_process",
                    _ => "raise_irq",
                };
                let help = if kind == Kind::Timer {
                    format!(
                        "call {how}(&{}, 0), or write `times 1` for one that comes by itself",
                        source.name.text
                    )
                } else {
                    format!(
                        "call {how}(&{}), or write `times 1` for one that comes by itself",
                        source.name.text
                    )
                };
                self.report(
                    Diagnostic::new(&code::NEVER_RAISED, source.name.span, message).help(help),
                );
            }
        }
    }

    /// A wake-up sets the flag of everybody who waits on the queue, which is known only now.
    fn wake_ups(&mut self) {
        for queue in std::mem::take(&mut self.queues) {
            let mut sets = Vec::new();
            for &(source, var) in &queue.waiters {
                let per_cpu = self.p.vars[var.0 as usize].storage == Storage::PerCpu;
                let _ = source;
                let places = if per_cpu {
                    (0..self.p.cpus)
                        .map(|cpu| shootdown_ir::Place::at(var, fold::number(cpu as i64)))
                        .collect()
                } else {
                    vec![shootdown_ir::Place::of(var)]
                };
                sets.extend(places.into_iter().map(|place| Set {
                    when: None,
                    place,
                    value: fold::number(1),
                }));
            }
            for &(source, pc) in &queue.wakeups {
                if let Some(line) = self.p.sources[source.0 as usize].program.get_mut(pc) {
                    line.op = Op::Update(sets.clone());
                }
            }
        }
    }

    /// Adds a source that lowering makes: a handler, a stopper's work.
    pub fn add_source(&mut self, name: &str, kind: Kind, span: Span) -> SourceId {
        let id = SourceId(u32::try_from(self.p.sources.len()).unwrap_or(u32::MAX));
        let span = self.ir_span(span);
        self.p.sources.push(Source {
            name: name.to_owned(),
            kind,
            on: None,
            fires: Fires::Raised,
            program: Vec::new(),
            span,
        });
        id
    }

    /// Where a source of the file runs.
    pub(crate) fn on(&mut self, source: &ast::Source<'s>) -> Option<usize> {
        match source.on {
            None | Some(On::Any) => None,
            Some(On::Cpu(cpu, name)) => {
                match usize::try_from(cpu).ok().filter(|&cpu| cpu < self.p.cpus) {
                    Some(cpu) => Some(cpu),
                    None => {
                        let last = self.p.cpus - 1;
                        let message = format!(
                            "there is no {}: the scenario has {} CPUs, CPU0 to CPU{last}",
                            name.text, self.p.cpus
                        );
                        self.report(
                            Diagnostic::new(&code::OUT_OF_RANGE, name.span, message)
                                .help("raise `cpus`, or move the source"),
                        );
                        Some(0)
                    }
                }
            }
        }
    }
}
