//! What each step does, in TLA+: [`shape`] has one line per step of [`Op`], to be read beside
//! [`crate::cpu`].

use super::super::{Exported, names};
use super::effect::{Effect, action, becomes, except};
use super::variables::{At, Variables};
use crate::program::{Entry, Flags, LockRef, Mode, Of, Op, Pc, Reg, Scope};
use crate::variant::Variant;

/// A step: what it waits for, what it does, and where it may lead.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// It waits until these hold.
    pub guards: Vec<String>,
    /// What it does, whatever comes of it.
    pub always: Vec<Effect>,
    /// What may come of it, the first that applies; the last one has no condition.
    pub cases: Vec<Case>,
}

/// One outcome of a step.
#[derive(Debug)]
pub(super) struct Case {
    /// The condition; `None` for otherwise.
    pub when: Option<String>,
    /// What it does then.
    pub then: Vec<Effect>,
    /// Where it leads; `None` for the next line.
    pub to: Option<Pc>,
}

fn does<const N: usize>(always: [Effect; N]) -> Shape {
    Shape {
        always: always.into(),
        ..Shape::default()
    }
}

/// A test: `yes` and the next line if it holds, else the line at `to`.
fn test<const N: usize>(when: String, yes: [Effect; N], to: Pc) -> Shape {
    let yes = Case {
        when: Some(when),
        then: yes.into(),
        to: None,
    };
    let no = Case {
        when: None,
        then: Vec::new(),
        to: Some(to),
    };
    Shape {
        cases: vec![yes, no],
        ..Shape::default()
    }
}

impl Shape {
    fn after<const N: usize>(mut self, first: [Effect; N]) -> Shape {
        self.always = first.into();
        self
    }
}

/// Writes steps of the programs that run at one level.
#[derive(Clone, Copy)]
pub(super) struct Steps<'a> {
    pub e: &'a Exported<'a>,
    pub v: &'a Variables,
    pub at: At,
}

