//! States packed into words, and the steps they allow.

use crate::eval::{self, Cells};
use crate::system::{CellId, CellRef, Check, ContextId, Overflow, Step, System, What, X};

/// Where a cell's bits are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    pub(crate) word: u32,
    pub(crate) shift: u32,
    pub(crate) mask: u64,
    pub(crate) lo: i64,
    pub(crate) hi: i64,
}

impl Slot {
    /// The value in a state.
    #[inline]
    pub fn get(&self, words: &[u64]) -> i64 {
        self.raw(words) as i64 + self.lo
    }

    /// The value in a state, counted from the cell's lowest.
    #[inline]
    pub fn raw(&self, words: &[u64]) -> u64 {
        words[self.word as usize] >> self.shift & self.mask
    }

    /// The cell's lowest value.
    pub fn lowest(&self) -> i64 {
        self.lo
    }

    /// Can the cell have this value?
    #[inline]
    pub(crate) fn fits(&self, value: i64) -> bool {
        value >= self.lo && value <= self.hi
    }

    /// Word, mask and bits of a value that fits.
    pub(crate) fn masked(&self, value: i64) -> (u32, u64, u64) {
        let bits = ((value - self.lo) as u64) << self.shift;
        (self.word, self.mask << self.shift, bits)
    }

    /// Writes a value that fits.
    #[inline]
    pub(crate) fn put(&self, words: &mut [u64], value: i64) {
        let word = &mut words[self.word as usize];
        *word = *word & !(self.mask << self.shift) | ((value - self.lo) as u64) << self.shift;
    }
}

/// The bits of some cells, word by word.
#[derive(Clone, Debug, Default)]
pub struct Bits(Box<[(u32, u64)]>);

impl Bits {
    /// The bits of these masks, one a word.
    pub(crate) fn new(masks: Vec<u64>) -> Bits {
        let words = masks.into_iter().enumerate().filter(|(_, mask)| *mask != 0);
        Bits(words.map(|(word, mask)| (word as u32, mask)).collect())
    }

    /// Does one of the cells have another value than its lowest?
    #[inline]
    pub fn any(&self, words: &[u64]) -> bool {
        let mut some = 0;
        for &(word, mask) in &self.0 {
            some |= words[word as usize] & mask;
        }
        some != 0
    }

    /// Words that hold one of them.
    pub fn words(&self) -> usize {
        self.0.len()
    }

    /// The values of all, in [`Bits::words`] words.
    #[inline]
    pub fn of<'b>(&'b self, words: &'b [u64]) -> impl Iterator<Item = u64> + use<'b> {
        self.0
            .iter()
            .map(|&(word, mask)| words[word as usize] & mask)
    }
}

/// A system, ready to run.
#[derive(Debug)]
pub struct Machine<'a> {
    system: &'a System,
    slots: Vec<Slot>,
    words: usize,
    bits: u32,
}

/// Why a step has no successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A value does not fit the cell.
    Overflow(CellId),
    /// An expression has no value: a division by 0, an index or a shift out of range.
    NoValue,
}

/// What a state lets happen.
#[derive(Clone, Debug, Default)]
pub struct Moves {
    /// Successor states, [`Machine::words`] words each.
    pub states: Vec<u64>,
    /// The steps to them.
    pub steps: Vec<u32>,
    /// Steps that cannot be carried out.
    pub faults: Vec<(u32, Fault)>,
    /// Checks that fail: which, and at whose place.
    pub failed: Vec<(Check, ContextId)>,
}

impl Moves {
    fn clear(&mut self) {
        self.states.clear();
        self.steps.clear();
        self.faults.clear();
        self.failed.clear();
    }
}

/// A state, to be read cell by cell.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    machine: &'a Machine<'a>,
    words: &'a [u64],
}

impl Cells for View<'_> {
    fn cell(&self, cell: CellId) -> i64 {
        self.machine.get(self.words, cell)
    }
}

