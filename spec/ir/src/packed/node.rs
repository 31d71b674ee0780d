//! Expressions over the words of a state, with everything folded in that is known while they are compiled.

use crate::eval;
use crate::expr::{Binary, Unary};
use crate::machine::{Machine, Slot};
use crate::system::{CellId, CellRef, X};

/// A cell with at most this many values is tried out with each of them.
const MOST_VALUES: u64 = 4096;

/// A value or a condition over words.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Const(i64),
    /// `word & mask == value`
    Is(u32, u64, u64),
    /// `word & mask != value`
    IsNot(u32, u64, u64),
    /// Is the value, counted from the cell's lowest, in the set?
    In(Slot, Box<[u64]>),
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

impl Node {
    /// How many tests it takes at most; adds the bits they read, by word.
    pub(super) fn tests(&self, masks: &mut [u64]) -> usize {
        match self {
            Node::Const(_) => 0,
            Node::Is(word, mask, _) | Node::IsNot(word, mask, _) => {
                masks[*word as usize] |= mask;
                1
            }
            Node::Cell(slot) | Node::In(slot, _) => {
                masks[slot.word as usize] |= slot.mask << slot.shift;
                1
            }
            Node::Row(slots, index) => {
                for slot in slots {
                    masks[slot.word as usize] |= slot.mask << slot.shift;
                }
                1 + index.tests(masks)
            }
            Node::Table(_, a) | Node::Not(a) | Node::Unary(_, a) => a.tests(masks),
            Node::All(nodes) | Node::Any(nodes) => nodes.iter().map(|n| n.tests(masks)).sum(),
            Node::Binary(_, both) => both.0.tests(masks) + both.1.tests(masks),
            Node::If(three) => three.0.tests(masks) + three.1.tests(masks) + three.2.tests(masks),
        }
    }

    /// What has to hold for it to hold, test by test; bits of a word one by one.
    pub(super) fn conjuncts(self) -> Vec<Node> {
        let nodes = match self {
            Node::All(nodes) => nodes.into_vec(),
            Node::Const(1) => Vec::new(),
            node => vec![node],
        };
        let bit_by_bit = |node| match node {
            Node::Is(word, mask, value) => (0..u64::BITS)
                .map(|bit| 1 << bit)
                .filter(|bit| mask & bit != 0)
                .map(|bit| Node::Is(word, bit, value & bit))
                .collect(),
            node => vec![node],
        };
        nodes.into_iter().flat_map(bit_by_bit).collect()
    }
}

/// Is it a value other than 0?
#[inline]
pub(super) fn truth(node: &Node, words: &[u64]) -> bool {
    match node {
        Node::Const(c) => *c != 0,
        Node::Is(word, mask, value) => words[*word as usize] & mask == *value,
        Node::IsNot(word, mask, value) => words[*word as usize] & mask != *value,
        Node::In(slot, set) => has(set, slot.raw(words)),
        Node::All(nodes) => nodes.iter().all(|n| truth(n, words)),
        Node::Any(nodes) => nodes.iter().any(|n| truth(n, words)),
        Node::Not(node) => !truth(node, words),
        other => number(other, words).is_some_and(|v| v != 0),
    }
}

/// The value; `None` where there is none.
pub(super) fn number(node: &Node, words: &[u64]) -> Option<i64> {
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
        Node::Is(..)
        | Node::IsNot(..)
        | Node::In(..)
        | Node::All(_)
        | Node::Any(_)
        | Node::Not(_) => i64::from(truth(node, words)),
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

/// Is the number in the set?
#[inline]
pub(super) fn has(set: &[u64], number: u64) -> bool {
    set[(number / 64) as usize] >> (number % 64) & 1 == 1
}

/// What is known while an expression is compiled: the place of the step's context.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) machine: &'a Machine<'a>,
    pub(super) cell: CellId,
    pub(super) value: i64,
}

