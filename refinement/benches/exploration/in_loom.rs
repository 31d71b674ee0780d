//! The code on loom's threads, in the two ways there are.
//!
//! With *atomics* every word of the kernel is an atomic of loom's, as it is one on real hardware, and a waiter
//! spins; loom's reduction sees which operations touch the same word. With *a mutex and a condvar* the machine is one
//! value and nobody spins, but all operations conflict. Interrupts: see the top of `main.rs`.

use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use loom::model::Builder;
use loom::sync::atomic::{AtomicU64, Ordering::SeqCst};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use shootdown_impl::design::Axes;
use shootdown_impl::event::Event;
use shootdown_impl::id::CpuId;
use shootdown_impl::irq::Vector;
use shootdown_impl::kernel::{Loc, Node};
use shootdown_impl::operation::{Code, Operation};
use shootdown_impl::sim::{Op, Port, SimCpu, SimState};
use shootdown_impl::spinlock::{AtomicWord, Draw, Ticket, ticket};

use crate::polled::{Attempt, Polled};
use crate::{EXECUTIONS, Program, Ran, executions};

/// Every word an atomic; waiting is spinning.
pub fn atomics(limit: Duration, program: &Program) -> Ran {
    let program = program.clone();
    executions(limit, || {
        builder(limit).check(move || {
            let words = Arc::new(Words::new(&program.machine));
            on_threads(&program, |cpu, code| Spinning {
                cpu,
                code,
                words: words.clone(),
                own: RefCell::new(program.machine),
                ticket: Cell::new(Ticket(0)),
            });
        });
    })
}

/// The machine behind one mutex; waiting is blocking.
pub fn condvar(limit: Duration, program: &Program) -> Ran {
    let program = program.clone();
    executions(limit, || {
        builder(limit).check(move || {
            let polled = Mutex::new(Polled::new(program.machine));
            let shared = Arc::new((polled, Condvar::new()));
            let boot = program.machine;
            on_threads(&program, |cpu, code| Blocking {
                cpu,
                code,
                boot,
                shared: shared.clone(),
            });
        });
    })
}

fn builder(limit: Duration) -> Builder {
    let mut builder = Builder::new();
    builder.max_duration = Some(limit);
    // Else it looks at the time only every 20,000 executions.
    builder.checkpoint_interval = 1;
    // Far more than a run of these programs has: who comes this far spins for ever.
    builder.max_branches = 10_000;
    builder
}

/// A CPU that can be given a script.
trait Runs: Port + Sized + 'static {
    fn cpu(&self) -> CpuId;
    fn code(&self) -> Axes;
    fn boot(&self) -> SimState;
    /// The script is done; takes interrupts until all are.
    fn finish(&self);

    fn simulated(&self) -> SimCpu<&Self> {
        SimCpu {
            port: self,
            cpu: self.cpu(),
            env: self.boot().env,
        }
    }

    fn run(&self, script: &[Operation]) {
        for &operation in script {
            self.code().operation(&self.simulated(), operation);
        }
        self.finish();
    }

    fn interrupt(&self, vector: Vector) {
        self.code().interrupt(&self.simulated(), vector);
        self.call(Op::Iret);
    }
}

fn on_threads<C: Runs>(program: &Program, make: impl Fn(CpuId, Axes) -> C) {
    EXECUTIONS.fetch_add(1, Relaxed);
    let cpus = program.scripts.iter().enumerate();
    let mut cpus = cpus.map(|(i, script)| (make(CpuId(i as u8), program.code), script.clone()));
    let (first, script) = cpus.next().expect("there is a CPU");
    let others: Vec<_> = cpus
        .map(|(cpu, script)| thread::spawn(move || cpu.run(&script)))
        .collect();
    first.run(&script);
    for other in others {
        other.join().expect("a CPU that panics ends the execution");
    }
}

struct Blocking {
    cpu: CpuId,
    code: Axes,
    boot: SimState,
    shared: Arc<(Mutex<Polled>, Condvar)>,
}

impl Runs for Blocking {
    fn cpu(&self) -> CpuId {
        self.cpu
    }
    fn code(&self) -> Axes {
        self.code
    }
    fn boot(&self) -> SimState {
        self.boot
    }
    fn finish(&self) {
        let woken = {
            let mut machine = self.shared.0.lock().expect("loom does not poison");
            machine.finish();
            machine.woken()
        };
        if !woken.is_empty() {
            self.shared.1.notify_all();
        }
        self.call(Op::Idle);
    }
}

impl Port for Blocking {
    fn call(&self, op: Op) -> u64 {
        if std::thread::panicking() {
            return 0;
        }
        let mut machine = self.shared.0.lock().expect("loom does not poison");
        loop {
            match machine.attempt(self.cpu, op) {
                Attempt::Done(answer, woken) => {
                    if !woken.is_empty() {
                        self.shared.1.notify_all();
                    }
                    return answer;
                }
                Attempt::Interrupt(vector) => {
                    drop(machine);
                    self.interrupt(vector);
                    machine = self.shared.0.lock().expect("loom does not poison");
                }
                Attempt::Wait => {
                    machine = self.shared.1.wait(machine).expect("loom does not poison");
                }
            }
        }
    }

    fn stable(&self, loc: Loc) -> u64 {
        self.boot.word(loc)
    }

