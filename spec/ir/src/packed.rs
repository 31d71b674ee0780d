//! Steps compiled to operations on words: what the engine runs.
//!
//! The same meaning as [`Machine`], which evaluates expressions cell by cell. Here a comparison of a
//! cell with a constant is a mask and a compare, assignments of constants to one word are one masked store, and the place of
//! the step's own context is known while it is compiled. Tests hold the two to the same successors.

use crate::eval;
use crate::expr::{Binary, Unary};
use crate::machine::{Machine, Slot};
use crate::system::{Assign, CellId, CellRef, ContextId, X};

/// A value or a condition over words.
#[derive(Clone, Debug)]
enum Node {
    Const(i64),
    /// `word & mask == value`
    Is(u32, u64, u64),
    /// `word & mask != value`
    IsNot(u32, u64, u64),
    Cell(Slot),
    /// One of a row.
    Row(Box<[Slot]>, Box<Node>),
    /// One of a row of constants.
    Table(Box<[i64]>, Box<Node>),
    All(Box<[Node]>),
    Any(Box<[Node]>),
    Not(Box<Node>),
    Unary(Unary, Box<Node>),
    Binary(Binary, Box<(Node, Node)>),
    If(Box<(Node, Node, Node)>),
}

/// Part of a step's effect.
#[derive(Clone, Debug)]
enum Act {
    /// `word = word & keep | bits`
    Store { word: u32, keep: u64, bits: u64 },
    /// A value into a cell; what does not fit is a fault.
    Set(Slot, Node),
    /// A value into one of a row.
    SetRow(Box<[Slot]>, Node, Node),
    /// All of these, if the condition is non-zero before the first.
    When(Node, Box<[Act]>),
}

/// A compiled step.
#[derive(Debug)]
struct Step {
    number: u32,
    owed: bool,
    ready: Node,
    acts: Box<[Act]>,
}

/// The steps of a context: its place, and what can be done there.
#[derive(Debug)]
struct Context {
    place: Slot,
    /// By place: the condition of all steps there, and the steps.
    at: Vec<(Node, Vec<Step>)>,
}

/// A compiled condition, to be asked of states.
#[derive(Clone, Debug)]
pub struct Condition(Node);

impl Condition {
    /// Is it non-zero?
    #[inline]
    pub fn is(&self, words: &[u64]) -> bool {
        truth(&self.0, words)
    }

    /// Is it the constant 0?
    pub fn is_never(&self) -> bool {
        matches!(self.0, Node::Const(0))
    }
}

/// A system compiled for speed.
#[derive(Debug)]
pub struct Packed<'a> {
    machine: &'a Machine<'a>,
    contexts: Vec<Context>,
}

/// A step that has no successor because a value does not fit, or does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The step.
    pub step: u32,
}

impl<'a> Packed<'a> {
    /// Compiles every step.
    pub fn new(machine: &'a Machine<'a>) -> Packed<'a> {
        let system = machine.system();
        let contexts = system
            .contexts
            .iter()
            .map(|context| {
                let at = context
                    .steps
                    .iter()
                    .enumerate()
                    .map(|(place, steps)| {
                        let known = Known {
                            machine,
                            cell: context.place,
                            value: place as i64,
                        };
                        let gate = match place {
                            0 => &context.arrives,
                            _ => &context.executes,
                        };
                        let steps = steps
                            .iter()
                            .map(|&number| {
                                let step = &system.steps[number as usize];
                                Step {
                                    number,
                                    owed: step.owed,
                                    ready: known.condition(&step.ready),
                                    acts: known.acts(&step.assigns),
                                }
                            })
                            .collect();
                        (known.condition(gate), steps)
                    })
                    .collect();
                Context {
                    place: machine.slot(context.place),
                    at,
                }
            })
            .collect();
        Packed { machine, contexts }
    }

    /// The machine it was compiled from.
    pub fn machine(&self) -> &'a Machine<'a> {
        self.machine
    }

    /// More successors than this no state has.
    pub fn most_successors(&self) -> usize {
        self.contexts
            .iter()
            .map(|c| c.at.iter().map(|(_, steps)| steps.len()).max().unwrap_or(0))
            .sum::<usize>()
            .max(1)
    }

    /// Compiles a condition.
    pub fn condition(&self, x: &X) -> Condition {
        Condition(Known::nothing(self.machine).condition(x))
    }

    /// Compiles a condition that is asked only where the context stands at the place.
    pub fn condition_at(&self, x: &X, context: ContextId, place: u32) -> Condition {
        let known = Known {
            machine: self.machine,
            cell: self.machine.system().contexts[context.index()].place,
            value: i64::from(place),
        };
        Condition(known.condition(x))
    }

    /// The place of a context.
    #[inline]
    pub fn place(&self, words: &[u64], context: usize) -> usize {
        self.contexts[context].place.get(words) as usize
    }

    /// Calls `emit` with every successor and the step to it; returns how many of the steps are owed.
    ///
    /// # Errors
    /// The first step that cannot be carried out.
    #[inline]
    pub fn successors<const W: usize>(
        &self,
        state: &[u64; W],
        mut emit: impl FnMut(u32, &[u64; W]),
    ) -> Result<u32, Misfit> {
        let mut owed = 0;
        for context in &self.contexts {
            let place = context.place.get(state) as usize;
            let (gate, steps) = &context.at[place];
            if steps.is_empty() || !truth(gate, state) {
                continue;
            }
            for step in steps {
                if !truth(&step.ready, state) {
                    continue;
                }
                let mut next = *state;
                if !apply(&step.acts, &mut next) {
                    return Err(Misfit { step: step.number });
                }
                owed += u32::from(step.owed);
                emit(step.number, &next);
            }
        }
        Ok(owed)
    }
}