impl<'a> Known<'a> {
    pub(super) fn nothing(machine: &'a Machine<'a>) -> Known<'a> {
        Known {
            machine,
            cell: CellId(u32::MAX),
            value: 0,
        }
    }

    pub(super) fn slot(&self, cell: CellId) -> Slot {
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

    /// The expression where only its being non-zero matters.
    pub(super) fn condition(&self, x: &X) -> Node {
        self.tried(self.node(x))
    }

    /// A condition on one cell alone is the set of values that meet it. Left as it is where some value has no answer.
    fn tried(&self, node: Node) -> Node {
        if let Node::Const(c) = node {
            return Node::Const(i64::from(c != 0));
        }
        let Some(slot) = only_cell(&node) else {
            return node;
        };
        let mut words = vec![0; self.machine.words()];
        let most = slot.hi.abs_diff(slot.lo);
        let mut set = vec![0u64; most as usize / 64 + 1].into_boxed_slice();
        for raw in 0..=most {
            words[slot.word as usize] = raw << slot.shift;
            match number(&node, &words) {
                Some(0) => {}
                Some(_) => set[(raw / 64) as usize] |= 1 << (raw % 64),
                None => return node,
            }
        }
        let met = set.iter().map(|s| u64::from(s.count_ones())).sum::<u64>();
        let first = |wanted: bool| (0..=most).find(|&raw| has(&set, raw) == wanted);
        let bits = |raw: u64| (slot.word, slot.mask << slot.shift, raw << slot.shift);
        match (met, first(true), first(false)) {
            (_, None, _) => Node::Const(0),
            (_, _, None) => Node::Const(1),
            (1, Some(raw), _) => {
                let (word, mask, value) = bits(raw);
                Node::Is(word, mask, value)
            }
            (n, _, Some(raw)) if n == most => {
                let (word, mask, value) = bits(raw);
                Node::IsNot(word, mask, value)
            }
            _ => Node::In(slot, set),
        }
    }

    pub(super) fn node(&self, x: &X) -> Node {
        match x {
            X::Const(c) => Node::Const(*c),
            X::Cell(r) => match &r.index {
                None => self.cell(r.base),
                Some(index) => self.row(r, index),
            },
            X::Unary(Unary::Not, a) => match self.condition(a) {
                Node::Const(c) => Node::Const(i64::from(c == 0)),
                node => not(node),
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
            X::Binary(Binary::Or, a, b) => self.tried(any(self.condition(a), self.condition(b))),
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
            // A condition compared with 0 or 1.
            (Binary::Eq, condition, Node::Const(c @ (0 | 1))) if is_truth(condition) => match c {
                1 => a,
                _ => not(a),
            },
            (Binary::Eq | Binary::Ne | Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge, ..) => {
                self.tried(Node::Binary(op, Box::new((a, b))))
            }
            _ => Node::Binary(op, Box::new((a, b))),
        }
    }

    /// Both: comparisons of one word become one.
    pub(super) fn all(&self, a: Node, b: Node) -> Node {
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
        let known: Vec<Node> = merged
            .iter()
            .filter(|n| matches!(n, Node::Is(..)))
            .cloned()
            .collect();
        let mut open = Vec::new();
        for node in merged {
            match decided(&node, &known) {
                Some(true) => {}
                Some(false) => return Node::Const(0),
                None => open.push(node),
            }
        }
        conjunction(open)
    }
}

/// All of them: the cheap ones first; the order does not matter, as none of them has an effect.
fn conjunction(mut nodes: Vec<Node>) -> Node {
    nodes.sort_by_key(|n| match n {
        Node::Is(..) | Node::IsNot(..) => 0,
        Node::In(..) => 1,
        _ => 2,
    });
    match nodes.len() {
        0 => Node::Const(1),
        1 => nodes.swap_remove(0),
        _ => Node::All(nodes.into()),
    }
}

/// The result of a test other than `word & mask == value` where such tests are known to hold; `None` if it is open.
fn decided(node: &Node, known: &[Node]) -> Option<bool> {
    let bits = |word: u32, mask: u64| {
        known.iter().find_map(|k| match k {
            Node::Is(w, m, v) if *w == word && m & mask == mask => Some(v & mask),
            _ => None,
        })
    };
    match node {
        Node::IsNot(word, mask, value) => Some(bits(*word, *mask)? != *value),
        Node::In(slot, set) => {
            let value = bits(slot.word, slot.mask << slot.shift)? >> slot.shift;
            Some(has(set, value))
        }
        _ => None,
    }
}

/// The only cell that the expression reads, if it has few enough values to try them all. Of a test it is the bits tested.
pub(super) fn only_cell(node: &Node) -> Option<Slot> {
    fn meet(found: &mut Option<Slot>, slot: Slot) -> bool {
        let it = found.get_or_insert(slot);
        // Of a test, all values that the bits can have count; the cell itself knows better.
        it.hi = it.lo + slot.hi.abs_diff(slot.lo).min(it.hi.abs_diff(it.lo)) as i64;
        (it.word, it.shift, it.mask) == (slot.word, slot.shift, slot.mask)
    }
    fn visit(node: &Node, found: &mut Option<Slot>) -> bool {
        match node {
            Node::Const(_) => true,
            Node::Cell(slot) | Node::In(slot, _) => meet(found, *slot),
            Node::Is(word, mask, _) | Node::IsNot(word, mask, _) => {
                let shift = mask.trailing_zeros();
                let mask = mask.checked_shr(shift).unwrap_or(0);
                let contiguous = mask & mask.wrapping_add(1) == 0 && mask < MOST_VALUES;
                let slot = Slot {
                    word: *word,
                    shift,
                    mask,
                    lo: 0,
                    hi: mask as i64,
                };
                contiguous && meet(found, slot)
            }
            Node::Row(..) => false,
            Node::Table(_, a) | Node::Not(a) | Node::Unary(_, a) => visit(a, found),
            Node::All(nodes) | Node::Any(nodes) => nodes.iter().all(|n| visit(n, found)),
            Node::Binary(_, both) => visit(&both.0, found) && visit(&both.1, found),
            Node::If(three) => {
                visit(&three.0, found) && visit(&three.1, found) && visit(&three.2, found)
            }
        }
    }
    let mut found = None;
    if !visit(node, &mut found) {
        return None;
    }
    found.filter(|slot| slot.hi.abs_diff(slot.lo) < MOST_VALUES)
}

/// Its opposite.
fn not(node: Node) -> Node {
    match node {
        Node::Is(word, mask, value) if mask.is_power_of_two() => Node::Is(word, mask, value ^ mask),
        Node::Is(word, mask, value) => Node::IsNot(word, mask, value),
        Node::IsNot(word, mask, value) => Node::Is(word, mask, value),
        node => Node::Not(Box::new(node)),
    }
}

fn is_truth(node: &Node) -> bool {
    matches!(
        node,
        Node::Is(..) | Node::IsNot(..) | Node::In(..) | Node::All(_) | Node::Any(_) | Node::Not(_)
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
