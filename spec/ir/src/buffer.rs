//! The store buffer of a CPU: a queue of stores on their way to memory, over the cells of a system.
//!
//! Whoever makes a system one with store buffers says which stores go in ([`Buffer::push`]) and which steps wait until it is
//! empty ([`Buffer::empty`]); reads go [`through`](Buffer::through) it, and the oldest store reaches memory by
//! [`Buffer::drained`]. (Owens, Sarkar, Sewell: A better x86 memory model: x86-TSO, 2009.)

use crate::expr::Binary;
use crate::system::{Assign, Cell, CellId, CellRef, Overflow, Part, System, X};
use std::collections::{BTreeMap, BTreeSet};

/// Entries of a buffer; real ones have dozens. A CPU that would need more stores on their way at once waits for the
/// oldest: what comes out only then is not seen.
pub const ENTRIES: usize = 4;

/// A store of constants to the cells of one word of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The number of an entry for it.
    pub number: i64,
    /// What it stores where.
    pub cells: Vec<(CellId, i64)>,
}

/// The buffer of a CPU.
#[derive(Clone, Debug, Default)]
pub struct Buffer {
    /// By entry, oldest first: which store (0: none), and the value.
    pub entries: Vec<(CellId, CellId)>,
    /// Where a store is while it is put there; 0 between steps.
    aside: Option<(CellId, CellId)>,
    /// Numbers of stores to one cell; arrays are numbered in a row.
    pub numbers: BTreeMap<CellId, i64>,
    /// Cells that this CPU buffers one by one.
    pub stores: BTreeSet<CellId>,
    /// Stores of constants.
    pub words: Vec<Word>,
}

impl Buffer {
    /// Gives it cells: `numbers` is the greatest number of a store, `values` what a store's value can be.
    pub fn allocate(
        &mut self,
        system: &mut System,
        cpu: usize,
        numbers: i64,
        (lo, hi): (i64, i64),
    ) {
        let mut cell = |name: String, lo, hi| {
            let id = CellId(system.cells.len() as u32);
            system.cells.push(Cell {
                name,
                lo,
                hi,
                init: 0,
                part: Part::Cpu(cpu as u32),
                overflow: Overflow::Balance,
            });
            id
        };
        let mut pair = |name: String| {
            let what = cell(format!("store_{name}"), 0, numbers);
            (what, cell(format!("stored_{name}"), lo, hi))
        };
        self.entries = (0..ENTRIES).map(|k| pair(format!("{cpu}_{k}"))).collect();
        self.aside = Some(pair(format!("{cpu}_aside")));
    }

    /// Every store has reached memory.
    pub fn empty(&self) -> X {
        match self.entries.first() {
            Some((what, _)) => what.get().is(0),
            None => X::TRUE,
        }
    }

    /// One more fits.
    pub fn room(&self) -> X {
        self.room_for(1)
    }

    /// So many more fit.
    pub fn room_for(&self, stores: usize) -> X {
        match self.entries.len().checked_sub(stores) {
            _ if self.entries.is_empty() => X::TRUE,
            Some(at) => self.entries[at].0.get().is(0),
            None => X::FALSE,
        }
    }

    /// Is a store with one of these numbers on its way?
    pub fn holds_any(&self, numbers: &[i64]) -> X {
        X::any(self.entries.iter().flat_map(|(what, _)| {
            numbers
                .iter()
                .map(|&n| what.get().is(n))
                .collect::<Vec<_>>()
        }))
    }

    /// Puts a store into the first free entry, unless the number is 0. Both are kept aside first, so that no expression reads
    /// what the same step has changed: exporters put one into the other. From the last entry to the first, so that
    /// only one of them is free.
    pub fn push(&self, number: X, value: X) -> Vec<Assign> {
        let Some((what, val)) = self.aside else {
            return Vec::new();
        };
        let mut assigns = vec![what.set(number), val.set(value)];
        for (k, entry) in self.entries.iter().enumerate().rev() {
            let mut free = what.get().is_not(0).and(entry.0.get().is(0));
            if k > 0 {
                free = free.and(self.entries[k - 1].0.get().is_not(0));
            }
            assigns.push(entry.1.set(val.get()).when(free.clone()));
            assigns.push(entry.0.set(what.get()).when(free));
        }
        assigns.extend([what.set(X::FALSE), val.set(X::FALSE)]);
        assigns
    }