#[inline]
fn apply(acts: &[Act], words: &mut [u64]) -> bool {
    for act in acts {
        match act {
            Act::Store { word, keep, bits } => {
                let word = &mut words[*word as usize];
                *word = *word & keep | bits;
            }
            Act::Set(slot, value) => match number(value, words) {
                Some(value) if slot.fits(value) => slot.put(words, value),
                _ => return false,
            },
            Act::SetRow(row, index, value) => {
                let at = number(index, words).and_then(|i| usize::try_from(i).ok());
                match (at.and_then(|i| row.get(i)), number(value, words)) {
                    (Some(slot), Some(value)) if slot.fits(value) => slot.put(words, value),
                    _ => return false,
                }
            }
            Act::When(when, acts) => {
                if truth(when, words) && !apply(acts, words) {
                    return false;
                }
            }
        }
    }
    true
}

#[inline]
fn truth(node: &Node, words: &[u64]) -> bool {
    match node {
        Node::Const(c) => *c != 0,
        Node::Is(word, mask, value) => words[*word as usize] & mask == *value,
        Node::IsNot(word, mask, value) => words[*word as usize] & mask != *value,
        Node::All(nodes) => nodes.iter().all(|n| truth(n, words)),
        Node::Any(nodes) => nodes.iter().any(|n| truth(n, words)),
        Node::Not(node) => !truth(node, words),
        other => number(other, words).is_some_and(|v| v != 0),
    }
}

fn number(node: &Node, words: &[u64]) -> Option<i64> {
    Some(match node {
        Node::Const(c) => *c,
        Node::Cell(slot) => slot.get(words),
        Node::Table(values, index) => {
            let i = usize::try_from(number(index, words)?).ok()?;
            *values.get(i)?
        }
        Node::Row(row, index) => {
            let i = usize::try_from(number(index, words)?).ok()?;
            row.get(i)?.get(words)
        }
        Node::Is(..) | Node::IsNot(..) | Node::All(_) | Node::Any(_) | Node::Not(_) => {
            i64::from(truth(node, words))
        }
        // The number of CPUs was folded in where it matters.
        Node::Unary(op, a) => eval::unary(*op, number(a, words)?, 0)?,
        Node::Binary(op, both) => {
            eval::binary(*op, number(&both.0, words)?, number(&both.1, words)?)?
        }
        Node::If(three) => {
            if truth(&three.0, words) {
                number(&three.1, words)?
            } else {
                number(&three.2, words)?
            }
        }
    })
}

/// What is known while an expression is compiled: the place of the step's context.
struct Known<'a> {
    machine: &'a Machine<'a>,
    cell: CellId,
    value: i64,
}

