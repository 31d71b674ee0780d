//! Interrupts as signals: installing the handler, sending, deferring, and running what is pending.
//!
//! The handler touches only atomics, a const-initialised thread-local without a destructor, and kernel code, which
//! does not allocate. Only when the machine is being taken down does a handler unwind (to its own entry): then the
//! context below it is kernel code as well, which is never inside the allocator.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::compiler_fence;
use std::thread_local;
use std::time::Duration;

use crate::host::line::{self, Line, Post};
use crate::host::shared::{Host, PerCpu};
use crate::id::{CpuId, MmId, NR_CPUS};
use crate::irq::Vector;

/// How interrupts are turned off.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, Debug, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum IrqMode {
    /// A flag that the handler looks at: about 2 ns a pair.
    #[default]
    Soft,
    /// The signal mask: about 300 ns a pair, and the operating system's word for it.
    SignalMask,
}

/// A CPU that can serve its interrupts.
pub trait OnCpu {
    /// The machine.
    fn host(&self) -> &Host;
    /// Which CPU.
    fn id(&self) -> CpuId;
    /// Runs the handler of one interrupt.
    fn serve(&self, vector: Vector);
}

/// What the signal handler finds of the CPU whose thread it hit.
#[derive(Clone, Copy)]
struct Current {
    cpu: *const (),
    // SAFETY contract: `cpu` must be the pointer stored beside it.
    run: unsafe fn(*const ()),
}

thread_local! {
    static CURRENT: Cell<Current> = const { Cell::new(Current { cpu: ptr::null(), run: nothing }) };
}

unsafe fn nothing(_: *const ()) {}

/// The signal that is the interrupt line.
fn signal() -> libc::c_int {
    libc::SIGRTMIN()
}

extern "C" fn on_signal(_: libc::c_int) {
    let Current { cpu, run } = CURRENT.with(Cell::get);
    if !cpu.is_null() {
        // SAFETY: `enter` stored the two together, and `cpu` outlives its `Entered`, which takes them out again.
        unsafe { run(cpu) };
    }
}

fn change_mask(how: libc::c_int) -> libc::sigset_t {
    // SAFETY: both sets are ours, and valid for as long as the calls take; an all-zero sigset_t may be overwritten.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        let mut old: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, signal());
        libc::pthread_sigmask(how, &set, &mut old);
        old
    }
}

/// Blocks the interrupt signal in this thread until dropped; threads it spawns inherit that.
pub(super) struct SignalBlocked(libc::sigset_t);

impl SignalBlocked {
    pub fn new() -> Result<Self, std::string::String> {
        static INSTALLED: OnceLock<bool> = OnceLock::new();
        let old = change_mask(libc::SIG_BLOCK);
        let installed = *INSTALLED.get_or_init(|| {
            // SAFETY: the structure is fully initialised, and the handler is async-signal-safe (see the module).
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = on_signal as extern "C" fn(libc::c_int) as usize;
                action.sa_flags = libc::SA_RESTART;
                libc::sigemptyset(&mut action.sa_mask);
                libc::sigaction(signal(), &action, ptr::null_mut()) == 0
            }
        });
        if installed {
            Ok(Self(old))
        } else {
            Err("cannot install the interrupt signal's handler".into())
        }
    }
}

impl Drop for SignalBlocked {
    fn drop(&mut self) {
        // SAFETY: the set came from pthread_sigmask.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, ptr::null_mut()) };
    }
}

/// This thread is a CPU, and takes interrupts, until dropped.
pub(super) struct Entered<'a, T: OnCpu>(std::marker::PhantomData<&'a T>);

impl<'a, T: OnCpu> Entered<'a, T> {
    pub fn new(cpu: &'a T) -> Self {
        unsafe fn run<T: OnCpu>(cpu: *const ()) {
            // SAFETY: `Entered` borrows the CPU for as long as the pointer is there.
            line::on_signal(&Wire(unsafe { &*cpu.cast::<T>() }));
        }
        // SAFETY: always succeeds.
        let me = unsafe { libc::pthread_self() };
        per_cpu(cpu).pthread.store(me as u64, SeqCst);
        CURRENT.with(|c| {
            c.set(Current {
                cpu: ptr::from_ref(cpu).cast(),
                run: run::<T>,
            })
        });
        compiler_fence(SeqCst);
        change_mask(libc::SIG_UNBLOCK);
        Self(std::marker::PhantomData)
    }
}

impl<T: OnCpu> Drop for Entered<'_, T> {
    fn drop(&mut self) {
        change_mask(libc::SIG_BLOCK);
        CURRENT.with(|c| {
            c.set(Current {
                cpu: ptr::null(),
                run: nothing,
            })
        });
    }
}

fn per_cpu<T: OnCpu>(cpu: &T) -> &PerCpu {
    &cpu.host().cpus[cpu.id().index()]
}

/// The words of a CPU's line.
struct Wire<'a, T>(&'a T);

