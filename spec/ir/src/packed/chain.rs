//! Conditions as chains of tests on words: where each goes on depends on its answer, until it is yes or no.

use super::node::{Node, has, truth};

/// The end of a chain: the condition holds.
pub(super) const YES: u32 = u32::MAX;
/// The end of a chain: it does not.
pub(super) const NO: u32 = u32::MAX - 1;

/// What is tested.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// `word & mask == value`
    Bits,
    /// Is `word >> value & mask` in the set?
    Set,
    /// Is the tree true?
    Tree,
}

/// A test, and the tests after it.
#[derive(Clone, Debug)]
struct Test {
    mask: u64,
    value: u64,
    /// By answer: no, yes.
    next: [u32; 2],
    word: u32,
    kind: Kind,
    /// The set or the tree.
    other: u32,
}

/// The tests of many conditions.
#[derive(Clone, Debug, Default)]
pub(super) struct Chains {
    tests: Vec<Test>,
    sets: Vec<Box<[u64]>>,
    trees: Vec<Node>,
}

impl Chains {
    /// Adds a condition; where it begins.
    pub(super) fn add(&mut self, node: Node) -> u32 {
        self.before(node, YES, NO)
    }

    /// Adds a condition that goes on at `yes` or `no`.
    fn before(&mut self, node: Node, yes: u32, no: u32) -> u32 {
        match node {
            Node::Const(0) => no,
            Node::Const(_) => yes,
            Node::Is(word, mask, value) => self.bits(word, mask, value, [no, yes]),
            Node::IsNot(word, mask, value) => self.bits(word, mask, value, [yes, no]),
            Node::In(slot, set) => {
                self.sets.push(set);
                self.push(Test {
                    mask: slot.mask,
                    value: u64::from(slot.shift),
                    next: [no, yes],
                    word: slot.word,
                    kind: Kind::Set,
                    other: self.sets.len() as u32 - 1,
                })
            }
            Node::All(nodes) => {
                let nodes = nodes.into_iter().rev();
                nodes.fold(yes, |yes, node| self.before(node, yes, no))
            }
            Node::Any(nodes) => {
                let nodes = nodes.into_iter().rev();
                nodes.fold(no, |no, node| self.before(node, yes, no))
            }
            Node::Not(node) => self.before(*node, no, yes),
            node => {
                self.trees.push(node);
                self.push(Test {
                    mask: 0,
                    value: 0,
                    next: [no, yes],
                    word: 0,
                    kind: Kind::Tree,
                    other: self.trees.len() as u32 - 1,
                })
            }
        }
    }

    fn bits(&mut self, word: u32, mask: u64, value: u64, next: [u32; 2]) -> u32 {
        self.push(Test {
            mask,
            value,
            next,
            word,
            kind: Kind::Bits,
            other: 0,
        })
    }

    fn push(&mut self, test: Test) -> u32 {
        self.tests.push(test);
        self.tests.len() as u32 - 1
    }

    /// Does the condition that begins there hold?
    #[inline(always)]
    pub(super) fn holds(&self, mut at: u32, words: &[u64]) -> bool {
        while at < NO {
            let test = &self.tests[at as usize];
            let yes = match test.kind {
                Kind::Bits => words[test.word as usize] & test.mask == test.value,
                Kind::Set => {
                    let number = words[test.word as usize] >> (test.value as u32 & 63) & test.mask;
                    has(&self.sets[test.other as usize], number)
                }
                Kind::Tree => truth(&self.trees[test.other as usize], words),
            };
            at = test.next[usize::from(yes)];
        }
        at == YES
    }
}
