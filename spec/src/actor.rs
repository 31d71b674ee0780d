//! The protocol as a Stateright actor model: CPUs, locks, mms and `pgd_list` are actors, and
//! locking, granting, IPIs and acknowledgements are messages.
//!
//! The actors host exactly the [`Cpu`], [`Lock`], [`Mm`] and [`PgdList`] of the message-free
//! [`model`](crate::model); what is added here is who talks to whom. A CPU's turn (it starts a
//! program, steps, takes an interrupt that frees an mm, its hardware walker looks something up)
//! is a timeout; the timers are set once and always set again, and a turn that changes nothing
//! is pruned by Stateright. **The flush IPI is a message that stays on the network until its
//! target takes interrupts.** The network neither loses nor duplicates, and does not keep order.
//!
//! One [`ActorModel`], two granularities:
//!
//! * [`ActorProtocol`]: one action is one atomic step of the machine, the same [`Action`] as
//!   [`Protocol`](crate::model::Protocol)'s. Every message but IPIs is delivered before the next
//!   action. The tests hold it to the message-free host: same states, transitions, verdicts.
//! * [`MessageByMessage`]: every message is delivered on its own, in every order. It shows what
//!   the atomic steps leave out.
//!
//! # Limitations
//! Cloning and hashing an [`ActorModelState`] costs many allocations: this host is for
//! Stateright's tools and for cross-checks, [`Protocol`](crate::model::Protocol) for large spaces
//! (`cargo bench -p shootdown-spec --bench engine` prints both side by side).

mod judged;
mod message_by_message;

pub use judged::{Judged, stateright_properties};
pub use message_by_message::{LOCAL, MessageByMessage};

use crate::config::{Config, Start};
use crate::cpu::{Cpu, Outbox, PendingIpi};
use crate::id::{CpuId, LockId, MmId};
use crate::message::{Addr, Msg};
use crate::mm::Mm;
use crate::model::{Action, answer_list, answer_lock, wants_reply};
use crate::pgd_list::PgdList;
use crate::program::{Entry, ProgramId};
use crate::search::Scheduled;
use crate::spinlock::Lock;
use crate::state::State;
use stateright::actor::{
    Actor, ActorModel, ActorModelAction, ActorModelState, Id, Network, Out, model_timeout,
};
use stateright::{Model, Property};
use std::borrow::Cow;
use std::sync::Arc;

/// A state of the actor model.
pub type ObjectStates = ActorModelState<ObjectActor>;

/// What an actor hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Object {
    /// A CPU. Its inbox stays empty: pending IPIs are on the network.
    Cpu(Cpu),
    /// A lock.
    Lock(Lock),
    /// An mm slot.
    Mm(Mm),
    /// `pgd_list` with init_mm's kernel entry.
    PgdList(PgdList),
}

/// What a CPU may do when it is its turn: the timers of a CPU's actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Turn {
    /// Execute the next step of what runs.
    Step,
    /// Start a program on an mm.
    Start(ProgramId, MmId),
    /// Take an interrupt that drops the last reference of an mm.
    IrqFree(MmId),
    /// The hardware walker looks an entry of the loaded mm up.
    Fill(Entry),
}

/// The actor of one object.
#[derive(Clone, Debug)]
pub struct ObjectActor {
    addr: Addr,
    initial: Object,
    config: Arc<Config>,
}

/// Every object of a configuration, in the order of the actors' [`Id`]s: the CPUs (so that
/// CPU*n* is actor *n*), `pgd_list`, the mm slots, the locks.
pub fn directory(config: &Config) -> Vec<Addr> {
    let mms = || (0..config.slots() as u8).map(MmId);
    let split = config.environment.split_ptlocks;
    let cpus = (0..config.cpus() as u8).map(|c| Addr::Cpu(CpuId(c)));
    let locks = std::iter::once(LockId::PgdLock)
        .chain(mms().map(LockId::PageTableLock))
        .chain(mms().map(LockId::SplitPtl).filter(|_| split));
    cpus.chain([Addr::PgdList])
        .chain(mms().map(Addr::Mm))
        .chain(locks.map(Addr::Lock))
        .collect()
}

