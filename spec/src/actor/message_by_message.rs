//! The actor model with every message delivered on its own.
//!
//! Between a request and its answer other CPUs move, interrupts of other CPUs are taken, and
//! grants and acknowledgements take their time. What one action of [`ActorProtocol`] does at
//! once comes apart here, which shows whether its atomic steps hide anything.
//!
//! **Order.** The network keeps no order, but hardware does in three places, and so do
//! [`MessageByMessage`]'s actions: a CPU's `Active` reaches an mm before its `End`, and both
//! before its next request; a walk's `WalkReturned` reaches `pgd_list` before the CPU's next
//! request; a lock's "spin" reaches a CPU before the grant that ends the spinning.
//!
//! **What is judged where.** A property that looks at one CPU only ([`LOCAL`]) is judged in every
//! state. The others compare objects with each other, and a message on its way makes that
//! meaningless (a lock that has been released but whose former owner has not heard it yet is
//! not owned twice; an acknowledgement on its way is not lost): they are judged in settled
//! states, where the network holds nothing but IPIs. Every state of [`ActorProtocol`] is settled
//! and is reached here too, so what is violated there is violated here; the tests look for the
//! reverse.
//!
//! # Limitations
//! A CPU that awaits an answer does nothing else, user accesses included, so the two halves of a
//! step such as `leave_mm` (mask bit, CR3) come apart only as far as other CPUs can see; a TLB
//! entry that goes away with the answer is not held against it, since the state is not settled.
//! With several operations per CPU an `Active` could overtake an older one of the same mm: use
//! one.

use super::{
    Judged, ObjectActor, ObjectStates, Turn, actor_model, initial_states, stateright_properties,
    view,
};
use crate::config::Config;
use crate::id::MAX_CPUS;
use crate::message::{ListRequest, Msg};
use crate::mm::MmRequest;
use crate::property::{FIRST_WITNESS_BIT, PROPERTIES, Property, observe};
use crate::search::Scheduled;
use crate::state::State;
use stateright::Model;
use stateright::actor::{ActorModel, ActorModelAction, Id};
use std::sync::Arc;

/// Properties that look at one CPU at a time, and are judged in every state.
pub const LOCAL: &[&str] = &[
    "no_lock_held_across_ipi_wait",
    "irqs_on_while_waiting_for_ipi",
    "lock_order",
    "ack_after_flush",
];

/// The actor model, one message at a time.
#[derive(Clone)]
pub struct MessageByMessage {
    /// The configuration.
    pub config: Arc<Config>,
    inner: ActorModel<ObjectActor>,
}

impl MessageByMessage {
    /// The actor model of a configuration.
    pub fn new(config: Config) -> MessageByMessage {
        let config = Arc::new(config);
        let inner = actor_model(&config, &config.starts()[0]);
        MessageByMessage { config, inner }
    }

    /// The flat picture of a state: see [`view`].
    pub fn view(&self, state: &ObjectStates) -> State {
        view(&self.config, state)
    }

    /// Is nothing on its way but IPIs?
    pub fn is_settled(&self, state: &ObjectStates) -> bool {
        let mut messages = state.network.iter_deliverable();
        messages.all(|e| matches!(e.msg, Msg::Ipi(..)))
    }

    /// [`observe`], without what cannot be judged in the middle of a step.
    pub fn observe(&self, state: &ObjectStates) -> u64 {
        let mask = observe(&self.config, &self.view(state));
        if self.is_settled(state) {
            return mask;
        }
        let global = PROPERTIES.iter().enumerate();
        let global = global.filter(|(_, p)| !LOCAL.contains(&p.name));
        let hidden: u64 = global.map(|(i, _)| 1 << i).sum();
        debug_assert!(hidden < 1 << FIRST_WITNESS_BIT);
        mask & !hidden
    }
}

