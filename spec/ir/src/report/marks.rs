//! The marks left of each column: what a CPU has, row by row.

use super::Story;
use crate::eval::Cells;
use crate::protocol::{LockId, LockKind};
use crate::waits::Wait;

/// More marks than these are written without gaps.
const MOST_SLOTS: usize = 5;

/// A letter for each lock, and which marks are used.
pub(super) struct Marks {
    letters: Vec<char>,
    /// Those that are used somewhere, in order: one slot each.
    slots: Vec<char>,
    waits_used: bool,
    has_star: bool,
    compact: bool,
    /// No CPU ever has interrupts off while it awaits an IPI: one slot does for both.
    shared: bool,
    /// Columns they take.
    pub width: usize,
}

impl Marks {
    /// Goes through the states that are shown.
    pub fn new(story: &Story<'_>) -> Marks {
        let mut marks = Marks {
            letters: letters(story),
            slots: Vec::new(),
            waits_used: false,
            has_star: false,
            compact: true,
            shared: false,
            width: 0,
        };
        let mut shared = true;
        let mut used = String::new();
        let mut widest = 0;
        for n in 0..=story.end() {
            for cpu in 0..story.protocol.cpus {
                let of = marks.of(story, n, cpu);
                widest = widest.max(of.chars().count());
                shared &= !(of.contains('#') && of.contains('*'));
                used += &of;
            }
        }
        let order = ['#', 'b', 'p', '*']
            .into_iter()
            .chain(marks.letters.iter().copied());
        let is_used = |c: &char| {
            used.contains(*c) || (c.is_uppercase() && used.contains(c.to_ascii_lowercase()))
        };
        marks.slots = order.filter(is_used).collect();
        marks.waits_used = marks
            .letters
            .iter()
            .any(|l| used.contains(l.to_ascii_lowercase()));
        let slots = &mut marks.slots;
        marks.shared = shared && slots.contains(&'#') && slots.contains(&'*');
        marks.has_star = slots.contains(&'*');
        if marks.shared {
            slots.retain(|c| *c != '*');
        }
        marks.compact = marks.slots.len() > MOST_SLOTS;
        marks.width = match marks.compact {
            true => widest,
            false => marks.slots.len(),
        };
        marks
    }

    /// The marks of a CPU in state `n`.
    pub fn of(&self, story: &Story<'_>, n: usize, cpu: usize) -> String {
        let view = story.view(n);
        let cells = story.machine().system().cpu_cells[cpu];
        let here: Vec<_> = story
            .contexts()
            .filter(|&c| story.cpu_of(c) == cpu)
            .collect();
        let spins = |kind: LockKind| matches!(kind, LockKind::Spin | LockKind::Rw(_));
        let (mut held, mut waited) = (Vec::new(), Vec::new());
        let mut counted = 0;
        for &context in &here {
            for (lock, _) in story.waits().held(story.state(n), context) {
                held.push(lock);
                counted += i64::from(spins(story.protocol().lock(lock).kind));
            }
            if let Some(Wait::Lock { lock, .. }) = story.wait(n, context) {
                waited.push(lock);
                counted += i64::from(spins(story.protocol().lock(lock).kind));
            }
        }
        let awaits = here
            .iter()
            .any(|&c| view.place(c) != 0 && story.waits().awaits_ipi(story.state(n), c));
        let mut flags: Vec<(char, bool)> = vec![
            ('#', view.cell(cells.irqs) == 0),
            ('b', view.cell(cells.bh) != 0),
            ('p', view.cell(cells.preempt) > counted),
            ('*', awaits),
        ];
        for (l, &letter) in self.letters.iter().enumerate() {
            let lock = LockId(l as u32);
            match (waited.contains(&lock), held.contains(&lock)) {
                (true, _) => flags.push((letter.to_ascii_lowercase(), true)),
                (false, true) => flags.push((letter, true)),
                (false, false) => flags.push((letter, false)),
            }
        }
        if self.compact {
            return flags.iter().filter(|f| f.1).map(|f| f.0).collect();
        }
        self.slots
            .iter()
            .map(|slot| {
                flags
                    .iter()
                    .find(|(c, on)| {
                        let lower = c.to_ascii_uppercase() == *slot && !"bp".contains(*c);
                        let star = self.shared && *c == '*' && *slot == '#';
                        *on && (c == slot || lower || star)
                    })
                    .map_or(' ', |f| f.0)
            })
            .collect()
    }

    /// What the marks mean, those that are used.
    pub fn legend(&self, story: &Story<'_>) -> String {
        let mut texts = Vec::new();
        for (mark, meaning) in [
            ('#', "interrupts off"),
            ('b', "bottom halves off"),
            ('p', "preemption off"),
            ('*', "awaits an IPI"),
        ] {
            if self.slots.contains(&mark) || (mark == '*' && self.has_star) {
                texts.push(format!("{mark} {meaning}"));
            }
        }
        for (l, letter) in self.letters.iter().enumerate() {
            if self.slots.contains(letter) {
                texts.push(format!("{letter} holds {}", story.protocol().locks[l].name));
            }
        }
        let mut text = texts
            .iter()
            .map(|t| t.replace(' ', "\u{a0}"))
            .collect::<Vec<_>>()
            .join(", ");
        if self.waits_used {
            text += "; a small letter: waits for it";
        }
        text
    }
}

/// A capital letter for each lock: the first of one of its words, else of its name, that is still free. `B` and `P` would
/// read as bottom halves and preemption.
fn letters(story: &Story<'_>) -> Vec<char> {
    let mut taken: Vec<char> = vec!['B', 'P'];
    let mut letters = Vec::new();
    for lock in &story.protocol().locks {
        let words = lock
            .name
            .split('_')
            .filter(|w| !matches!(*w, "lock" | "mutex" | "sem" | "rwsem" | "rwlock" | ""));
        let firsts = words.filter_map(|w| w.chars().next());
        let candidates = firsts
            .chain(lock.name.chars())
            .map(|c| c.to_ascii_uppercase())
            .chain('A'..='Z')
            .filter(char::is_ascii_uppercase);
        let letter = candidates
            .into_iter()
            .find(|c| !taken.contains(c))
            .unwrap_or('L');
        taken.push(letter);
        letters.push(letter);
    }
    letters
}