impl View<'_> {
    /// The value of an expression; `None` where it has none.
    pub fn value(&self, x: &X) -> Option<i64> {
        eval::value(x, self, self.machine.system.cpus)
    }

    /// Does the expression have a value other than 0?
    pub fn is(&self, x: &X) -> bool {
        self.value(x).is_some_and(|v| v != 0)
    }

    /// The place of a context; 0 if it does not run.
    pub fn place(&self, context: ContextId) -> u32 {
        let cell = self.machine.system.contexts[context.index()].place;
        self.cell(cell) as u32
    }
}

impl<'a> Machine<'a> {
    /// Lays out the system's cells. No cell crosses a word.
    pub fn new(system: &'a System) -> Machine<'a> {
        let (mut word, mut shift, mut bits) = (0, 0, 0);
        let slots = system
            .cells
            .iter()
            .map(|cell| {
                let span = cell.hi.abs_diff(cell.lo);
                let width = u64::BITS - span.leading_zeros();
                bits += width;
                if shift + width > u64::BITS {
                    word += 1;
                    shift = 0;
                }
                let slot = Slot {
                    word,
                    shift: if width == 0 { 0 } else { shift },
                    mask: if width == 0 {
                        0
                    } else {
                        u64::MAX >> (u64::BITS - width)
                    },
                    lo: cell.lo,
                    hi: cell.hi,
                };
                shift += width;
                slot
            })
            .collect();
        Machine {
            system,
            slots,
            words: word as usize + 1,
            bits,
        }
    }

    /// The system.
    pub fn system(&self) -> &'a System {
        self.system
    }

    /// Words of a state.
    pub fn words(&self) -> usize {
        self.words
    }

    /// Bits of a state.
    pub fn state_bits(&self) -> u32 {
        self.bits
    }

    /// The state to read.
    pub fn view<'b>(&'b self, words: &'b [u64]) -> View<'b> {
        View {
            machine: self,
            words,
        }
    }

    /// Where the bits of cells are.
    pub fn bits(&self, cells: impl IntoIterator<Item = CellId>) -> Bits {
        let mut masks = vec![0; self.words];
        for cell in cells {
            let slot = self.slot(cell);
            masks[slot.word as usize] |= slot.mask << slot.shift;
        }
        Bits::new(masks)
    }

    /// Where a cell's bits are.
    pub fn slot(&self, cell: CellId) -> Slot {
        self.slots[cell.0 as usize]
    }

    #[inline]
    fn get(&self, words: &[u64], cell: CellId) -> i64 {
        self.slot(cell).get(words)
    }

    #[inline]
    fn put(&self, words: &mut [u64], cell: CellId, value: i64) -> Result<(), Fault> {
        let slot = self.slot(cell);
        if value < slot.lo || value > slot.hi {
            return Err(Fault::Overflow(cell));
        }
        slot.put(words, value);
        Ok(())
    }

    /// The states it can start in.
    pub fn initial(&self) -> Vec<Vec<u64>> {
        let mut words = vec![0; self.words];
        for (i, cell) in self.system.cells.iter().enumerate() {
            self.start_with(&mut words, CellId(i as u32), cell.init);
        }
        if self.system.starts.is_empty() {
            return vec![words];
        }
        self.system
            .starts
            .iter()
            .map(|values| {
                let mut start = words.clone();
                for &(cell, value) in values {
                    self.start_with(&mut start, cell, value);
                }
                start
            })
            .collect()
    }

    /// An initial value out of its range is the nearest in range; front ends refuse it.
    fn start_with(&self, words: &mut [u64], cell: CellId, value: i64) {
        let decl = &self.system.cells[cell.0 as usize];
        let fits = self.put(words, cell, value.clamp(decl.lo, decl.hi));
        debug_assert!(fits.is_ok(), "it was clamped");
    }

    fn cell_of(&self, words: &[u64], r: &CellRef) -> Option<CellId> {
        let Some(index) = &r.index else {
            return Some(r.base);
        };
        let i = self.view(words).value(index)?;
        let i = u32::try_from(i).ok().filter(|&i| i < r.len)?;
        Some(CellId(r.base.0 + i))
    }

