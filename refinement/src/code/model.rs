//! The code as a Stateright model.
//!
//! Actions are those of the protocol ([`Action`]): a CPU starts an operation, does what its code has announced, takes
//! an interrupt; its hardware walker caches a translation. What a CPU may start, and how often, is the workload's, as
//! for the protocol; whether it may start it *now* is the simulated machine's to say.

use std::sync::Arc;

use shootdown_impl::event::Event;
use shootdown_impl::id::{CpuId, MmId};
use shootdown_impl::irq::Vector;
use shootdown_impl::kernel::Loc;
use shootdown_impl::mm::Life;
use shootdown_impl::page_table::Entry;
use shootdown_impl::sim::{Op, SIM_CPUS, SimState};
use shootdown_impl::tlb::{AccessKind, Slot};
use shootdown_spec::config::{Config, Start};
use shootdown_spec::id::Level;
use shootdown_spec::model::Action;
use shootdown_spec::search::Scheduled;
use stateright::Model;

use super::automaton::{Automata, NodeId, Piece, Runnable};
use super::mover::{is_mover, unguarded};
use super::state::{CodeState, Noticed};
use super::stuck::stuck;
use crate::map;

/// The code of one configuration.
pub struct CodeModel {
    /// What runs: environment, workload and placement. Its design and deviations are the specification's; the code
    /// brings its own.
    pub config: Config,
    /// The code.
    pub code: Automata,
    /// Whether operations that need no scheduling point of their own have none ([`super::mover`]).
    pub reduce: bool,
}

/// Something the code did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// It reported this.
    Event(Event),
    /// It returned from an interrupt: the hardware's part of it.
    Iret,
}

/// Told what happens in a step: the machine after it, the CPU, the level, what happened. An error ends the step.
pub trait Watch {
    /// What stops it.
    type Stop;
    /// Takes note.
    fn seen(&mut self, cpu: CpuId, level: Level, seen: Seen) -> Result<(), Self::Stop>;
}

/// Nobody watches.
impl Watch for () {
    type Stop = std::convert::Infallible;
    fn seen(&mut self, _: CpuId, _: Level, _: Seen) -> Result<(), Self::Stop> {
        Ok(())
    }
}

impl CodeModel {
    /// The code in the configuration's environment, with its workload.
    pub fn new(config: Config, code: Arc<dyn Runnable>) -> Self {
        let boot = boot(&config, &config.starts()[0]);
        Self {
            config,
            code: Automata::new(code, boot),
            reduce: true,
        }
    }

    /// The state at the start.
    pub fn initial(&self, start: &Start) -> CodeState {
        let mut budget = [0; SIM_CPUS];
        budget[..self.config.cpus()].fill(self.config.environment.ops_per_cpu);
        CodeState {
            machine: boot(&self.config, start),
            at: [[NodeId::NONE; 2]; SIM_CPUS],
            budget,
            noticed: None,
        }
    }

    /// What a context has announced, if it runs anything.
    pub fn announced(&self, state: &CodeState, cpu: CpuId, level: Level) -> Option<Op> {
        let node = state.node(cpu, level);
        node.is_some().then(|| self.code.node(node).next)
    }

    /// Could the action happen?
    pub fn is_enabled(&self, state: &CodeState, action: &Action) -> bool {
        let cpu = map::id::cpu_to_code(action.cpu());
        if cpu.index() >= self.config.cpus()
            || matches!(state.noticed, Some(Noticed::Panicked { .. }))
        {
            return false;
        }
        let machine = &state.machine;
        match *action {
            Action::Start { program, mm, .. } => {
                let choices = self.config.choices(cpu.index());
                let idle = Level::ALL.iter().all(|&l| !state.node(cpu, l).is_some());
                let own = map::program::acts_on_active_mm(program);
                idle && state.budget[cpu.index()] > 0
                    && choices.contains(&(program, mm))
                    && (!own
                        || machine.cpus[cpu.index()].tlb_state.active_mm == map::id::mm_to_code(mm))
                    && map::program::operation(program, mm)
                        .is_some_and(|o| machine.may_start(cpu, o))
            }
            Action::Step { .. } => self
                .announced(state, cpu, state.top(cpu))
                .is_some_and(|op| machine.enabled(cpu, op)),
            Action::Ipi { from, .. } => {
                let from = map::id::cpu_to_code(from);
                let c = &machine.cpus[cpu.index()];
                c.irqs_on && c.in_irq.is_none() && c.ipis.contains(from)
            }
            Action::IrqFree { mm, .. } => {
                let wanted = map::id::mm_to_code(mm).map(Vector::PgdFree);
                machine.interrupts(cpu).any(|vector| Some(vector) == wanted)
            }
            Action::Fill { entry, .. } => {
                let wanted = map::tlb::slot(entry);
                machine.fills(cpu).any(|slot| slot == wanted)
            }
        }
    }

