//! The contexts of the recorded machine: what each holds, tries to take, and awaits.
//!
//! A context is a task, or an interrupt on a CPU; an idle task is its CPU's. Spinlocks keep a task on its CPU, sleeping
//! locks do not, so a task's locks go with the task.

use super::class::ClassId;
use super::line::Level;
use super::place::{Address, Place};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// How a lock is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// `spin_lock`, `write_lock`.
    Exclusive,
    /// `read_lock`.
    Shared,
}

/// Which context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A task, by its pid.
    Task(u32),
    /// What runs on a CPU at a level; at the lowest the idle task.
    Cpu(u16, Level),
}

impl Key {
    /// Of a line.
    pub fn of(cpu: u16, level: Level, pid: u32) -> Key {
        if level == Level::Task && pid != 0 {
            Key::Task(pid)
        } else {
            Key::Cpu(cpu, level)
        }
    }

    /// Its level.
    pub fn level(self) -> Level {
        match self {
            Key::Task(_) => Level::Task,
            Key::Cpu(_, level) => level,
        }
    }
}

/// Who turned interrupts off, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Off {
    /// The line.
    #[serde(flatten)]
    pub place: Place,
    /// The function.
    pub caller: String,
    /// Its caller.
    pub parent: String,
    /// The stack, if the trace has it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<String>,
}

/// How many functions of a stack are kept.
const FRAMES: usize = 16;

/// Keeps a function of a stack.
pub fn push_frame(stack: &mut Vec<String>, frame: &str) {
    if stack.len() < FRAMES {
        stack.push(super::place::printable(frame));
    }
}

/// A lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lock {
    /// Its address.
    pub address: Address,
    /// Its class.
    pub class: ClassId,
}

/// A lock that a context holds.
#[derive(Clone, Debug)]
pub struct Held {
    /// The lock.
    pub lock: Lock,
    /// How.
    pub mode: Mode,
    /// Where it was taken.
    pub since: Place,
    /// The acknowledgements awaited under it, by target.
    pub flushes: BTreeMap<u16, Flushes>,
    /// Flushes under it of which only `tlb_flush` or the IPI is there.
    pub told: u64,
    /// It is known to have been held with interrupts on; with bottom halves on as well.
    pub open: [bool; 2],
}

impl Held {
    /// A lock taken here.
    pub fn new(lock: Lock, mode: Mode, since: Place) -> Held {
        Held {
            lock,
            mode,
            since,
            flushes: BTreeMap::new(),
            told: 0,
            open: [false; 2],
        }
    }
}

/// The requests to one target that were queued while a lock was held.
#[derive(Clone, Debug)]
pub struct Flushes {
    /// Those that were answered.
    pub answered: u64,
    /// Those that were not, although another was queued since.
    pub unanswered: u64,
    /// The last one, and its answer.
    pub last: Request,
}

/// A request to another CPU, whose acknowledgement is awaited.
#[derive(Clone, Debug, Serialize)]
pub struct Request {
    /// Its address; none if only the IPI is there.
    pub csd: Option<Address>,
    /// Whom it is for.
    pub target: u16,
    /// What the target is to do.
    #[serde(serialize_with = "function_name")]
    pub function: usize,
    /// The line that queues it.
    pub queued: Place,
    /// Where in the code.
    pub callsite: String,
    /// The line that acknowledges it.
    pub answered: Option<Place>,
    /// The target had no line yet when this was queued, or events of it were lost since.
    pub out_of_sight: bool,
    /// The sender's stack, if the trace has it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<String>,
}

fn function_name<S: serde::Serializer>(index: &usize, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(super::event::AWAITED[*index].0)
}

impl Request {
    /// `, csd 00000000e6bcdb51`, or nothing.
    pub fn csd(&self) -> String {
        self.csd.map_or(String::new(), |csd| format!(", csd {csd}"))
    }

    /// The function's name.
    pub fn function(&self) -> &'static str {
        super::event::AWAITED[self.function].0
    }
}

/// A lock that a context tries to take.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The lock.
    pub lock: Lock,
    /// How.
    pub mode: Mode,
    /// Where it began to try.
    pub place: Place,
    /// Interrupts are off meanwhile.
    pub irqs_off: bool,
    /// Who turned them off, if that was seen.
    pub off: Option<Off>,
    /// Where it found the lock taken.
    pub contended: Option<Place>,
    /// The stack, if the trace has it.
    pub stack: Vec<String>,
}

