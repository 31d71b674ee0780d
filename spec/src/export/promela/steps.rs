//! What each step does, in Promela: [`shape`] has one line per step of
//! [`Op`](crate::program::Op), to be read beside [`crate::cpu`].

use super::super::{Exported, names};
use crate::program::{Entry, Flags, LockRef, Mode, Of, Op, Pc, Scope};
use crate::variant::Variant;

/// A step: what it waits for, what it does, and where it may lead.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// It waits until this holds.
    pub guard: Option<String>,
    /// Statements, whatever comes of it.
    pub always: Vec<String>,
    /// What may come of it, the first that applies; the last one is `else`.
    pub cases: Vec<Case>,
}

/// One outcome of a step.
#[derive(Debug)]
pub(super) struct Case {
    /// The condition; `None` for `else`.
    pub when: Option<String>,
    /// Statements.
    pub then: Vec<String>,
    /// Where it leads; `None` for the next line.
    pub to: Option<Pc>,
}

fn does<const N: usize>(always: [&str; N]) -> Shape {
    Shape {
        always: always.map(String::from).to_vec(),
        ..Shape::default()
    }
}

/// A test: `yes` statements and the next line if it holds, else the line at `to`.
fn test<const N: usize>(when: String, yes: [String; N], to: Pc) -> Shape {
    let yes = Case {
        when: Some(when),
        then: yes.to_vec(),
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
    fn after<const N: usize>(mut self, first: [&str; N]) -> Shape {
        self.always = first.map(String::from).to_vec();
        self
    }
}

/// The mm that a step means.
fn mm_of(of: Of) -> &'static str {
    match of {
        Of::Target => "mm",
        Of::Cursor => "cpu[me].walk",
    }
}

/// A lock as an expression.
pub(super) fn lock(lock: LockRef) -> String {
    match names::lock(lock) {
        (name, None) => name.into(),
        (name, Some(of)) => format!("{name}({})", mm_of(of)),
    }
}

/// The condition under which a lock that was asked for is granted.
pub(super) fn granted(e: &Exported<'_>, l: LockRef, mode: Mode) -> String {
    let test = match (l, mode) {
        (LockRef::PgdLock, Mode::Shared) if e.rwlock() => "reads",
        (LockRef::PgdLock, _) if e.rwlock() => "writes",
        _ => "owns",
    };
    format!("{test}({}, self)", lock(l))
}

fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Page => "PAGE",
        Scope::Mm => "ALL",
    }
}

fn bit(entry: Entry) -> &'static str {
    match entry {
        Entry::Pte => "PTE",
        Entry::Huge => "PMD",
    }
}

fn flags(flags: Flags) -> &'static str {
    match flags {
        Flags::Outer => "flags",
        Flags::Inner => "flags_inner",
    }
}

