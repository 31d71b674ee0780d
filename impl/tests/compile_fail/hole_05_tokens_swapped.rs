//! Hole 5: the tokens of two CPUs swapped. Each entry has a brand of its own.
use shootdown_impl::cpu::{Cpu, Task};
use shootdown_impl::machine::Machine;

fn swapped<M: Machine>(a: &mut Cpu<'_, M, Task>, b: &mut Cpu<'_, M, Task>) {
    core::mem::swap(a, b);
}

fn swapped_at_boot<M: Machine>(m: &M) {
    Cpu::boot(m, |a| {
        a.with_irqs_off(|inner| {
            core::mem::swap(inner, a);
        });
    });
}

fn main() {}
