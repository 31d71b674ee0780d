//! The dynamic programme behind "fewest context switches".
//!
//! The cost of going on from a state depends on who moved last, so the programme runs over (state, last mover).
//! The paths of minimal length to a state all come from the level before, so once that level is expanded the
//! programme's answer for the state is final: no second search is needed.
//!
//! Only the cheapest last movers of a state are kept. One that is dearer by a switch can be dropped without
//! losing an optimum: a run that continues it without a switch can be continued from a cheapest one with exactly one.
//! So a state has one switch count, a set of last movers that achieve it, and for each of them one *arrival*: where
//! it came from and by which action.

/// An action as it is kept: its index in `actions()` and its mover.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step(u32);

const INDEX_BITS: u32 = 27;
const MOVER_SHIFT: u32 = INDEX_BITS;
const ENVIRONMENT: u32 = 0xf;

impl Step {
    /// # Panics
    /// When an action index does not fit 27 bits or the mover is out of range.
    #[inline]
    pub(super) fn new(index: usize, mover: Option<usize>) -> Step {
        assert!(
            index < 1 << INDEX_BITS,
            "more than {} actions in one state",
            1 << INDEX_BITS
        );
        let mover = match mover {
            None => ENVIRONMENT,
            Some(m) => {
                assert!(
                    m < super::MAX_MOVERS,
                    "mover {m} of an action is out of range"
                );
                m as u32
            }
        };
        Step(index as u32 | mover << MOVER_SHIFT)
    }

    #[inline]
    pub(super) fn index(self) -> u32 {
        self.0 & ((1 << INDEX_BITS) - 1)
    }

    #[inline]
    fn mover(self) -> Option<u32> {
        let mover = self.0 >> MOVER_SHIFT & 0xf;
        (mover != ENVIRONMENT).then_some(mover)
    }
}

/// The last movers of a state: bit `m` for mover `m`, [`NOBODY`] when only the environment has moved.
pub(super) type Movers = u16;

/// Nobody has moved yet.
pub(super) const NOBODY: Movers = 1 << super::MAX_MOVERS;

/// How the search got to a state of the level being expanded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) switches: u32,
    /// The number within the level of the arrival of the lowest last mover; those of the others follow in order.
    pub(super) first: u32,
    pub(super) movers: Movers,
}

impl Origin {
    /// What initial states come from.
    pub(super) const START: Origin = Origin {
        switches: 0,
        first: 0,
        movers: NOBODY,
    };

    /// The cheapest way on by a step: its switches, its last mover (of several the lowest), the arrival it continues.
    #[inline]
    fn onward(&self, step: Step) -> (u32, Movers, u32) {
        let Some(mover) = step.mover() else {
            // Hardware: the CPU that moved last is still the last.
            let lowest = self.movers & self.movers.wrapping_neg();
            return (self.switches, lowest, self.first);
        };
        let bit = 1 << mover;
        let unswitched = self.movers & (bit | NOBODY);
        if unswitched != 0 {
            let last = unswitched & unswitched.wrapping_neg();
            (self.switches, bit, self.arrival(last))
        } else {
            (self.switches + 1, bit, self.first)
        }
    }

    /// The arrival of last mover `bit`.
    #[inline]
    fn arrival(&self, bit: Movers) -> u32 {
        self.first + (self.movers & (bit - 1)).count_ones()
    }
}

/// One kept way to a state: 8 bytes, all that a counterexample costs per state and cheapest last mover.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    /// Its predecessor: an arrival of the level before.
    pub(super) from: u32,
    /// The action's index; the top bit is set on the first arrival of every state.
    step: u32,
}

impl Arrival {
    const FIRST: u32 = 1 << 31;

    pub(super) fn action(self) -> u32 {
        self.step & !Self::FIRST
    }

    pub(super) fn is_first(self) -> bool {
        self.step & Self::FIRST != 0
    }
}

/// The best ways found so far to a state of the level being built.
#[derive(Clone, Copy, Debug)]
pub(super) struct Best {
    pub(super) switches: u32,
    pub(super) movers: Movers,
    /// The last mover (as a bit) of the arrival kept here; nearly all states need no other.
    mover: Movers,
    from: u32,
    action: u32,
    /// The others: a list in [`Spill`].
    more: u32,
}

