//! What there is: constants, the tests and the changes that steps are made of.

use super::super::Exported;
use super::mm_name;
use crate::config::Config;
use crate::id::MmId;
use crate::program::{Op, ProgramId};
use crate::variant::Variant;
use std::fmt::Write as _;

/// Does anything flush by IPI here?
pub(super) fn ipis(e: &Exported<'_>) -> bool {
    e.any_step(|op| matches!(op, Op::SendIpi(_) | Op::Ack | Op::FlushRequested))
}

fn cpus(config: &Config) -> Vec<String> {
    (0..config.cpus()).map(|c| format!("cpu{c}")).collect()
}

fn mms(n: usize) -> Vec<String> {
    (0..n).map(|m| mm_name(MmId(m as u8))).collect()
}

/// Every constant.
pub(super) fn names(config: &Config) -> Vec<String> {
    let nobody = ["NoMm", "NoCpu"].map(String::from);
    [cpus(config), mms(config.slots()), nobody.to_vec()].concat()
}

/// Constants, and the sets that variables take their values from.
pub(super) fn constants(e: &Exported<'_>) -> String {
    let c = e.config;
    let slots = c.slots();
    let mut text = String::from("CONSTANTS\n");
    let _ = writeln!(text, "    {},  \\* the CPUs", cpus(c).join(", "));
    let spare = match slots > c.environment.mms as usize {
        true => ", the last one for pgd_alloc to fill",
        false => "",
    };
    let _ = writeln!(text, "    {},  \\* mm slots{spare}", mms(slots).join(", "));
    text += "    NoMm,  \\* no mm: swapper_pg_dir is loaded, or the end of a list\n";
    text += "    NoCpu  \\* nobody\n\n";
    let mapped = mms(c.environment.mms as usize);
    let _ = writeln!(text, "CPUS == {{{}}}", cpus(c).join(", "));
    let _ = writeln!(text, "MMS == {{{}}}", mms(slots).join(", "));
    let _ = writeln!(
        text,
        "MAPPED == {{{}}}  \\* alive at the start",
        mapped.join(", ")
    );
    let programs: Vec<_> = e
        .programs()
        .map(|f| format!("\"{}\"", f.program.id))
        .collect();
    let _ = writeln!(text, "PROGRAMS == {{\"idle\", {}}}", programs.join(", "));
    text += "
\\* A context is process context or the interrupt above it, of a CPU. Locks are owned and awaited
\\* by contexts: an interrupt queues behind its own interrupted code.
CONTEXTS == CPUS \\X {\"task\", \"irq\"}
Task(c) == <<c, \"task\">>
Irq(c) == <<c, \"irq\">>

ENTRIES == {\"pte\", \"pmd\"}  \\* translations in a TLB
PAGE == {\"pte\"}            \\* what flush_tlb_page covers
ALL == {\"pte\", \"pmd\"}      \\* flush_tlb_mm: x86 had no ranged flush, the whole mm goes

\\* _PAGE_PRESENT, _PAGE_ACCESSED, _PAGE_DIRTY, _PAGE_SPLITTING; a pmd with \"table\" points to ptes.
BITS == {\"present\", \"accessed\", \"dirty\", \"splitting\", \"table\"}
LIVES == {\"unborn\", \"forking\", \"alive\", \"dying\", \"freed\"}
";
    if ipis(e) {
        text += "REQUESTS == [from : CPUS, mm : MMS, scope : {PAGE, ALL}]  \\* a flush IPI\n";
    }
    text += "
\\* Locks by name, for what a context holds.
PgdLock == <<\"pgd_lock\", NoMm>>
PageTableLock(m) == <<\"page_table_lock\", m>>
";
    let mut locks = String::from("{PgdLock} \\cup {PageTableLock(m) : m \\in MMS}");
    if c.environment.split_ptlocks {
        text += "PteLock(m) == <<\"pte_lock\", m>>\n";
        locks += " \\cup {PteLock(m) : m \\in MMS}";
    }
    let _ = writeln!(text, "LOCKS == {locks}");
    if e.rwlock() {
        text += "
\\* x86's rwlock_t of 2.6.38: readers get in whenever no writer owns the lock, even past waiting
\\* writers; whoever waits is served in order of arrival.
RWLOCKS == [
    writer : SUBSET CONTEXTS,  \\* one at most
    readers : SUBSET CONTEXTS,
    queue : Seq([who : CONTEXTS, mode : {\"read\", \"write\"}])]
UNLOCKED == [writer |-> {}, readers |-> {}, queue |-> <<>>]
";
    }
    text
}

/// Conditions.
pub(super) fn tests(e: &Exported<'_>) -> String {
    let runs = |id| e.programs().any(|f| f.program.id == id);
    let mut text = String::from(
        "\
InIrq(c) == program[c].irq # \"idle\"

\\* The context is at this step; it executes it only while no handler runs above it.
At(c, l, name, step) == program[c][l] = name /\\ pc[c][l] = step
Executes(c, l, name, step) == At(c, l, name, step) /\\ (l = \"irq\" \\/ ~InIrq(c))
Goto(c, l, step) == pc' = [pc EXCEPT ![c][l] = step]

\\* Contexts that run this program on this mm.
Runs(name, m) == {x \\in CONTEXTS : program[x[1]][x[2]] = name /\\ mm[x[1]][x[2]] = m}

alive(m) == life[m] = \"alive\"
nobody_on(m) == \\A c \\in CPUS : active_mm[c] # m
Loaded(c, m) == loaded[c] /\\ active_mm[c] = m
\\* The hardware walker would find a translation here.
Translates(bits) == \"present\" \\in bits /\\ \"table\" \\notin bits
Cached(m, entry) == \\E c \\in CPUS : Loaded(c, m) /\\ entry \\in tlb[c]
Listed(m) == \\E i \\in DOMAIN pgd_list : pgd_list[i] = m
takes_interrupts(c) == irqs_on[c] /\\ ~InIrq(c)
",
    );
    text += match ipis(e) {
        true => "awaits_acks(c) == acks[c] # {}\n",
        false => "awaits_acks(c) == FALSE  \\* a flush waits for no CPU here\n",
    };
    text += "
\\* References of running programs that name the mm; the handler of the flush IPI has none.
users(m) ==
    {x \\in CONTEXTS : mm[x[1]][x[2]] = m /\\ program[x[1]][x[2]] # \"flush_tlb_interrupt\"}
";
    if runs(ProgramId::ZapPageRange) {
        text +=
            "zapping(m) == Runs(\"zap_page_range\", m) # {}  \\* mmap_sem is held for writing\n";
    }
    if runs(ProgramId::SplitHugePage) {
        text += "splitters(m) == Runs(\"split_huge_page\", m)  \\* who has the anon_vma lock\n";
    }
    if e.config.environment.xen_pin {
        text += "\\* A pin or unpin is under way: nobody may switch to the mm.\n";
        text += "pinning(m) == Runs(\"xen_pgd_pin\", m) \\cup Runs(\"xen_pgd_unpin\", m) # {}\n";
    }
    text += "
\\* A ticket lock is the queue of the contexts that asked for it: the first is the owner, the
\\* others spin. From the moment of an unlock the next one owns the lock.
owns(queue, x) == queue # <<>> /\\ Head(queue) = x
";
    if e.rwlock() {
        text += "reads(l, x) == x \\in l.readers\nwrites(l, x) == x \\in l.writer\n";
    }
    text
}

/// Changes: values that steps give to variables.
pub(super) fn changes(e: &Exported<'_>) -> String {
    let has = |like: fn(&Op) -> bool| e.any_step(like);
    let mut text = String::from(match e.deviates(Variant::BrokenSpinlock) {
        true => BROKEN,
        false => SPINLOCK,
    });
    if e.rwlock() {
        text += &match e.deviates(Variant::BrokenSpinlock) {
            true => RWLOCK.replace(
                FREE,
                "free(l, mode) == TRUE  \\* DEVIATION: even if it is held",
            ),
            false => RWLOCK.to_string(),
        };
    }
    text += "Without(held_locks, lock) == SelectSeq(held_locks, LAMBDA k : k # lock)\n";
    if has(|op| matches!(op, Op::FlushLocal(_) | Op::FlushRequested)) {
        text += LOCAL_FLUSH;
    }
    if has(|op| matches!(op, Op::SendIpi(_))) {
        text += &send_ipi(e);
    }
    if has(|op| matches!(op, Op::FlushHypercall(_))) {
        text += HYPERCALL;
    }
    if has(|op| matches!(op, Op::ForEachPgd { .. })) {
        text += LIST_NEXT;
    }
    if has(|op| matches!(op, Op::ListAdd)) {
        text += "\n\\* list_add: at the head\n";
        text += "list_add(m) == IF Listed(m) THEN pgd_list ELSE <<m>> \\o pgd_list\n";
    }
    if has(|op| matches!(op, Op::ListDel)) {
        text += "\nlist_del(m) == SelectSeq(pgd_list, LAMBDA n : n # m)\n";
    }
    text
}

const SPINLOCK: &str = "\
spin_lock(queue, x) == Append(queue, x)
spin_unlock(queue, x) == Tail(queue)
";

/// The deviation in which a held lock is granted.
const BROKEN: &str = "\
\\* DEVIATION: granted although it is held
spin_lock(queue, x) == <<x>>
spin_unlock(queue, x) == IF owns(queue, x) THEN <<>> ELSE queue
";

const FREE: &str = "free(l, mode) == l.writer = {} /\\ (mode = \"write\" => l.readers = {})";

const RWLOCK: &str = "
free(l, mode) == l.writer = {} /\\ (mode = \"write\" => l.readers = {})
grant(l, x, mode) ==
    IF mode = \"write\" THEN [l EXCEPT !.writer = {x}] ELSE [l EXCEPT !.readers = @ \\cup {x}]
ask(l, x, mode) ==
    IF free(l, mode)
    THEN grant(l, x, mode)
    ELSE [l EXCEPT !.queue = Append(@, [who |-> x, mode |-> mode])]
read_lock(l, x) == ask(l, x, \"read\")
write_lock(l, x) == ask(l, x, \"write\")

\\* Lets in whoever waited longest, as far as it goes.
RECURSIVE serve(_)
serve(l) ==
    IF l.queue = <<>> \\/ ~free(l, Head(l.queue).mode)
    THEN l
    ELSE serve(grant([l EXCEPT !.queue = Tail(@)], Head(l.queue).who, Head(l.queue).mode))
\\* read_unlock, write_unlock
rw_unlock(l, x) ==
    serve(IF writes(l, x) THEN [l EXCEPT !.writer = {}] ELSE [l EXCEPT !.readers = @ \\ {x}])

";

const LOCAL_FLUSH: &str = "
\\* local_flush_tlb: drops what the flush covers, if the mm is loaded here. A lazy CPU leaves the
\\* mm instead (leave_mm): no IPI for it any more.
local_flush_tlb(c, m, covers) ==
    IF lazy[c] /\\ Loaded(c, m)
    THEN /\\ cpumask' = [cpumask EXCEPT ![m] = @ \\ {c}]
         /\\ loaded' = [loaded EXCEPT ![c] = FALSE]
         /\\ tlb' = [tlb EXCEPT ![c] = {}]
    ELSE /\\ tlb' = [tlb EXCEPT ![c] = IF Loaded(c, m) THEN @ \\ covers ELSE @]
         /\\ UNCHANGED <<cpumask, loaded>>
";

const HYPERCALL: &str = "
\\* xen_flush_tlb_others: the hypervisor flushes every CPU of the mask, nobody is awaited.
flush_hypercall(c, m, covers) ==
    [t \\in CPUS |->
        IF t \\in cpumask[m] \\cup {c} /\\ Loaded(t, m) THEN tlb[t] \\ covers ELSE tlb[t]]
";

fn send_ipi(e: &Exported<'_>) -> String {
    let mut text = String::from("\n\\* native_flush_tlb_others: every other CPU of mm_cpumask\n");
    if e.deviates(Variant::SkipOneTarget) {
        let mut highest = String::from("{}");
        for c in 0..e.config.cpus() {
            highest = format!("IF cpu{c} \\in s THEN {{cpu{c}}} ELSE {highest}");
        }
        let _ = writeln!(text, "highest(s) == {highest}");
        text += "\\* DEVIATION: without the highest one\n";
        text += "targets(c, m) == LET s == cpumask[m] \\ {c} IN s \\ highest(s)\n";
    } else {
        text += "targets(c, m) == cpumask[m] \\ {c}\n";
    }
    text + "\\* send_IPI_mask: a request in the inbox of each
send_ipi(c, m, covers) ==
    [t \\in CPUS |->
        IF t \\in targets(c, m)
        THEN inbox[t] \\cup {[from |-> c, mm |-> m, scope |-> covers]}
        ELSE inbox[t]]
"
}

const LIST_NEXT: &str = "
\\* list_for_each_entry: the pgd after this one, the first for NoMm, NoMm at the end. One that is
\\* not listed (a poisoned pointer) ends the walk.
list_next(m) ==
    LET after == {i \\in DOMAIN pgd_list : IF i = 1 THEN m = NoMm ELSE pgd_list[i - 1] = m}
    IN  IF after = {} THEN NoMm ELSE pgd_list[CHOOSE i \\in after : TRUE]
";