    /// Carries out a step's assignments on `words`.
    ///
    /// # Errors
    /// Where a value does not fit or does not exist; `words` is then of no use.
    pub fn apply(&self, words: &mut [u64], step: &Step) -> Result<(), Fault> {
        for assign in &step.assigns {
            if let Some(when) = &assign.when {
                match self.view(words).value(when) {
                    Some(0) => continue,
                    Some(_) => {}
                    None => return Err(Fault::NoValue),
                }
            }
            let value = self
                .view(words)
                .value(&assign.value)
                .ok_or(Fault::NoValue)?;
            let cell = self.cell_of(words, &assign.to).ok_or(Fault::NoValue)?;
            self.put(words, cell, value)?;
        }
        Ok(())
    }

    /// Everything the state lets happen.
    pub fn moves(&self, words: &[u64], moves: &mut Moves) {
        moves.clear();
        let view = self.view(words);
        for (c, context) in self.system.contexts.iter().enumerate() {
            let place = view.cell(context.place) as usize;
            let steps = &context.steps[place];
            if steps.is_empty() {
                continue;
            }
            let executes = match place {
                0 => &context.arrives,
                _ => &context.executes,
            };
            if !view.is(executes) {
                continue;
            }
            for &number in steps {
                let step = &self.system.steps[number as usize];
                for (check, holds) in &step.checks {
                    if view.value(holds) == Some(0) {
                        moves.failed.push((*check, ContextId(c as u32)));
                    }
                }
                match view.value(&step.ready) {
                    Some(0) => continue,
                    Some(_) => {}
                    None => {
                        moves.faults.push((number, Fault::NoValue));
                        continue;
                    }
                }
                let start = moves.states.len();
                moves.states.extend_from_slice(words);
                match self.apply(&mut moves.states[start..], step) {
                    Ok(()) => moves.steps.push(number),
                    Err(fault) => {
                        moves.states.truncate(start);
                        moves.faults.push((number, fault));
                    }
                }
            }
        }
    }

    /// The state after the only step that the context can take; `None` where it can take none or several, or cannot carry it
    /// out.
    pub fn only(&self, context: usize, words: &[u64]) -> Option<Vec<u64>> {
        let view = self.view(words);
        let it = &self.system.contexts[context];
        let place = view.cell(it.place) as usize;
        let gate = match place {
            0 => &it.arrives,
            _ => &it.executes,
        };
        if !view.is(gate) {
            return None;
        }
        let mut found = None;
        for &number in &it.steps[place] {
            let step = &self.system.steps[number as usize];
            match view.value(&step.ready) {
                Some(0) => {}
                Some(_) if found.is_none() => found = Some(step),
                _ => return None,
            }
        }
        let mut next = words.to_vec();
        self.apply(&mut next, found?).ok()?;
        Some(next)
    }

    /// The check that a fault breaks; `None` if a variable without a declared range grows out of its cell.
    pub fn fault_check(&self, fault: Fault) -> Option<Check> {
        match fault {
            Fault::NoValue => Some(Check::Range),
            Fault::Overflow(cell) => match self.system.cells[cell.0 as usize].overflow {
                Overflow::Range => Some(Check::Range),
                Overflow::Balance => Some(Check::Balance),
                Overflow::Grows => None,
            },
        }
    }

    /// The contexts that run or are pending: they are owed an end.
    pub fn active(&self, words: &[u64]) -> u64 {
        let view = self.view(words);
        let mut set = 0;
        for (c, context) in self.system.contexts.iter().enumerate() {
            if view.cell(context.place) != 0 || view.is(&context.pending) {
                set |= 1 << c;
            }
        }
        set
    }

    /// Does this step end a program?
    pub fn ends(&self, step: u32) -> bool {
        self.system.steps[step as usize].what == What::End
    }
}