/// Requests that a context awaits.
#[derive(Clone, Debug, Default)]
pub struct Awaiting {
    /// The requests.
    pub requests: Vec<Request>,
    /// Where they were sent.
    pub sent: Option<Place>,
    /// The flush that they belong to, where only `tlb_flush` is there: to whom it went is not known.
    pub told: Option<Told>,
}

/// A flush of which only the beginning is in the trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// `tlb_flush`.
    #[serde(flatten)]
    pub place: Place,
    /// The stack, if the trace has it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<String>,
}

/// A context.
#[derive(Clone, Debug)]
pub struct Context {
    /// Its last line.
    pub last: Place,
    /// What it holds.
    pub held: Vec<Held>,
    /// What it tries to take: several, where a sleeping lock's slow path takes another.
    pub attempts: Vec<Attempt>,
    /// What it awaits.
    pub awaiting: Option<Awaiting>,
    /// A flush begins: what is queued next is part of it.
    pub begins_flush: bool,
    /// What `contention_begin` said that `contention_end` did not take back; by the lock's own address.
    pub contended: Option<Attempt>,
}

impl Context {
    /// Nothing to remember?
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
            && self.attempts.is_empty()
            && self.awaiting.is_none()
            && self.contended.is_none()
    }

    /// A frame of the stack of what this line did.
    pub fn frame(&mut self, line: u64, frame: &str) {
        let attempts = self.attempts.iter_mut().chain(&mut self.contended);
        let attempts = attempts
            .filter(|a| a.place.line == line)
            .map(|a| &mut a.stack);
        let requests = self.awaiting.iter_mut().flat_map(|a| &mut a.requests);
        let requests = requests
            .filter(|r| r.queued.line == line)
            .map(|r| &mut r.stack);
        attempts
            .chain(requests)
            .for_each(|stack| push_frame(stack, frame));
        let told = self.awaiting.as_mut().and_then(|a| a.told.as_mut());
        if let Some(told) = told.filter(|told| told.place.line == line) {
            push_frame(&mut told.stack, frame);
        }
    }
}

/// Locks that one context can hold at once (lockdep's `MAX_LOCK_DEPTH` is 48). With more, releases were lost.
const DEEPEST: usize = 64;

/// Contexts that are kept when they have nothing to remember.
const IDLE_CONTEXTS: usize = 1024;

/// Every context that has something to remember.
#[derive(Debug, Default)]
pub struct Contexts {
    map: HashMap<Key, Context>,
    /// Holds that were forgotten because there were too many.
    pub forgotten: u64,
}

impl Contexts {
    /// The context, at this line.
    pub fn at(&mut self, key: Key, place: Place) -> &mut Context {
        if self.map.len() > IDLE_CONTEXTS && !self.map.contains_key(&key) {
            self.map.retain(|_, context| !context.is_empty());
        }
        let context = self.map.entry(key).or_insert_with(|| Context {
            last: place,
            held: Vec::new(),
            attempts: Vec::new(),
            awaiting: None,
            begins_flush: false,
            contended: None,
        });
        context.last = place;
        if context.held.len() > DEEPEST {
            self.forgotten += 1;
            context.held.remove(0);
        }
        if context.attempts.len() > DEEPEST {
            context.attempts.remove(0);
        }
        context
    }

    /// The context, if there is one.
    pub fn get(&self, key: Key) -> Option<&Context> {
        self.map.get(&key)
    }

    /// The same, to change.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut Context> {
        self.map.get_mut(&key)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &Context)> {
        self.map.iter().map(|(key, context)| (*key, context))
    }

    /// All of them, to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut Context)> {
        self.map.iter_mut().map(|(key, context)| (*key, context))
    }

    /// Who holds a lock, apart from this one.
    pub fn holders(&self, address: Address, apart: Key) -> Vec<Key> {
        let holds = |c: &Context| c.held.iter().any(|h| h.lock.address == address);
        let others = self.iter().filter(|(key, c)| *key != apart && holds(c));
        let mut keys: Vec<Key> = others.map(|(key, _)| key).collect();
        keys.sort_unstable();
        keys
    }

    /// Forgets what ran on a CPU, and gives back what it had.
    pub fn forget(&mut self, cpu: u16) -> Vec<Context> {
        let there = |key: &Key, c: &Context| match key {
            Key::Task(_) => c.last.cpu == cpu,
            Key::Cpu(of, _) => *of == cpu,
        };
        let keys: Vec<Key> = self
            .map
            .iter()
            .filter(|(k, c)| there(k, c))
            .map(|(k, _)| *k)
            .collect();
        keys.iter().filter_map(|key| self.map.remove(key)).collect()
    }
}
