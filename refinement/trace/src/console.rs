//! The console log of a hung machine: what each CPU waits for, and what follows.