impl Steps<'_> {
    /// A local variable, read.
    pub fn read(&self, name: &str) -> String {
        format!("{name}{}", self.v.index(name, self.at))
    }

    /// A local variable gets a value.
    pub fn set(&self, name: &'static str, value: impl AsRef<str>) -> Effect {
        let index = self.v.index(name, self.at);
        except(name, &format!("!{index}"), value)
    }

    fn reg(&self, reg: Reg, value: impl AsRef<str>) -> Effect {
        self.set(names::register(reg).expect("it is a variable"), value)
    }

    /// The mm that a step means.
    fn mm_of(&self, of: Of) -> String {
        match of {
            Of::Target => self.read("mm"),
            Of::Cursor => "walk[c]".into(),
        }
    }

    /// Where a lock is in its variable.
    fn place(&self, lock: LockRef) -> (&'static str, String) {
        match names::lock(lock) {
            (name, None) => (name, String::new()),
            (name, Some(of)) => (name, format!("[{}]", self.mm_of(of))),
        }
    }

    /// The lock by name.
    fn key(&self, lock: LockRef) -> String {
        match lock {
            LockRef::PgdLock => "PgdLock".into(),
            LockRef::PageTableLock(of) => format!("PageTableLock({})", self.mm_of(of)),
            LockRef::SplitPtl(of) => format!("PteLock({})", self.mm_of(of)),
        }
    }

    /// A lock changes.
    fn lock(&self, lock: LockRef, operation: &str) -> Effect {
        let (name, at) = self.place(lock);
        let who = self.at.context();
        match at.as_str() {
            "" => becomes(name, format!("{operation}({name}, {who})")),
            at => except(name, &format!("!{at}"), format!("{operation}(@, {who})")),
        }
    }

    /// The condition under which a lock that was asked for is granted.
    pub fn granted(&self, l: LockRef, mode: Mode) -> String {
        let test = match (l, mode) {
            (LockRef::PgdLock, Mode::Shared) if self.e.rwlock() => "reads",
            (LockRef::PgdLock, _) if self.e.rwlock() => "writes",
            _ => "owns",
        };
        let (name, at) = self.place(l);
        format!("{test}({name}{at}, {})", self.at.context())
    }

    /// What the step does.
    pub fn shape(&self, op: &Op) -> Shape {
        let mm = self.read("mm");
        let of_mm = |variable, value: &str| except(variable, &format!("![{mm}]"), value);
        let own = |variable, value: &str| except(variable, "![c]", value);
        let bits = |entry| format!("{}[{mm}]", names::entry(entry));
        let entry = |e: Entry, value: &str| of_mm(names::entry(e), value);
        let frame = |e: Entry, change: &str| of_mm(names::frame(e), change);
        let flag = self.e.deviates(Variant::FlagForCounter);
        match *op {
            Op::IrqSave(f) => does([self.reg(flags(f), "irqs_on[c]"), own("irqs_on", "FALSE")]),
            Op::IrqRestore(f) => does([
                own("irqs_on", &self.read(flags_name(f))),
                self.reg(flags(f), "FALSE"),
            ]),

            Op::Lock(l, mode) => self.take(l, mode),
            Op::TryLock { lock: l, busy } => {
                let (name, at) = self.place(l);
                let takes = [self.lock(l, "spin_lock"), self.asked(l)];
                let mut shape = test(format!("{name}{at} = <<>>"), takes, busy);
                // A context that is refused lets pgd_lock go, so the walk begins again at the head.
                shape.cases[1].then = vec![own("walk", "NoMm")];
                shape
            }
            Op::Unlock(l) => {
                let operation = match l {
                    LockRef::PgdLock if self.e.rwlock() => "rw_unlock",
                    _ => "spin_unlock",
                };
                let released = format!("Without(@, {})", self.key(l));
                does([self.lock(l, operation), self.set("held", released)])
            }

            Op::SetInitEntry => does([becomes("init_entry", "TRUE")]),
            Op::ReadInitEntry { absent } => {
                // pgd_alloc keeps what it read until it clones.
                let keeps = [self.reg(Reg::Changed, "init_entry")];
                test("init_entry".into(), [], absent).after(keeps)
            }
            Op::ForEachPgd { done } => {
                let moves = [own("walk", "list_next(@)")];
                test("walk'[c] # NoMm".into(), [], done).after(moves)
            }
            Op::ReadKernelEntry { of, present } => {
                test(format!("~kernel_entry[{}]", self.mm_of(of)), [], present)
            }
            Op::ReadPinned { of } => {
                does([self.reg(Reg::SeenPinned, format!("pinned[{}]", self.mm_of(of)))])
            }
            Op::WriteKernelEntry { of } => {
                let m = self.mm_of(of);
                // A store into a freed page would corrupt its next owner, not this mm.
                let there = format!("@ \\/ life[{m}] # \"freed\"");
                does([except("kernel_entry", &format!("![{m}]"), there)])
            }
            Op::ClonePgd => does([
                of_mm("kernel_entry", &self.read("changed")),
                of_mm("life", "\"alive\""),
            ]),
            Op::ListAdd => does([becomes("pgd_list", format!("list_add({mm})"))]),
            Op::ListDel => does([becomes("pgd_list", format!("list_del({mm})"))]),
            Op::FreeMm => self.free_mm(&of_mm),

            Op::TestAndClearYoung {
                entry: e,
                not_young,
            } => {
                let pte = bits(e);
                let young = format!(
                    "Translates({pte}) /\\ \"splitting\" \\notin {pte} /\\ \"accessed\" \\in {pte}"
                );
                let clear = entry(e, "@ \\ {\"accessed\"}");
                test(young, [clear, self.reg(Reg::NeedFlush, "TRUE")], not_young)
            }
            Op::GetAndClear { entry: e, absent } => {
                let changed = match e {
                    Entry::Pte => Reg::Changed,
                    Entry::Huge => Reg::ChangedHuge,
                };
                let does = [
                    entry(e, "{}"),
                    self.reg(changed, "TRUE"),
                    self.reg(Reg::NeedFlush, "TRUE"),
                ];
                test(format!("Translates({})", bits(e)), does, absent)
            }
            Op::SetSplitting { not_huge, already } => {
                let pmd = bits(Entry::Huge);
                let mut shape = test(
                    format!("Translates({pmd}) /\\ \"splitting\" \\notin {pmd}"),
                    [
                        entry(Entry::Huge, "@ \\cup {\"splitting\"}"),
                        self.reg(Reg::NeedFlush, "TRUE"),
                    ],
                    not_huge,
                );
                let was = Case {
                    when: Some(format!("Translates({pmd})")),
                    then: Vec::new(),
                    to: Some(already),
                };
                shape.cases.insert(1, was);
                shape
            }
            Op::TestSplitting { splitting } => {
                let not = format!("\"splitting\" \\notin {}", bits(Entry::Huge));
                test(not, [], splitting)
            }
            Op::AwaitNotSplitting => Shape {
                guards: vec![format!("\"splitting\" \\notin {}", bits(Entry::Huge))],
                ..Shape::default()
            },
            Op::PmdNotPresent => {
                let gone = "IF \"table\" \\in @ THEN @ ELSE @ \\ {\"present\"}";
                does([entry(Entry::Huge, gone)])
            }
            Op::PmdPopulate => does([entry(Entry::Huge, "{\"present\", \"table\"}")]),
            Op::SplitCompound => does([frame(Entry::Huge, "[@ EXCEPT !.split = TRUE]")]),
            Op::GupRead { entry: e, slow } => {
                let pte = bits(e);
                let there = format!("Translates({pte}) /\\ \"splitting\" \\notin {pte}");
                test(there, [], slow)
            }
            Op::GetPage(e) => does([frame(e, "[@ EXCEPT !.refs = @ + 1]")]),
            Op::PutPage(e) => {
                let name = names::frame(e);
                let put =
                    format!("[@ EXCEPT !.refs = @ - 1, !.freed = @ \\/ {name}[{mm}].refs = 1]");
                does([frame(e, &put)])
            }

            Op::RaisePending if flag => does([of_mm("pending", "1")]),
            Op::RaisePending => does([of_mm("pending", "@ + 1")]),
            Op::DropPending if flag => does([of_mm("pending", "0")]),
            Op::DropPending => does([of_mm("pending", "@ - 1")]),
            Op::ReadPending => does([self.reg(Reg::NeedFlush, format!("@ \\/ pending[{mm}] # 0"))]),

            Op::FlushLocal(s) => does([action(
                format!("local_flush_tlb(c, {mm}, {})", scope(s)),
                ["cpumask", "loaded", "tlb"],
            )]),
            Op::SendIpi(s) => does([
                own("acks", &format!("targets(c, {mm})")),
                self.reg(Reg::SentIpi, format!("targets(c, {mm}) # {{}}")),
                becomes("inbox", format!("send_ipi(c, {mm}, {})", scope(s))),
            ]),
            Op::AwaitAcks => Shape {
                guards: vec!["acks[c] = {}".into()],
                ..does([self.reg(Reg::SentIpi, "FALSE")])
            },
            Op::FlushHypercall(s) => {
                let flushed = format!("flush_hypercall(c, {mm}, {})", scope(s));
                does([becomes("tlb", flushed)])
            }
            Op::FlushRequested => does([
                action(
                    format!("local_flush_tlb(c, {mm}, scope[c])"),
                    ["cpumask", "loaded", "tlb"],
                ),
                self.reg(Reg::Flushed, "TRUE"),
            ]),
            Op::Ack => does([except("acks", "![sender[c]]", "@ \\ {c}")]),

            Op::CpumaskSet => does([of_mm("cpumask", "@ \\cup {c}")]),
            Op::LoadCr3 => does([
                own("active_mm", &mm),
                own("loaded", "TRUE"),
                own("lazy", "FALSE"),
                own("tlb", "{}"),
            ]),
            Op::CpumaskClearPrev => does([except("cpumask", "![prev[c]]", "@ \\ {c}")]),
            Op::StopBeingLazy { loaded } => {
                test("~loaded[c]".into(), [], loaded).after([own("lazy", "FALSE")])
            }
            Op::EnterLazy => does([own("lazy", "TRUE")]),
            Op::LeaveMm => does([
                of_mm("cpumask", "@ \\ {c}"),
                own("loaded", "FALSE"),
                own("tlb", "{}"),
            ]),
            Op::CpumaskClearOwn => does([of_mm("cpumask", "@ \\ {c}")]),
            Op::LoadSwapper => does([own("loaded", "FALSE"), own("tlb", "{}")]),
            Op::CpumaskClearIfLazy => does([of_mm(
                "cpumask",
                &format!("IF lazy[c] /\\ Loaded(c, {mm}) THEN @ \\ {{c}} ELSE @"),
            )]),

            Op::SetPinned(on) => does([of_mm("pinned", if on { "TRUE" } else { "FALSE" })]),
            Op::UserStore(e) => {
                let stores = entry(e, "@ \\cup {\"accessed\", \"dirty\"}");
                let fills = own("tlb", &format!("@ \\cup {{\"{}\"}}", names::entry(e)));
                let found = Case {
                    when: Some(format!("Translates({})", bits(e))),
                    then: vec![stores, fills],
                    to: None,
                };
                let faults = Case {
                    when: None,
                    then: Vec::new(),
                    to: None,
                };
                Shape {
                    cases: vec![found, faults],
                    ..Shape::default()
                }
            }
            // The end of a program is `programs`' business, control is `flow`'s.
            Op::Return | Op::Branch { .. } | Op::Goto { .. } => Shape::default(),
        }
    }

    /// A lock is asked for; whether it was granted is for the next step to find out.
    fn take(&self, l: LockRef, mode: Mode) -> Shape {
        let operation = match (l, mode) {
            (LockRef::PgdLock, Mode::Shared) if self.e.rwlock() => "read_lock",
            (LockRef::PgdLock, _) if self.e.rwlock() => "write_lock",
            _ => "spin_lock",
        };
        does([self.lock(l, operation), self.asked(l)])
    }

    fn asked(&self, l: LockRef) -> Effect {
        self.set("held", format!("Append(@, {})", self.key(l)))
    }

    /// Entries, frames and all.
    fn free_mm(&self, of_mm: &dyn Fn(&'static str, &str) -> Effect) -> Shape {
        let gone = [
            ("life", "\"freed\""),
            ("cpumask", "{}"),
            ("pending", "0"),
            ("pinned", "FALSE"),
            ("kernel_entry", "FALSE"),
            ("pte", "{}"),
            ("page", "[refs |-> 0, freed |-> FALSE]"),
            ("pmd", "{}"),
            (
                "huge_page",
                "[refs |-> 0, freed |-> FALSE, split |-> FALSE]",
            ),
        ];
        let here = gone.iter().filter(|(name, _)| self.v.has(name));
        Shape {
            always: here.map(|(name, value)| of_mm(name, value)).collect(),
            ..Shape::default()
        }
    }
}

fn flags(flags: Flags) -> Reg {
    match flags {
        Flags::Outer => Reg::FlagsOuter,
        Flags::Inner => Reg::FlagsInner,
    }
}

fn flags_name(f: Flags) -> &'static str {
    names::register(flags(f)).expect("it is a variable")
}

fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Page => "PAGE",
        Scope::Mm => "ALL",
    }
}