/// The actor of an object: its place in [`directory`].
fn id_of(config: &Config, addr: Addr) -> Id {
    let (cpus, slots) = (config.cpus(), config.slots());
    let first_lock = cpus + 1 + slots;
    Id::from(match addr {
        Addr::Cpu(cpu) => cpu.index(),
        Addr::PgdList => cpus,
        Addr::Mm(mm) => cpus + 1 + mm.index(),
        Addr::Lock(LockId::PgdLock) => first_lock,
        Addr::Lock(LockId::PageTableLock(mm)) => first_lock + 1 + mm.index(),
        Addr::Lock(LockId::SplitPtl(mm)) => first_lock + 1 + slots + mm.index(),
    })
}

/// Does a CPU take this message now? IPIs wait for the interrupt flag. A flush by the hypervisor
/// waits for a look-up under way, as on hardware: no walk caches what it read before the flush.
fn takes_now(cpu: &Cpu, msg: Msg) -> bool {
    match msg {
        Msg::Ipi(..) => cpu.takes_interrupts(),
        Msg::FlushTlb(..) => !cpu.is_busy(),
        _ => true,
    }
}

/// The CPU behind an actor that can only be one.
fn cpu_of(id: Id) -> CpuId {
    CpuId(usize::from(id) as u8)
}

/// The actor model of a configuration, CPUs placed as `start` says; without properties.
pub fn actor_model(config: &Arc<Config>, start: &Start) -> ActorModel<ObjectActor> {
    let flat = State::initial(config, start);
    let actors = directory(config).into_iter().map(|addr| ObjectActor {
        addr,
        initial: match addr {
            Addr::Cpu(cpu) => Object::Cpu(*flat.cpu(cpu)),
            Addr::Lock(lock) => Object::Lock(*flat.lock(lock)),
            Addr::Mm(mm) => Object::Mm(*flat.mm(mm)),
            Addr::PgdList => Object::PgdList(flat.list),
        },
        config: Arc::clone(config),
    });
    ActorModel::new((), ())
        .actors(actors)
        .init_network(Network::new_unordered_nonduplicating([]))
}

/// The initial states of every placement.
fn initial_states(config: &Arc<Config>) -> Vec<ObjectStates> {
    let models = config.starts().iter().map(|s| actor_model(config, s));
    models.flat_map(|model| model.init_states()).collect()
}

/// The flat picture of a state, IPIs on the network shown in their targets' inboxes.
///
/// Between two atomic steps it is the message-free host's state. In the middle of one it shows
/// the objects as they are, and not the messages on their way.
pub fn view(config: &Config, state: &ObjectStates) -> State {
    let mut flat = State::initial(config, &config.starts()[0]);
    let objects = directory(config).into_iter().zip(&state.actor_states);
    for (addr, object) in objects {
        match (addr, **object) {
            (Addr::Cpu(id), Object::Cpu(cpu)) => flat.cpus[id.index()] = cpu,
            (Addr::Lock(id), Object::Lock(lock)) => flat.locks[id.index()] = lock,
            (Addr::Mm(id), Object::Mm(mm)) => flat.mms[id.index()] = mm,
            (Addr::PgdList, Object::PgdList(list)) => flat.list = list,
            _ => unreachable!("an actor's object never changes its kind"),
        }
    }
    for envelope in state.network.iter_deliverable() {
        if let Msg::Ipi(mm, scope) = *envelope.msg {
            let from = cpu_of(envelope.src);
            flat.cpus[usize::from(envelope.dst)].post_ipi(PendingIpi { from, mm, scope });
        }
    }
    flat
}

impl ObjectActor {
    fn send(&self, out: Outbox, o: &mut Out<Self>) {
        for (to, msg) in out {
            o.send(id_of(&self.config, to), msg);
        }
    }

    /// Every turn this CPU could ever take.
    fn turns(&self, cpu: CpuId) -> Vec<Turn> {
        let config = &self.config;
        let mut turns = vec![Turn::Step];
        let choices = config.choices(cpu.index()).iter();
        turns.extend(choices.map(|&(program, mm)| Turn::Start(program, mm)));
        if config.environment.pgd_free_in_irq {
            turns.extend((0..config.slots() as u8).map(|mm| Turn::IrqFree(MmId(mm))));
        }
        turns.extend(Entry::ALL.map(Turn::Fill));
        turns
    }