    /// The number of a cell of a row.
    pub fn number(&self, row: &CellRef) -> Option<X> {
        let base = *self.numbers.get(&row.base)?;
        Some(match &row.index {
            None => X::Const(base),
            Some(index) => X::Const(base).op(Binary::Add, (**index).clone()),
        })
    }

    /// What this CPU reads there.
    fn read(&self, row: CellRef) -> X {
        if row.index.is_none() && self.words.iter().any(|w| w.of(row.base).is_some()) {
            return self.read_words(row.base);
        }
        if !row.cells().any(|cell| self.stores.contains(&cell)) {
            return row.get();
        }
        let Some(number) = self.number(&row) else {
            return row.get();
        };
        let inside = match &row.index {
            None => X::TRUE,
            Some(index) => (**index).clone().op(Binary::Ge, X::FALSE).and(
                (**index)
                    .clone()
                    .op(Binary::Lt, X::Const(i64::from(row.len))),
            ),
        };
        // The newest entry is looked at first.
        self.entries.iter().fold(row.get(), |older, (what, value)| {
            let here = what
                .get()
                .op(Binary::Eq, number.clone())
                .and(inside.clone());
            here.choose(value.get(), older)
        })
    }

    /// The same, of a cell that words are stored over.
    fn read_words(&self, cell: CellId) -> X {
        let number = self.stores.contains(&cell).then(|| self.numbers[&cell]);
        self.entries
            .iter()
            .fold(cell.get(), |older, (what, value)| {
                let mut seen = older;
                for word in &self.words {
                    if let Some(stored) = word.of(cell) {
                        seen = what.get().is(word.number).choose(X::Const(stored), seen);
                    }
                }
                match number {
                    Some(number) => what.get().is(number).choose(value.get(), seen),
                    None => seen,
                }
            })
    }

    /// An expression as this CPU reads it.
    pub fn through(&self, x: &X) -> X {
        match x {
            X::Const(_) => x.clone(),
            X::Cell(row) => self.read(self.row_through(row)),
            X::Unary(op, a) => X::Unary(*op, Box::new(self.through(a))),
            X::Binary(op, a, b) => {
                X::Binary(*op, Box::new(self.through(a)), Box::new(self.through(b)))
            }
            X::If(c, a, b) => X::If(
                Box::new(self.through(c)),
                Box::new(self.through(a)),
                Box::new(self.through(b)),
            ),
        }
    }

    /// A place as this CPU reads its index.
    pub fn row_through(&self, row: &CellRef) -> CellRef {
        CellRef {
            index: row.index.as_ref().map(|i| Box::new(self.through(i))),
            ..row.clone()
        }
    }

    /// What the step does in which the oldest entry reaches memory: `more` for entries that are neither cells nor words,
    /// given the entry's number and value, and then the others move up.
    pub fn drained(&self, more: impl FnOnce(CellId, CellId) -> Vec<Assign>) -> Vec<Assign> {
        let Some(&(first, value)) = self.entries.first() else {
            return Vec::new();
        };
        let mut assigns = Vec::new();
        for cell in &self.stores {
            let this = first.get().is(self.numbers[cell]);
            assigns.push(cell.set(value.get()).when(this));
        }
        for word in &self.words {
            let this = first.get().is(word.number);
            let cells = word.cells.iter();
            assigns
                .extend(cells.map(|&(cell, stored)| cell.set(X::Const(stored)).when(this.clone())));
        }
        assigns.extend(more(first, value));
        for pair in self.entries.windows(2) {
            assigns.push(pair[0].0.set(pair[1].0.get()));
            assigns.push(pair[0].1.set(pair[1].1.get()));
        }
        if let Some(last) = self.entries.last() {
            assigns.push(last.0.set(X::FALSE));
            assigns.push(last.1.set(X::FALSE));
        }
        assigns
    }
}

impl Word {
    /// What it stores there.
    pub fn of(&self, cell: CellId) -> Option<i64> {
        self.cells.iter().find(|(c, _)| *c == cell).map(|(_, v)| *v)
    }
}