impl<T: OnCpu> Wire<'_, T> {
    #[inline]
    fn me(&self) -> &PerCpu {
        per_cpu(self.0)
    }
}

impl<T: OnCpu> Line for Wire<'_, T> {
    #[inline]
    fn irqs_off(&self) -> bool {
        self.me().irqs_off.load(Relaxed)
    }
    #[inline]
    fn set_irqs_off(&self, off: bool) {
        self.me().irqs_off.store(off, Relaxed);
    }
    #[inline]
    fn in_hardware(&self) -> bool {
        self.me().in_hardware.load(Relaxed)
    }
    #[inline]
    fn set_in_hardware(&self, inside: bool) {
        let order = if inside { SeqCst } else { Release };
        self.me().in_hardware.store(inside, order);
    }
    #[inline]
    fn deferred(&self) -> bool {
        self.me().deferred.load(Relaxed)
    }
    #[inline]
    fn set_deferred(&self, deferred: bool) {
        self.me().deferred.store(deferred, Relaxed);
    }
    fn posted(&self) -> u32 {
        self.me().inbox.load(Acquire)
    }
    fn take(&self, bit: u32) {
        self.me().inbox.fetch_and(!(1 << bit), SeqCst);
    }
    #[inline]
    fn fence(&self) {
        compiler_fence(SeqCst);
    }
    fn aborted(&self) -> bool {
        self.0.host().aborted()
    }
    fn serve(&self, bit: u32) {
        let me = self.me();
        me.in_irq.store(bit as u8 + 1, Relaxed);
        // Unwinding means that the machine is being taken down; it must end here, above the signal frame.
        let _ = catch_unwind(AssertUnwindSafe(|| self.0.serve(vector(bit))));
        me.in_irq.store(0, Relaxed);
        me.ticks.fetch_add(1, Relaxed);
    }
}

/// A sender's side of a CPU's line.
struct Target<'a> {
    host: &'a Host,
    cpu: &'a PerCpu,
}

impl Post for Target<'_> {
    fn post(&self, bit: u32) -> u32 {
        self.cpu.inbox.fetch_or(1 << bit, SeqCst)
    }
    fn signal(&self) {
        let thread = self.cpu.pthread.load(SeqCst) as libc::pthread_t;
        // SAFETY: CPUs' threads are joined only after the last of them has stopped sending.
        while unsafe { libc::pthread_kill(thread, signal()) } == libc::EAGAIN
            && !self.host.aborted()
        {
            std::thread::yield_now();
        }
    }
}

/// The interrupt behind a bit of the inbox.
pub(super) fn vector(bit: u32) -> Vector {
    if (bit as usize) < NR_CPUS {
        Vector::FlushTlb(CpuId(bit as u8))
    } else {
        Vector::PgdFree(MmId(bit as u8 - NR_CPUS as u8))
    }
}

impl Host {
    /// The processor time that a CPU's thread has used; zero before it is one. Only while the threads are not joined.
    pub(super) fn ran(&self, cpu: CpuId) -> Duration {
        let thread = self.cpus[cpu.index()].pthread.load(SeqCst) as libc::pthread_t;
        if thread == 0 {
            return Duration::ZERO;
        }
        // SAFETY: the thread is not joined yet, so its handle is valid; both out-pointers are to our own variables.
        unsafe {
            let mut clock: libc::clockid_t = 0;
            let mut time: libc::timespec = std::mem::zeroed();
            if libc::pthread_getcpuclockid(thread, &mut clock) != 0
                || libc::clock_gettime(clock, &mut time) != 0
            {
                return Duration::ZERO;
            }
            Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
        }
    }

    /// Makes an interrupt pending on a CPU, on behalf of the vector's sender.
    pub fn raise(&self, to: CpuId, vector: Vector) {
        let bit = match vector {
            Vector::FlushTlb(from) => from.index(),
            Vector::PgdFree(mm) => NR_CPUS + mm.index(),
        };
        let cpu = &self.cpus[to.index()];
        line::raise(&Target { host: self, cpu }, bit as u32);
    }
}

/// `cli`: whether interrupts were on.
#[inline]
pub(super) fn disable<T: OnCpu>(cpu: &T) -> bool {
    line::disable(&Wire(cpu), || {
        if cpu.host().mode == IrqMode::SignalMask {
            change_mask(libc::SIG_BLOCK);
        }
    })
}

/// `sti`: serves what has become pending meanwhile.
#[inline]
pub(super) fn enable<T: OnCpu>(cpu: &T) {
    line::open(&Wire(cpu));
    if cpu.host().mode == IrqMode::SignalMask {
        change_mask(libc::SIG_UNBLOCK);
    }
}

/// Something the hardware does in one go: no interrupt in the middle of it.
#[inline]
pub(super) fn uninterrupted<T: OnCpu, R>(cpu: &T, action: impl FnOnce() -> R) -> R {
    line::uninterrupted(&Wire(cpu), action)
}