    /// The state after an enabled action; `watch` is told what the code does on the way.
    ///
    /// # Errors
    /// When `watch` stops it.
    #[expect(
        clippy::result_large_err,
        reason = "both sides are the state reached; boxing one would cost more than it saves"
    )]
    pub fn step<W: Watch>(
        &self,
        state: &CodeState,
        action: &Action,
        watch: &mut W,
    ) -> Result<CodeState, (CodeState, W::Stop)> {
        let mut next = *state;
        next.noticed = None;
        let cpu = map::id::cpu_to_code(action.cpu());
        let went = self.perform(&mut next, cpu, action, watch);
        if let Some(violation) = next.machine.violation.take() {
            next.noticed.get_or_insert(Noticed::Machine(violation));
        }
        // Kept by properties on states, not as a history.
        next.machine.strict_rule_broken = false;
        let at = next.at;
        next.forget(|cpu| {
            at[cpu.index()]
                .iter()
                .any(|&node| matches!(self.code.node(node).next, Op::Store(Loc::Acks(of), _) if of == cpu))
        });
        match went {
            Ok(()) => Ok(next),
            Err(stop) => Err((next, stop)),
        }
    }

    fn perform<W: Watch>(
        &self,
        next: &mut CodeState,
        cpu: CpuId,
        action: &Action,
        watch: &mut W,
    ) -> Result<(), W::Stop> {
        match *action {
            Action::Start { program, mm, .. } => {
                let operation = map::program::operation(program, mm)
                    .expect("an enabled start is of a program that has an operation");
                next.budget[cpu.index()] -= 1;
                let root = self.code.root(cpu, Piece::Operation(operation));
                self.arrive(next, cpu, Level::Task, root, watch)?;
            }
            Action::Ipi { from, .. } => {
                let vector = Vector::FlushTlb(map::id::cpu_to_code(from));
                self.interrupt(next, cpu, vector, watch)?;
            }
            Action::IrqFree { mm, .. } => {
                let mm = map::id::mm_to_code(mm).expect("an enabled interrupt names an mm");
                self.interrupt(next, cpu, Vector::PgdFree(mm), watch)?;
            }
            Action::Fill { entry, .. } => {
                let slot = map::tlb::slot(entry);
                let mm = next.machine.cpus[cpu.index()].tlb_state.active_mm;
                next.machine.fill(cpu, slot, AccessKind::Load);
                if let Some(mm) = mm {
                    let kind = AccessKind::Load;
                    let fill = Event::TlbFill { mm, slot, kind };
                    watch.seen(cpu, next.top(cpu), Seen::Event(fill))?;
                }
                return Ok(());
            }
            Action::Step { .. } => {
                let level = next.top(cpu);
                let at = next.node(cpu, level);
                let op = self.code.node(at).next;
                self.operate(next, cpu, level, at, op, watch)?;
            }
        }
        self.run_movers(next, cpu, watch)?;
        // A CPU that was handed a lock knows it by now.
        for other in next.machine.cpu_ids() {
            if other != cpu && self.waits_no_more(next, other) {
                self.run_movers(next, other, watch)?;
            }
        }
        Ok(())
    }

    /// Whether what executes on a CPU waited for a lock that is its own now.
    fn waits_no_more(&self, state: &CodeState, cpu: CpuId) -> bool {
        let op = self.announced(state, cpu, state.top(cpu));
        op.is_some_and(|op| {
            matches!(op, Op::TicketWait(_) | Op::RwWait(_)) && state.machine.enabled(cpu, op)
        })
    }

    fn interrupt<W: Watch>(
        &self,
        next: &mut CodeState,
        cpu: CpuId,
        vector: Vector,
        watch: &mut W,
    ) -> Result<(), W::Stop> {
        next.machine.enter_interrupt(cpu, vector);
        let root = self.code.root(cpu, Piece::Handler(vector));
        self.arrive(next, cpu, Level::Irq, root, watch)
    }

    /// Lets an announced operation happen and follows the code to the next one.
    fn operate<W: Watch>(
        &self,
        next: &mut CodeState,
        cpu: CpuId,
        level: Level,
        at: NodeId,
        op: Op,
        watch: &mut W,
    ) -> Result<(), W::Stop> {
        if let Some(loc) = unguarded(&next.machine, cpu, level, op) {
            next.noticed.get_or_insert(Noticed::Unguarded { cpu, loc });
        }
        if let Op::Load(Loc::Request(from)) = op
            && next.machine.word(Loc::Acks(from)) >> cpu.0 & 1 == 0
        {
            next.noticed
                .get_or_insert(Noticed::AnsweredRequest { cpu, from });
        }
        let answer = next.machine.apply(cpu, op);
        let after = self.code.after(at, answer);
        if op == Op::Iret {
            watch.seen(cpu, level, Seen::Iret)?;
        }
        self.arrive(next, cpu, level, after, watch)
    }

    /// The code of a context is at this point now.
    fn arrive<W: Watch>(
        &self,
        next: &mut CodeState,
        cpu: CpuId,
        level: Level,
        node: NodeId,
        watch: &mut W,
    ) -> Result<(), W::Stop> {
        let point = self.code.node(node);
        let done = point.next == Op::Idle;
        next.at[cpu.index()][level as usize] = if done { NodeId::NONE } else { node };
        if point.panicked.is_some() {
            next.noticed = Some(Noticed::Panicked { cpu });
        }
        for &event in &point.events {
            next.machine.note(cpu, event);
        }
        for &event in &point.events {
            watch.seen(cpu, level, Seen::Event(event))?;
        }
        Ok(())
    }

    /// Takes what needs no scheduling point of its own together with what was just done.
    fn run_movers<W: Watch>(
        &self,
        next: &mut CodeState,
        cpu: CpuId,
        watch: &mut W,
    ) -> Result<(), W::Stop> {
        if !self.reduce {
            return Ok(());
        }
        loop {
            let level = next.top(cpu);
            let at = next.node(cpu, level);
            if !at.is_some() {
                return Ok(());
            }
            let op = self.code.node(at).next;
            if !is_mover(&next.machine, cpu, level, op) {
                return Ok(());
            }
            if matches!(op, Op::TicketWait(_) | Op::RwWait(_)) {
                self.operate(next, cpu, level, at, op, watch)?;
                continue;
            }
            // What turns out to be a step of the protocol keeps its own scheduling point.
            let answer = next.machine.clone().apply(cpu, op);
            let after = self.code.node(self.code.after(at, answer));
            if after.next == Op::Idle || after.events.iter().any(map::event::is_step) {
                return Ok(());
            }
            self.operate(next, cpu, level, at, op, watch)?;
        }
    }
}