impl<'a> Known<'a> {
    fn nothing(machine: &'a Machine<'a>) -> Known<'a> {
        Known {
            machine,
            cell: CellId(u32::MAX),
            value: 0,
        }
    }

    fn slot(&self, cell: CellId) -> Slot {
        self.machine.slot(cell)
    }

    fn is_constant(&self, cell: CellId) -> Option<i64> {
        if cell == self.cell {
            return Some(self.value);
        }
        let decl = &self.machine.system().cells[cell.0 as usize];
        (decl.lo == decl.hi).then_some(decl.lo)
    }

    fn row(&self, r: &CellRef, index: &X) -> Node {
        let index = self.node(index);
        if let Node::Const(i) = index
            && let Ok(i) = u32::try_from(i)
            && i < r.len
        {
            return self.cell(CellId(r.base.0 + i));
        }
        let constants: Option<Vec<i64>> = r.cells().map(|c| self.is_constant(c)).collect();
        match constants {
            Some(values) => Node::Table(values.into(), Box::new(index)),
            None => Node::Row(r.cells().map(|c| self.slot(c)).collect(), Box::new(index)),
        }
    }

    fn cell(&self, cell: CellId) -> Node {
        match self.is_constant(cell) {
            Some(value) => Node::Const(value),
            None => Node::Cell(self.slot(cell)),
        }
    }

    fn condition(&self, x: &X) -> Node {
        match self.node(x) {
            Node::Const(c) => Node::Const(i64::from(c != 0)),
            Node::Cell(slot) if slot.lo == 0 => {
                let (word, mask, _) = slot.masked(0);
                Node::IsNot(word, mask, 0)
            }
            node => node,
        }
    }

    fn node(&self, x: &X) -> Node {
        match x {
            X::Const(c) => Node::Const(*c),
            X::Cell(r) => match &r.index {
                None => self.cell(r.base),
                Some(index) => self.row(r, index),
            },
            X::Unary(Unary::Not, a) => match self.condition(a) {
                Node::Const(c) => Node::Const(i64::from(c == 0)),
                Node::Is(word, mask, value) => Node::IsNot(word, mask, value),
                Node::IsNot(word, mask, value) => Node::Is(word, mask, value),
                node => Node::Not(Box::new(node)),
            },
            X::Unary(op, a) => {
                let cpus = self.machine.system().cpus;
                match (op, self.node(a)) {
                    (op, Node::Const(c)) if eval::unary(*op, c, cpus).is_some() => {
                        Node::Const(eval::unary(*op, c, cpus).unwrap_or(0))
                    }
                    // `~a` within the CPUs that exist, and the first of none, need their number.
                    (Unary::Complement, a) => Node::Binary(
                        Binary::BitXor,
                        Box::new((
                            Node::Binary(
                                Binary::BitAnd,
                                Box::new((a, Node::Const((1 << cpus) - 1))),
                            ),
                            Node::Const((1 << cpus) - 1),
                        )),
                    ),
                    (Unary::First, a) => Node::If(Box::new((
                        Node::Binary(Binary::Eq, Box::new((a.clone(), Node::Const(0)))),
                        Node::Const(cpus as i64),
                        Node::Unary(Unary::First, Box::new(a)),
                    ))),
                    (op, a) => Node::Unary(*op, Box::new(a)),
                }
            }
            X::Binary(Binary::And, a, b) => self.all(self.condition(a), self.condition(b)),
            X::Binary(Binary::Or, a, b) => any(self.condition(a), self.condition(b)),
            X::Binary(op, a, b) => self.binary(*op, self.node(a), self.node(b)),
            X::If(c, a, b) => match self.condition(c) {
                Node::Const(0) => self.node(b),
                Node::Const(_) => self.node(a),
                c => Node::If(Box::new((c, self.node(a), self.node(b)))),
            },
        }
    }

    fn binary(&self, op: Binary, a: Node, b: Node) -> Node {
        match (op, &a, &b) {
            (_, Node::Const(x), Node::Const(y)) => match eval::binary(op, *x, *y) {
                Some(value) => Node::Const(value),
                None => Node::Binary(op, Box::new((a, b))),
            },
            (Binary::Eq, Node::Cell(slot), Node::Const(c)) => match slot.fits(*c) {
                true => {
                    let (word, mask, value) = slot.masked(*c);
                    Node::Is(word, mask, value)
                }
                false => Node::Const(0),
            },
            (Binary::Ne, Node::Cell(slot), Node::Const(c)) => match slot.fits(*c) {
                true => {
                    let (word, mask, value) = slot.masked(*c);
                    Node::IsNot(word, mask, value)
                }
                false => Node::Const(1),
            },
            // A condition compared with 0 or 1.
            (Binary::Eq, condition, Node::Const(c @ (0 | 1))) if is_truth(condition) => {
                match (c, a) {
                    (1, a) => a,
                    (_, Node::Is(w, m, v)) => Node::IsNot(w, m, v),
                    (_, Node::IsNot(w, m, v)) => Node::Is(w, m, v),
                    (_, a) => Node::Not(Box::new(a)),
                }
            }
            _ => Node::Binary(op, Box::new((a, b))),
        }
    }

    /// Both: comparisons of one word become one.
    fn all(&self, a: Node, b: Node) -> Node {
        let mut parts: Vec<Node> = Vec::new();
        for node in [a, b] {
            match node {
                Node::Const(0) => return Node::Const(0),
                Node::Const(_) => {}
                Node::All(nodes) => parts.extend(nodes),
                node => parts.push(node),
            }
        }
        let mut merged: Vec<Node> = Vec::new();
        for node in parts {
            if let Node::Is(word, mask, value) = node {
                let same = merged
                    .iter_mut()
                    .find(|n| matches!(n, Node::Is(w, ..) if *w == word));
                if let Some(Node::Is(_, m, v)) = same {
                    if (*v ^ value) & (*m & mask) != 0 {
                        return Node::Const(0);
                    }
                    *m |= mask;
                    *v |= value;
                    continue;
                }
            }
            merged.push(node);
        }
        // The cheap ones first; the order does not matter, as none of them has an effect.
        merged.sort_by_key(|n| !matches!(n, Node::Is(..) | Node::IsNot(..)));
        match merged.len() {
            0 => Node::Const(1),
            1 => merged.swap_remove(0),
            _ => Node::All(merged.into()),
        }
    }

    fn acts(&self, assigns: &[Assign]) -> Box<[Act]> {
        let mut acts: Vec<Act> = Vec::new();
        let mut at = 0;
        let mut place_known = true;
        while at < assigns.len() {
            let assign = &assigns[at];
            // Once the place was assigned it is not known any more.
            let here = match place_known {
                true => Known { ..*self },
                false => Known::nothing(self.machine),
            };
            let end = match &assign.when {
                None => at + 1,
                Some(when) => group(assigns, at, when),
            };
            let inner: Vec<Act> = assigns[at..end].iter().map(|a| here.act(a)).collect();
            match &assign.when {
                None => acts.extend(inner),
                Some(when) => match here.condition(when) {
                    Node::Const(0) => {}
                    Node::Const(_) => acts.extend(inner),
                    when => acts.push(Act::When(when, merge(inner))),
                },
            }
            place_known &= assigns[at..end]
                .iter()
                .all(|a| a.to.cells().all(|c| c != self.cell));
            at = end;
        }
        merge(acts)
    }

    fn act(&self, assign: &Assign) -> Act {
        let value = self.node(&assign.value);
        match &assign.to.index {
            None => {
                let slot = self.slot(assign.to.base);
                match value {
                    Node::Const(c) if slot.fits(c) => slot.store(c),
                    value => Act::Set(slot, value),
                }
            }
            Some(index) => {
                let row = assign.to.cells().map(|c| self.slot(c)).collect();
                Act::SetRow(row, self.node(index), value)
            }
        }
    }
}