    /// May the CPU take the turn, as far as it knows itself? Whether the mm agrees is asked.
    fn may_take(&self, cpu: &Cpu, turn: Turn) -> bool {
        if cpu.is_busy() {
            return false;
        }
        let ctx = cpu.context(cpu.top());
        match turn {
            Turn::Step => {
                ctx.is_running()
                    && ctx.spins_for().is_none()
                    && !cpu.awaits_acks(&self.config, cpu.top())
            }
            Turn::Start(program, mm) => cpu.may_start(program, mm),
            Turn::IrqFree(_) => cpu.takes_interrupts(),
            Turn::Fill(entry) => cpu.loaded_mm().is_some() && !cpu.tlb.contains(entry),
        }
    }
}

impl Actor for ObjectActor {
    type Msg = Msg;
    type Timer = Turn;
    type State = Object;
    type Storage = ();
    type Random = ();

    fn on_start(&self, _: Id, _: &Option<()>, o: &mut Out<Self>) -> Object {
        if let Addr::Cpu(cpu) = self.addr {
            for turn in self.turns(cpu) {
                o.set_timer(turn, model_timeout());
            }
        }
        self.initial
    }

    fn on_timeout(&self, _: Id, object: &mut Cow<'_, Object>, turn: &Turn, o: &mut Out<Self>) {
        o.set_timer(*turn, model_timeout());
        let (Addr::Cpu(me), Object::Cpu(mut cpu)) = (self.addr, **object) else {
            unreachable!("only CPUs have timers")
        };
        if !self.may_take(&cpu, *turn) {
            return;
        }
        let mut out = Outbox::new();
        match *turn {
            Turn::Step => cpu.step(&self.config, me, &mut out),
            Turn::Start(program, mm) => cpu.start(&self.config, program, mm, &mut out),
            Turn::IrqFree(mm) => cpu.start_pgd_free_in_irq(mm, &mut out),
            Turn::Fill(entry) => cpu.fill(entry, &mut out),
        }
        *object.to_mut() = Object::Cpu(cpu);
        self.send(out, o);
    }

    fn on_msg(&self, _: Id, object: &mut Cow<'_, Object>, src: Id, msg: Msg, o: &mut Out<Self>) {
        if let Object::Cpu(cpu) = &**object
            && !takes_now(cpu, msg)
        {
            // Left untouched, so that the message stays on the network.
            return;
        }
        match object.to_mut() {
            Object::Cpu(cpu) => {
                let Addr::Cpu(me) = self.addr else {
                    unreachable!("a CPU's address")
                };
                if let Msg::Ipi(mm, scope) = msg {
                    let from = cpu_of(src);
                    return cpu.take_ipi(&self.config, PendingIpi { from, mm, scope });
                }
                // Acks and hypercall flushes come from CPUs, everything else from the object
                // that was asked.
                let from = directory(&self.config)[usize::from(src)];
                let mut out = Outbox::new();
                cpu.receive(&self.config, me, from, msg, &mut out);
                self.send(out, o);
            }
            Object::Lock(lock) => answer_lock(lock, cpu_of(src), msg, &self.config, |cpu, m| {
                o.send(id_of(&self.config, Addr::Cpu(cpu)), m);
            }),
            Object::Mm(mm) => {
                let Msg::Mm(request) = msg else {
                    unreachable!("{msg:?} is not for an mm")
                };
                let reply = mm.handle(cpu_of(src), request, self.config.variants);
                if wants_reply(request) {
                    o.send(src, Msg::MmReply(reply));
                }
            }
            Object::PgdList(list) => {
                let Msg::List(request) = msg else {
                    unreachable!("{msg:?} is not for pgd_list")
                };
                if let Some((mm, present)) = answer_list(list, request) {
                    o.send(src, Msg::ListReply(mm, present));
                }
            }
        }
    }

    fn name(&self) -> String {
        match self.addr {
            Addr::Cpu(cpu) => cpu.to_string(),
            Addr::Lock(lock) => lock.to_string(),
            Addr::Mm(mm) => mm.to_string(),
            Addr::PgdList => "pgd_list".to_string(),
        }
    }
}

/// The actor model, one atomic step of the machine at a time.
#[derive(Clone)]
pub struct ActorProtocol {
    /// The configuration.
    pub config: Arc<Config>,
    inner: ActorModel<ObjectActor>,
}