/// The machine at the start, as the specification has it: entries young, slots to be filled without any.
fn boot(config: &Config, start: &Start) -> SimState {
    let env = map::config::environment(&config.environment);
    let placement: Vec<Option<MmId>> = start[..config.cpus()]
        .iter()
        .map(|&mm| map::id::mm_to_code(mm))
        .collect();
    let alive = config.environment.mms;
    let mut machine = SimState::new(env, alive, &placement)
        .expect("a configuration of the specification fits the simulated machine");
    for mm in (0..env.mms).map(MmId) {
        let unborn = machine.life(mm) == Life::Fresh;
        for slot in Slot::ALL {
            let (entry, frame) = (Loc::UserEntry(mm, slot), map::mm::frame(mm, slot));
            if unborn {
                machine.set(entry, 0);
                machine.set(Loc::FrameRefs(frame), 0);
            } else if machine.word(entry) != 0 {
                machine.set(entry, machine.word(entry) | Entry::ACCESSED);
            }
        }
    }
    machine
}

impl Model for CodeModel {
    type State = CodeState;
    type Action = Action;

    fn init_states(&self) -> Vec<CodeState> {
        let starts = self.config.starts().iter();
        starts.map(|start| self.initial(start)).collect()
    }

    fn actions(&self, state: &CodeState, actions: &mut Vec<Action>) {
        candidates(&self.config, |action| {
            if self.is_enabled(state, &action) {
                actions.push(action);
            }
        });
    }

    fn next_state(&self, state: &CodeState, action: Action) -> Option<CodeState> {
        if !self.is_enabled(state, &action) {
            return None;
        }
        match self.step(state, &action, &mut ()) {
            Ok(next) => Some(next),
            Err((_, never)) => match never {},
        }
    }

    /// What the code alone shows, for Stateright's own checkers.
    fn properties(&self) -> Vec<stateright::Property<Self>> {
        vec![
            stateright::Property::always("machine_rules", |_, state: &CodeState| {
                state.noticed.is_none()
            }),
            stateright::Property::always("no_deadlock", |model: &CodeModel, state: &CodeState| {
                stuck(&model.code, state) == 0
            }),
        ]
    }

    fn format_action(&self, action: &Action) -> String {
        action.to_string()
    }
}

/// Every action there could be, in the order in which the protocol lists them.
pub fn candidates(config: &Config, mut offer: impl FnMut(Action)) {
    use shootdown_spec::id::{CpuId, MmId};
    use shootdown_spec::program::Entry;
    for cpu in (0..config.cpus() as u8).map(CpuId) {
        offer(Action::Step { cpu });
        for from in (0..config.cpus() as u8).map(CpuId) {
            offer(Action::Ipi { cpu, from });
        }
        for &(program, mm) in config.choices(cpu.index()) {
            offer(Action::Start { cpu, program, mm });
        }
        if config.environment.pgd_free_in_irq {
            for mm in (0..config.slots() as u8).map(MmId) {
                offer(Action::IrqFree { cpu, mm });
            }
        }
        for entry in Entry::ALL {
            offer(Action::Fill { cpu, entry });
        }
    }
}

impl Scheduled for CodeModel {
    fn movers(&self) -> usize {
        self.config.cpus()
    }

    fn mover(&self, action: &Action) -> Option<usize> {
        match action {
            Action::Fill { .. } => None,
            _ => Some(action.cpu().index()),
        }
    }

    fn urgent(&self, action: &Action) -> Option<usize> {
        matches!(action, Action::Ipi { .. }).then(|| action.cpu().index())
    }
}