/// What the step does.
pub(super) fn shape(e: &Exported<'_>, op: &Op) -> Shape {
    let en = |entry| format!("mm_slot[mm].{}", names::entry(entry));
    let fr = |entry| format!("mm_slot[mm].{}", names::frame(entry));
    let flag = e.deviates(Variant::FlagForCounter);
    match *op {
        Op::IrqSave(f) => does([
            &format!("{} = cpu[me].irqs_on", flags(f)),
            "cpu[me].irqs_on = 0",
        ]),
        Op::IrqRestore(f) => does([
            &format!("cpu[me].irqs_on = {}", flags(f)),
            &format!("{} = 0", flags(f)),
        ]),

        Op::Lock(l, mode) => take(e, l, mode),
        Op::TryLock { lock: l, busy } => {
            let free = format!("{}.ticket[0] == 0", lock(l));
            let mut shape = test(free, [format!("{}.ticket[0] = self", lock(l))], busy);
            // A context that is refused lets pgd_lock go, so the walk begins again at the head.
            shape.cases[1].then = vec!["cpu[me].walk = NONE".into()];
            shape
        }
        Op::Unlock(LockRef::PgdLock) if e.rwlock() => does([
            "promise(mutual_exclusion, (reads(pgd_lock, self) ^ writes(pgd_lock, self)) && \
             !(pgd_lock.writer && pgd_lock.readers))",
            "rw_unlock(pgd_lock, self)",
        ]),
        Op::Unlock(l) => does([&format!("spin_unlock({}, self)", lock(l))]),

        Op::SetInitEntry => does(["init_entry = 1"]),
        Op::ReadInitEntry { absent } => {
            // pgd_alloc keeps what it read until it clones.
            test("init_entry".into(), [], absent).after(["changed = init_entry"])
        }
        Op::ForEachPgd { done } => {
            let test = test("cpu[me].walk != NONE".into(), [], done);
            test.after(["list_next(me)", "look_at_list()"])
        }
        Op::ReadKernelEntry { of, present } => {
            let m = mm_of(of);
            let absent = format!("!mm_slot[{m}].kernel_entry");
            test(absent, [], present)
        }
        Op::ReadPinned { of } => does([&format!("seen_pinned = mm_slot[{}].pinned", mm_of(of))]),
        Op::WriteKernelEntry { of } => {
            let m = mm_of(of);
            // A store into a freed page would corrupt its next owner, not this mm.
            let there = format!("(mm_slot[{m}].kernel_entry || mm_slot[{m}].life != FREED)");
            does([
                &format!("promise(no_write_to_pinned_pgd, seen_pinned || !mm_slot[{m}].pinned)"),
                &format!("mm_slot[{m}].kernel_entry = {there}"),
            ])
        }
        Op::ClonePgd => does([
            "mm_slot[mm].kernel_entry = changed",
            "mm_slot[mm].life = ALIVE",
        ]),
        Op::ListAdd => does(["list_add(mm)", "look_at_list()"]),
        Op::ListDel => does(["list_del(mm)", "look_at_list()"]),
        Op::FreeMm => does(["free_mm(mm)", "look_at_list()"]),

        Op::TestAndClearYoung { entry, not_young } => {
            let en = en(entry);
            let young = format!("translates({en}) && !{en}.splitting && {en}.accessed");
            let clear = format!("{en}.accessed = 0");
            test(young, [clear, "need_flush = 1".into()], not_young)
        }
        Op::GetAndClear { entry, absent } => {
            let changed = match entry {
                Entry::Pte => "changed = 1",
                Entry::Huge => "changed_huge = 1",
            };
            let clear = format!("clear_entry({})", en(entry));
            let there = format!("translates({})", en(entry));
            test(
                there,
                [clear, changed.into(), "need_flush = 1".into()],
                absent,
            )
        }
        Op::SetSplitting { not_huge, already } => {
            let pmd = en(Entry::Huge);
            let mut shape = test(
                format!("translates({pmd}) && !{pmd}.splitting"),
                [format!("{pmd}.splitting = 1"), "need_flush = 1".into()],
                not_huge,
            );
            let was = Case {
                when: Some(format!("translates({pmd}) && {pmd}.splitting")),
                then: Vec::new(),
                to: Some(already),
            };
            shape.cases.insert(1, was);
            shape
        }
        Op::TestSplitting { splitting } => {
            test(format!("!{}.splitting", en(Entry::Huge)), [], splitting)
        }
        Op::AwaitNotSplitting => Shape {
            guard: Some(format!("!{}.splitting", en(Entry::Huge))),
            ..Shape::default()
        },
        Op::PmdNotPresent => {
            let pmd = en(Entry::Huge);
            does([&format!("{pmd}.present = ({pmd}.present && {pmd}.table)")])
        }
        Op::PmdPopulate => {
            let pmd = en(Entry::Huge);
            does([
                &format!("clear_entry({pmd})"),
                &format!("{pmd}.present = 1"),
                &format!("{pmd}.table = 1"),
            ])
        }
        Op::SplitCompound => does([&format!("{}.split = 1", fr(Entry::Huge))]),
        Op::GupRead { entry, slow } => {
            let en = en(entry);
            test(format!("translates({en}) && !{en}.splitting"), [], slow)
        }
        Op::GetPage(entry) => {
            let fr = fr(entry);
            let intact = match entry {
                Entry::Pte => format!("!{fr}.freed"),
                Entry::Huge => format!("!{fr}.freed && !{fr}.split"),
            };
            does([
                &format!("promise(no_walker_on_reused_table, {intact})"),
                &format!("{fr}.refs++"),
            ])
        }
        Op::PutPage(entry) => {
            let fr = fr(entry);
            does([
                &format!("{fr}.refs--"),
                &format!("{fr}.freed = ({fr}.freed || {fr}.refs == 0)"),
                &unused_if_freed("mm", entry),
            ])
        }

        Op::RaisePending if flag => does(["mm_slot[mm].pending = 1"]),
        Op::RaisePending => does(["mm_slot[mm].pending++"]),
        Op::DropPending if flag => does(["mm_slot[mm].pending = 0"]),
        Op::DropPending => does(["mm_slot[mm].pending--"]),
        Op::ReadPending => does(["need_flush = (need_flush || mm_slot[mm].pending != 0)"]),

        Op::FlushLocal(s) => does([&format!("local_flush_tlb(me, mm, {})", scope(s))]),
        Op::SendIpi(s) => does([&format!("send_ipi(me, mm, {})", scope(s))]),
        Op::AwaitAcks => Shape {
            guard: Some("cpu[me].acks == 0".into()),
            ..does(["sent_ipi = 0"])
        },
        Op::FlushHypercall(s) => does([&format!("flush_hypercall(me, mm, {})", scope(s))]),
        Op::FlushRequested => does(["local_flush_tlb(me, mm, scope)", "flushed = 1"]),
        Op::Ack => does([
            "promise(ack_after_flush, flushed || !loaded(me, mm))",
            "cpu[sender].acks = cpu[sender].acks & ~(1 << me)",
        ]),

        Op::CpumaskSet => does(["mm_slot[mm].cpumask = mm_slot[mm].cpumask | (1 << me)"]),
        Op::LoadCr3 => does([
            "cpu[me].active_mm = mm",
            "cpu[me].loaded = 1",
            "cpu[me].lazy = 0",
            "cpu[me].tlb = 0",
        ]),
        Op::CpumaskClearPrev => does(["clear_cpumask(me, prev)"]),
        Op::StopBeingLazy { loaded } => {
            test("!cpu[me].loaded".into(), [], loaded).after(["cpu[me].lazy = 0"])
        }
        Op::EnterLazy => does(["cpu[me].lazy = 1"]),
        Op::LeaveMm => does(["clear_cpumask(me, mm)", "load_swapper(me)"]),
        Op::CpumaskClearOwn => does(["clear_cpumask(me, mm)"]),
        Op::LoadSwapper => does(["load_swapper(me)"]),
        Op::CpumaskClearIfLazy => {
            does(["if\n:: cpu[me].lazy && loaded(me, mm) -> clear_cpumask(me, mm)\n:: else\nfi"])
        }

        Op::SetPinned(on) => does([&format!("mm_slot[mm].pinned = {}", u8::from(on))]),
        Op::UserStore(entry) => {
            let en = en(entry);
            let (bit, unused) = (bit(entry), unused_if_freed("mm", entry));
            does([&format!(
                "if\n:: translates({en}) ->\n\t{en}.accessed = 1;\n\t{en}.dirty = 1;\n\t\
                 cpu[me].tlb = cpu[me].tlb | {bit};\n\t{unused}\n:: else\nfi"
            )])
        }
        // Bookkeeping of a program's end is `processes`' business, control is `flow`'s.
        Op::Return | Op::Branch { .. } | Op::Goto { .. } => Shape::default(),
    }
}

/// A CPU must not reach a frame that was freed: said where a frame is freed and where a
/// translation is cached, for nothing else can bring both together.
pub(super) fn unused_if_freed(mm: &str, entry: Entry) -> String {
    format!(
        "promise(no_use_of_freed_frame, !(mm_slot[{mm}].{}.freed && cached({mm}, {})))",
        names::frame(entry),
        bit(entry)
    )
}

/// A lock is asked for; whether it was granted is for the next step to find out.
fn take(e: &Exported<'_>, l: LockRef, mode: Mode) -> Shape {
    let outer = "promise(lock_order, !holds_page_table_lock(self))";
    match (l, mode) {
        (LockRef::PgdLock, Mode::Shared) if e.rwlock() => {
            does([outer, "read_lock(pgd_lock, self)"])
        }
        (LockRef::PgdLock, _) if e.rwlock() => does([outer, "write_lock(pgd_lock, self)"]),
        (LockRef::PgdLock, _) => does([outer, "spin_lock(pgd_lock, self)"]),
        _ => does([&format!("spin_lock({}, self)", lock(l))]),
    }
}