impl ActorProtocol {
    /// The actor model of a configuration.
    pub fn new(config: Config) -> ActorProtocol {
        let config = Arc::new(config);
        let inner = actor_model(&config, &config.starts()[0]);
        ActorProtocol { config, inner }
    }

    /// The flat picture of a state: see [`view`].
    pub fn view(&self, state: &ObjectStates) -> State {
        view(&self.config, state)
    }

    /// The timeout or delivery that an action begins with; `None` if the IPI is not there.
    fn first(
        &self,
        state: &ObjectStates,
        action: Action,
    ) -> Option<ActorModelAction<Msg, Turn, ()>> {
        let dst = id_of(&self.config, Addr::Cpu(action.cpu()));
        let turn = match action {
            Action::Step { .. } => Turn::Step,
            Action::Start { program, mm, .. } => Turn::Start(program, mm),
            Action::IrqFree { mm, .. } => Turn::IrqFree(mm),
            Action::Fill { entry, .. } => Turn::Fill(entry),
            Action::Ipi { from, .. } => {
                let src = id_of(&self.config, Addr::Cpu(from));
                let mut ipis = state.network.iter_deliverable();
                let ipi =
                    ipis.find(|e| e.src == src && e.dst == dst && matches!(e.msg, Msg::Ipi(..)))?;
                let msg = *ipi.msg;
                return Some(ActorModelAction::Deliver { src, dst, msg });
            }
        };
        Some(ActorModelAction::Timeout(dst, turn))
    }

    /// The next message to deliver at once: any but an IPI, the least first.
    fn next_message(state: &ObjectStates) -> Option<ActorModelAction<Msg, Turn, ()>> {
        let messages = state.network.iter_deliverable();
        let immediate = messages.filter(|e| !matches!(e.msg, Msg::Ipi(..)));
        let first = immediate.min_by_key(|e| (e.src, e.dst, *e.msg))?;
        Some(ActorModelAction::Deliver {
            src: first.src,
            dst: first.dst,
            msg: *first.msg,
        })
    }
}

impl Model for ActorProtocol {
    type State = ObjectStates;
    type Action = Action;

    fn init_states(&self) -> Vec<ObjectStates> {
        initial_states(&self.config)
    }

    /// Every turn of every CPU and every IPI on the network, in the order of
    /// [`Protocol`](crate::model::Protocol)'s actions. Which of them change anything is for
    /// [`Model::next_state`] to find out.
    fn actions(&self, state: &ObjectStates, actions: &mut Vec<Action>) {
        for i in 0..self.config.cpus() {
            let cpu = CpuId(i as u8);
            actions.push(Action::Step { cpu });
            let at = actions.len();
            for envelope in state.network.iter_deliverable() {
                if usize::from(envelope.dst) == i && matches!(envelope.msg, Msg::Ipi(..)) {
                    let from = cpu_of(envelope.src);
                    actions.push(Action::Ipi { cpu, from });
                }
            }
            actions[at..].sort_unstable();
            let choices = self.config.choices(i).iter();
            actions.extend(choices.map(|&(program, mm)| Action::Start { cpu, program, mm }));
            if self.config.environment.pgd_free_in_irq {
                let mms = (0..self.config.slots() as u8).map(MmId);
                actions.extend(mms.map(|mm| Action::IrqFree { cpu, mm }));
            }
            actions.extend(Entry::ALL.map(|entry| Action::Fill { cpu, entry }));
        }
    }

    fn next_state(&self, state: &ObjectStates, action: Action) -> Option<ObjectStates> {
        let first = self.first(state, action)?;
        let mut next = self.inner.next_state(state, first)?;
        while let Some(message) = ActorProtocol::next_message(&next) {
            next = self
                .inner
                .next_state(&next, message)
                .expect("whoever receives a message that is no IPI takes it in");
        }
        // A start that the mm refused, a walk that found nothing: no step at all.
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        stateright_properties()
    }

    fn format_action(&self, action: &Action) -> String {
        action.to_string()
    }
}

impl Judged for ActorProtocol {
    fn is_violated(&self, property: &crate::property::Property, state: &ObjectStates) -> bool {
        property.is_violated(&self.config, &self.view(state))
    }
}

impl Scheduled for ActorProtocol {
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