/// Of two messages from the same sender to the same receiver, which is the older one?
fn rank(msg: &Msg) -> u8 {
    match msg {
        Msg::Mm(MmRequest::Active(_)) | Msg::List(ListRequest::WalkReturned) => 0,
        Msg::Mm(MmRequest::End(_)) | Msg::Queued(_) => 1,
        _ => 2,
    }
}

/// May `msg` be delivered although `other`, of the same channel, is on its way too?
fn may_overtake(msg: &Msg, other: &Msg) -> bool {
    match (msg, other) {
        (Msg::Ipi(..) | Msg::Ack, _) | (_, Msg::Ipi(..) | Msg::Ack) => true,
        // A grant ends the spinning of its own level only.
        (Msg::Granted(mine), Msg::Queued(theirs)) => mine != theirs,
        _ => rank(msg) <= rank(other),
    }
}

impl Model for MessageByMessage {
    type State = ObjectStates;
    type Action = ActorModelAction<Msg, Turn, ()>;

    fn init_states(&self) -> Vec<ObjectStates> {
        initial_states(&self.config)
    }

    fn actions(&self, state: &ObjectStates, actions: &mut Vec<Self::Action>) {
        self.inner.actions(state, actions);
        actions.retain(|action| match action {
            ActorModelAction::Deliver { src, dst, msg } => {
                let mut messages = state.network.iter_deliverable();
                messages.all(|e| e.src != *src || e.dst != *dst || may_overtake(msg, e.msg))
            }
            _ => true,
        });
    }

    fn next_state(&self, state: &ObjectStates, action: Self::Action) -> Option<ObjectStates> {
        self.inner.next_state(state, action)
    }

    fn properties(&self) -> Vec<stateright::Property<Self>> {
        stateright_properties()
    }

    fn format_action(&self, action: &Self::Action) -> String {
        self.inner.format_action(action)
    }

    fn format_step(&self, state: &ObjectStates, action: Self::Action) -> Option<String> {
        self.inner.format_step(state, action)
    }

    /// Stateright's sequence diagram of the messages.
    fn as_svg(&self, path: stateright::Path<ObjectStates, Self::Action>) -> Option<String> {
        self.inner.as_svg(path)
    }
}

impl Judged for MessageByMessage {
    fn is_violated(&self, property: &Property, state: &ObjectStates) -> bool {
        let judged = LOCAL.contains(&property.name) || self.is_settled(state);
        judged && property.is_violated(&self.config, &self.view(state))
    }
}

impl Scheduled for MessageByMessage {
    fn movers(&self) -> usize {
        self.config.cpus()
    }

    /// A message is delivered on account of the CPU that receives it, or that sent it.
    fn mover(&self, action: &Self::Action) -> Option<usize> {
        let cpu = |id: &Id| Some(usize::from(*id)).filter(|i| *i < self.config.cpus());
        match action {
            ActorModelAction::Timeout(_, Turn::Fill(_)) => None,
            ActorModelAction::Timeout(id, _) => cpu(id),
            ActorModelAction::Deliver { src, dst, .. } => cpu(dst).or_else(|| cpu(src)),
            _ => None,
        }
    }

    /// Classes 0 to 3: the IPIs of a CPU; 4 to 7: its steps; 8 to 11: acknowledgements and grants
    /// for it. A hardware walker that looks up an absent entry again and again, which in one atomic
    /// step is no step at all, must not keep any of them from happening.
    fn urgent(&self, action: &Self::Action) -> Option<usize> {
        match action {
            ActorModelAction::Timeout(id, Turn::Step) => Some(MAX_CPUS + usize::from(*id)),
            ActorModelAction::Deliver { dst, msg, .. } => match msg {
                Msg::Ipi(..) => Some(usize::from(*dst)),
                Msg::Ack | Msg::Granted(_) => Some(2 * MAX_CPUS + usize::from(*dst)),
                _ => None,
            },
            _ => None,
        }
    }
}