    // Needed by checks that these programs do not fail; it would be one more scheduling point.
    fn event(&self, _: Event) {}
}

struct Word(AtomicU64);

impl AtomicWord for Word {
    fn get(&self) -> u64 {
        self.0.load(SeqCst)
    }
    fn add(&self, delta: u64) -> u64 {
        self.0.fetch_add(delta, SeqCst)
    }
    fn exchange(&self, old: u64, new: u64) -> bool {
        self.0.compare_exchange(old, new, SeqCst, SeqCst).is_ok()
    }
}

/// The kernel's memory, what is pending on each CPU, who is through.
struct Words {
    /// By [`Loc::index`]; only what the machine has.
    words: Vec<Option<Word>>,
    pending: Vec<AtomicU64>,
    finished: AtomicU64,
}

impl Words {
    fn new(boot: &SimState) -> Self {
        let there = |loc: Loc| match loc {
            Loc::PgdLock | Loc::InitEntry | Loc::ListNext(Node::Head) => true,
            Loc::Request(cpu) | Loc::Acks(cpu) => cpu.0 < boot.env.cpus,
            Loc::KernelEntry(mm)
            | Loc::Pinned(mm)
            | Loc::UserEntry(mm, _)
            | Loc::PageTableLock(mm)
            | Loc::Cpumask(mm)
            | Loc::FlushPending(mm)
            | Loc::ListNext(Node::Page(mm)) => mm.0 < boot.env.mms,
            Loc::FrameRefs(frame) => frame.0 < 2 * boot.env.mms,
            _ => false,
        };
        let word = |loc| there(loc).then(|| Word(AtomicU64::new(boot.word(loc))));
        Self {
            words: Loc::all().map(word).collect(),
            pending: boot.cpu_ids().map(|_| AtomicU64::new(0)).collect(),
            finished: AtomicU64::new(0),
        }
    }

    fn at(&self, loc: Loc) -> &Word {
        let word = self.words[loc.index()].as_ref();
        word.unwrap_or_else(|| panic!("these programs do not touch {loc:?}"))
    }
}

struct Spinning {
    cpu: CpuId,
    code: Axes,
    words: Arc<Words>,
    /// What is private to the CPU: its interrupt flag, its TLB, what it has loaded.
    own: RefCell<SimState>,
    /// Its place in the only queue it can stand in.
    ticket: Cell<Ticket>,
}

impl Spinning {
    /// Takes what is pending, if it may.
    fn poll(&self) {
        let own = self.own.borrow().cpus[self.cpu.index()];
        if !own.irqs_on || own.in_irq.is_some() {
            return;
        }
        let pending = self.words.pending[self.cpu.index()].swap(0, SeqCst);
        for from in (0..64).filter(|from| pending >> from & 1 == 1) {
            let vector = Vector::FlushTlb(CpuId(from));
            self.own.borrow_mut().enter_interrupt(self.cpu, vector);
            self.interrupt(vector);
        }
    }

    fn spin_until(&self, done: impl Fn() -> bool) -> u64 {
        while !done() {
            thread::yield_now();
            self.poll();
        }
        0
    }
}

impl Runs for Spinning {
    fn cpu(&self) -> CpuId {
        self.cpu
    }
    fn code(&self) -> Axes {
        self.code
    }
    fn boot(&self) -> SimState {
        *self.own.borrow()
    }
    fn finish(&self) {
        let all = u64::from(self.own.borrow().env.cpus);
        self.words.finished.fetch_add(1, SeqCst);
        self.spin_until(|| self.words.finished.load(SeqCst) == all);
    }
}

impl Port for Spinning {
    fn call(&self, op: Op) -> u64 {
        if std::thread::panicking() {
            return 0;
        }
        if !op.is_local() {
            self.poll();
        }
        match op {
            Op::Load(loc) => self.words.at(loc).get(),
            Op::Store(loc, value) => {
                self.words.at(loc).0.store(value, SeqCst);
                0
            }
            Op::FetchOr(loc, bits) => self.words.at(loc).0.fetch_or(bits, SeqCst),
            Op::FetchAnd(loc, bits) => self.words.at(loc).0.fetch_and(bits, SeqCst),
            Op::FetchAdd(loc, delta) => self.words.at(loc).add(delta),
            Op::TicketDraw(loc) => match ticket::draw(self.words.at(loc)) {
                Draw::Served => 0,
                Draw::Behind(mine) => {
                    self.ticket.set(mine);
                    1
                }
            },
            Op::TicketWait(loc) => {
                self.spin_until(|| ticket::is_served(self.words.at(loc), self.ticket.get()))
            }
            Op::TicketRelease(loc) => {
                ticket::release(self.words.at(loc));
                0
            }
            Op::AwaitZero(loc) => self.spin_until(|| self.words.at(loc).get() == 0),
            Op::SendIpi(to) => self.words.pending[to.index()].fetch_or(1 << self.cpu.0, SeqCst),
            Op::Iret | Op::IrqSave | Op::IrqRestore(_) | Op::TlbState | Op::FlushTlb(_) => {
                self.own.borrow_mut().apply(self.cpu, op)
            }
            Op::End(_) => 0,
            _ => panic!("these programs do not do {op:?}"),
        }
    }

    fn stable(&self, loc: Loc) -> u64 {
        self.own.borrow().word(loc)
    }

    fn event(&self, _: Event) {}
}