fn is_truth(node: &Node) -> bool {
    matches!(
        node,
        Node::Is(..) | Node::IsNot(..) | Node::All(_) | Node::Any(_) | Node::Not(_)
    )
}

fn any(a: Node, b: Node) -> Node {
    let mut parts: Vec<Node> = Vec::new();
    for node in [a, b] {
        match node {
            Node::Const(0) => {}
            Node::Const(_) => return Node::Const(1),
            Node::Any(nodes) => parts.extend(nodes),
            node => parts.push(node),
        }
    }
    match parts.len() {
        0 => Node::Const(0),
        1 => parts.swap_remove(0),
        _ => Node::Any(parts.into()),
    }
}

/// The end of the assignments from `at` on that have the same condition, none of which changes it.
fn group(assigns: &[Assign], at: usize, when: &X) -> usize {
    let mut read = Vec::new();
    when.each_read(&mut |r| read.extend(r.cells()));
    let mut end = at + 1;
    while end < assigns.len()
        && assigns[end].when.as_ref() == Some(when)
        && assigns[end - 1].to.cells().all(|c| !read.contains(&c))
    {
        end += 1;
    }
    end
}

/// Stores to one word that follow each other become one.
fn merge(acts: Vec<Act>) -> Box<[Act]> {
    let mut merged: Vec<Act> = Vec::new();
    for act in acts {
        if let Act::Store { word, keep, bits } = act {
            // Back over stores to other words: they commute.
            let mut same = None;
            for (i, earlier) in merged.iter().enumerate().rev() {
                match earlier {
                    Act::Store { word: w, .. } if *w == word => {
                        same = Some(i);
                        break;
                    }
                    Act::Store { .. } => {}
                    _ => break,
                }
            }
            if let Some(i) = same
                && let Act::Store {
                    keep: k, bits: b, ..
                } = &mut merged[i]
            {
                *b = *b & keep | bits;
                *k &= keep;
                continue;
            }
        }
        merged.push(act);
    }
    merged.into()
}

impl Slot {
    #[inline]
    fn fits(&self, value: i64) -> bool {
        value >= self.lo && value <= self.hi
    }

    /// Word, mask and value of a comparison with `value`, which fits.
    fn masked(&self, value: i64) -> (u32, u64, u64) {
        let bits = ((value - self.lo) as u64) << self.shift;
        (self.word, self.mask << self.shift, bits)
    }

    fn store(&self, value: i64) -> Act {
        let (word, mask, bits) = self.masked(value);
        Act::Store {
            word,
            keep: !mask,
            bits,
        }
    }
}