/// Arrivals that did not fit their [`Best`].
pub(super) type Spill = Vec<Spilled>;

#[derive(Clone, Copy, Debug)]
pub(super) struct Spilled {
    mover: Movers,
    from: u32,
    action: u32,
    more: u32,
}

const END: u32 = u32::MAX;

impl Best {
    /// No way found yet.
    pub(super) const NONE: Best = Best {
        switches: u32::MAX,
        movers: 0,
        mover: 0,
        from: 0,
        action: 0,
        more: END,
    };

    /// The ways there by one transition from the level before.
    #[inline]
    pub(super) fn new(spill: &mut Spill, origin: &Origin, step: Step) -> Best {
        let (switches, mover, from) = origin.onward(step);
        let mut best = Best {
            switches,
            movers: mover,
            mover,
            from,
            action: step.index(),
            more: END,
        };
        if step.mover().is_none() && origin.movers != mover {
            best.offer(spill, origin, step);
        }
        best
    }

    /// Takes another transition into account. Must be called in the search's canonical order: among equals the first
    /// stays.
    #[inline]
    pub(super) fn offer(&mut self, spill: &mut Spill, origin: &Origin, step: Step) {
        let (switches, mover, from) = origin.onward(step);
        self.arrive(spill, switches, mover, from, step.index());
        if step.mover().is_none() {
            let mut movers = origin.movers & !mover;
            let mut from = from;
            while movers != 0 {
                from += 1;
                let bit = movers & movers.wrapping_neg();
                self.arrive(spill, switches, bit, from, step.index());
                movers &= movers - 1;
            }
        }
    }

    #[inline]
    fn arrive(&mut self, spill: &mut Spill, switches: u32, bit: Movers, from: u32, action: u32) {
        if switches < self.switches {
            *self = Best {
                switches,
                movers: bit,
                mover: bit,
                from,
                action,
                more: END,
            };
        } else if switches == self.switches && self.movers & bit == 0 {
            self.movers |= bit;
            spill.push(Spilled {
                mover: bit,
                from,
                action,
                more: self.more,
            });
            self.more = (spill.len() - 1) as u32;
        }
    }

    /// Moves what did not fit to another spill.
    #[inline]
    pub(super) fn move_rest(&mut self, from: &Spill, to: &mut Spill) {
        let mut next = std::mem::replace(&mut self.more, END);
        while next != END {
            let way = from[next as usize];
            to.push(Spilled {
                more: self.more,
                ..way
            });
            self.more = (to.len() - 1) as u32;
            next = way.more;
        }
    }

    /// Takes ways into account that were found after these ones: among equals these stay.
    #[inline]
    pub(super) fn join(&mut self, spill: &mut Spill, later: &Best, laters: &Spill) {
        if later.switches < self.switches {
            *self = *later;
            self.move_rest(laters, spill);
        } else if later.switches == self.switches && later.movers & !self.movers != 0 {
            self.arrive(spill, later.switches, later.mover, later.from, later.action);
            let mut next = later.more;
            while next != END {
                let way = &laters[next as usize];
                self.arrive(spill, later.switches, way.mover, way.from, way.action);
                next = way.more;
            }
        }
    }

    /// Appends the kept arrivals, lowest last mover first.
    #[inline]
    pub(super) fn settle(&self, spill: &Spill, arrivals: &mut Vec<Arrival>) {
        let start = arrivals.len();
        if self.more == END {
            arrivals.push(Arrival {
                from: self.from,
                step: self.action,
            });
        } else {
            let blank = Arrival { from: 0, step: 0 };
            arrivals.resize(start + self.movers.count_ones() as usize, blank);
            let mut put = |mover: Movers, from, step| {
                let rank = (self.movers & (mover - 1)).count_ones() as usize;
                arrivals[start + rank] = Arrival { from, step };
            };
            put(self.mover, self.from, self.action);
            let mut next = self.more;
            while next != END {
                let way = &spill[next as usize];
                put(way.mover, way.from, way.action);
                next = way.more;
            }
        }
        arrivals[start].step |= Arrival::FIRST;
    }
}
