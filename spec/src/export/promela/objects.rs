//! What there is: constants, types, the tests and the changes that steps are made of.

use super::super::Exported;
use crate::design::PgdLock;
use crate::program::Op;
use crate::variant::Variant;
use std::fmt::Write as _;

/// Joins what `each` says about the numbers below `n`.
pub(super) fn each(n: usize, with: &str, each: impl Fn(usize) -> String) -> String {
    (0..n).map(each).collect::<Vec<_>>().join(with)
}

/// Sizes and codes.
pub(super) fn constants(e: &Exported<'_>) -> String {
    let (cpus, slots) = (e.config.cpus(), e.config.slots());
    let mut text = format!(
        "\
#define CPUS	{cpus}
#define MMS	{slots}	/* slots, one for pgd_alloc to fill included */
#define SPINNERS	{spinners}	/* contexts that may ask for a lock */
#define NONE	255	/* no mm: swapper_pg_dir is loaded, or the end of a list */

/* A context is process context or the interrupt above it, of a CPU. Locks are owned and
 * awaited by contexts: an interrupt queues behind its own interrupted code. */
#define TASK(cpu)	(2*(cpu) + 1)
#define IRQ(cpu)	(2*(cpu) + 2)
#define bit_of(who)	(1 << ((who) - 1))

/* User translations in a TLB; how much a flush covers */
#define PTE	1
#define PMD	2
#define PAGE	1	/* flush_tlb_page: the pte's translation */
#define ALL	3	/* flush_tlb_mm: x86 had no ranged flush, the whole mm goes */

/* A flush IPI in a CPU's inbox */
#define request(m, scope)	(4*(m) + (scope))

mtype = {{ UNBORN, FORKING, ALIVE, DYING, FREED }};	/* how far an mm's life has come */
",
        spinners = e.lockers(),
    );
    text.push('\n');
    let first = usize::from(!e.rwlock());
    if !e.rwlock() {
        text += "#define pgd_lock	lock[0]\n";
    }
    let _ = writeln!(
        text,
        "#define page_table_lock(m)	lock[{first} + (m)]\t/* mm->page_table_lock */"
    );
    let mut locks = first + slots;
    if e.config.environment.split_ptlocks {
        let _ = writeln!(
            text,
            "#define pte_lock(m)	lock[{locks} + (m)]\t/* of the pte's page-table page */"
        );
        locks += slots;
    }
    let _ = writeln!(text, "#define LOCKS	{locks}");
    text
}

/// State of the machine.
pub(super) fn types(e: &Exported<'_>) -> String {
    let thp = e.config.environment.thp;
    let mut text = String::from(
        "\
/* A ticket lock: the first place is the owner's, the others spin, first come first served.
 * From the moment of an unlock the next one owns the lock. */
typedef spinlock_t {
	byte ticket[SPINNERS]	/* contexts; 0: free */
}

typedef entry_t {
	bit present;
	bit accessed;
	bit dirty;
	bit splitting;
	bit table	/* of the pmd: points to a table of ptes now */
}

typedef frame_t {
	byte refs;	/* of the mapping, of fast GUP */
	bit freed;
	bit split	/* the compound page was split */
}

typedef mm_t {
	mtype life;
	byte cpumask;	/* mm_cpumask: whom a flush must reach */
	byte users;	/* running programs that name it */
	byte pending;	/* flushes owed after an unlock (tracked designs) */
	byte splitters;	/* split_huge_page at work: the anon_vma lock */
	bit zapping;	/* mmap_sem held for writing by a munmap */
	bit pinning;	/* a pin or unpin is under way: nobody may switch to it */
	bit pinned;	/* Xen: the pgd page is read-only for the guest */
	bit kernel_entry;	/* the kernel half's one entry is present */
	entry_t pte;
	frame_t page",
    );
    if thp {
        text += ";\n	entry_t pmd;\n	frame_t huge_page";
    }
    text += "
}

typedef cpu_t {
	bit irqs_on;	/* IF */
	bit in_irq;	/* a handler runs */
	bit lazy;	/* TLBSTATE_LAZY: a kernel thread borrows active_mm */
	bit loaded;	/* CR3 points to active_mm's pgd */
	byte active_mm;
	byte tlb;	/* user translations it may still use, all of active_mm */
	byte acks;	/* flush_cpumask: who has not acknowledged its flush yet */
	byte walk;	/* the pgd that its vmalloc_sync_all stands on */
	byte budget;	/* programs it may still start */
	byte inbox[CPUS]	/* flush IPIs not taken yet, by sender */
}

";
    if e.rwlock() {
        text += "\
/* x86's of 2.6.38: readers get in whenever no writer owns the lock, even past waiting
 * writers; whoever waits is served in order of arrival. */
typedef rwlock_t {
	byte writer;
	byte readers;	/* a bit per context */
	byte queue[SPINNERS]	/* contexts, a writer's with WRITER */
}
#define WRITER	16

rwlock_t pgd_lock;
";
    }
    text += "\
spinlock_t lock[LOCKS];
cpu_t cpu[CPUS];
mm_t mm_slot[MMS];
byte pgd_list[MMS];	/* head first, NONE behind the end */
bit init_entry;	/* init_mm's kernel entry is present */
bit synced;	/* history, for the proofs only: a walk has returned */
byte changing;	/* pgd_alloc and pgd_free under way, for the proofs only */

/* Scratch of a single step: no part of the state */
hidden byte i;
hidden byte before;
";
    text
}

/// Conditions.
pub(super) fn tests(e: &Exported<'_>) -> String {
    let cpus = e.config.cpus();
    let slots = e.config.slots();
    let mut text = String::from(
        "\
#define owns(l, who)	(l.ticket[0] == (who))
#define alive(m)	(mm_slot[m].life == ALIVE)
#define loaded(c, m)	(cpu[c].loaded && cpu[c].active_mm == (m))
#define translates(e)	(e.present && !e.table)	/* the hardware walker would find it */
#define takes_interrupts(c)	(cpu[c].irqs_on && !cpu[c].in_irq)
",
    );
    if e.rwlock() {
        text += "\
#define reads(l, who)	((l.readers & bit_of(who)) != 0)
#define writes(l, who)	(l.writer == (who))
";
    }
    let mut define = |head: &str, body: String| {
        let _ = writeln!(text, "#define {head}	({body})");
    };
    define(
        "nobody_on(m)",
        each(cpus, " && ", |c| format!("cpu[{c}].active_mm != (m)")),
    );
    define(
        "cached(m, what)",
        each(cpus, " || ", |c| {
            format!("(loaded({c}, m) && (cpu[{c}].tlb & (what)))")
        }),
    );
    define(
        "listed(m)",
        each(slots, " || ", |i| format!("pgd_list[{i}] == (m)")),
    );
    text
}

/// Changes.
pub(super) fn inlines(e: &Exported<'_>) -> String {
    let has = |like: fn(&Op) -> bool| e.any_step(like);
    let mut text = spinlock(e);
    if e.config.design.pgd_lock == PgdLock::Rwlock {
        text += &rwlock(e);
    }
    text += TLB;
    if has(|op| matches!(op, Op::SendIpi(_))) {
        text += &send_ipi(e);
    }
    if has(|op| matches!(op, Op::FlushHypercall(_))) {
        text += HYPERCALL;
    }
    text += "
/* The entry is gone, all of it */
inline clear_entry(e)
{
	e.present = 0;
	e.accessed = 0;
	e.dirty = 0;
	e.splitting = 0;
	e.table = 0
}
";
    text += LIST;
    if has(|op| matches!(op, Op::FreeMm)) {
        text += FREE_MM.0;
        if e.config.environment.thp {
            text += FREE_MM.1;
        }
        text += FREE_MM.2;
    }
    text
}

fn spinlock(e: &Exported<'_>) -> String {
    if e.deviates(Variant::BrokenSpinlock) {
        return BROKEN.into();
    }
    SPINLOCK.into()
}

fn rwlock(e: &Exported<'_>) -> String {
    if e.deviates(Variant::BrokenSpinlock) {
        let free = ["l.writer == 0 && l.readers == 0 ->", "l.writer == 0 ->"];
        return free.iter().fold(RWLOCK.to_string(), |text, free| {
            text.replace(
                &format!("\t:: {free} l."),
                "\t:: true -> /* DEVIATION */ l.",
            )
        });
    }
    RWLOCK.into()
}

const SPINLOCK: &str = "
/* spin_lock: takes a ticket. Whoever was not first waits in its next step: owns(l, who). */
inline spin_lock(l, who)
{
	if
	:: l.ticket[0] == 0 -> l.ticket[0] = who
	:: else ->
		i = 1;
		do
		:: l.ticket[i] != 0 -> i++
		:: else -> break
		od;
		l.ticket[i] = who;
		look_at_waits()
	fi
}

inline spin_unlock(l, who)
{
	promise(mutual_exclusion, owns(l, who));
	for (i : 1 .. SPINNERS - 1) {
		l.ticket[i - 1] = l.ticket[i]
	}
	l.ticket[SPINNERS - 1] = 0
}
";

/// The deviation in which a held lock is granted.
const BROKEN: &str = "
/* DEVIATION: granted although it is held */
inline spin_lock(l, who)
{
	l.ticket[0] = who
}

inline spin_unlock(l, who)
{
	promise(mutual_exclusion, owns(l, who));
	if
	:: owns(l, who) -> l.ticket[0] = 0
	:: else
	fi
}
";

const RWLOCK: &str = "
inline queue_up(l, ticket_of)
{
	i = 0;
	do
	:: l.queue[i] != 0 -> i++
	:: else -> break
	od;
	l.queue[i] = ticket_of;
	look_at_waits()
}

/* Whoever was not let in waits in its next step: reads(l, who) */
inline read_lock(l, who)
{
	if
	:: l.writer == 0 -> l.readers = l.readers | bit_of(who)
	:: else -> queue_up(l, who)
	fi
}

/* The same: writes(l, who) */
inline write_lock(l, who)
{
	if
	:: l.writer == 0 && l.readers == 0 -> l.writer = who
	:: else -> queue_up(l, who + WRITER)
	fi
}

/* read_unlock, write_unlock: lets in whoever waited longest, as far as it goes */
inline rw_unlock(l, who)
{
	if
	:: writes(l, who) -> l.writer = 0
	:: else -> l.readers = l.readers & ~bit_of(who)
	fi;
	do
	:: l.queue[0] > WRITER && l.writer == 0 && l.readers == 0 ->
		l.writer = l.queue[0] - WRITER;
		next_in_queue(l)
	:: l.queue[0] != 0 && l.queue[0] < WRITER && l.writer == 0 ->
		l.readers = l.readers | bit_of(l.queue[0]);
		next_in_queue(l)
	:: else -> break
	od;
	i = 0	/* a d_step must not end with a loop */
}

inline next_in_queue(l)
{
	for (i : 1 .. SPINNERS - 1) {
		l.queue[i - 1] = l.queue[i]
	}
	l.queue[SPINNERS - 1] = 0
}
";

const TLB: &str = "
/* Flushes the CPU's TLB if it has the mm loaded */
inline flush_if_loaded(c, m, scope_of)
{
	if
	:: loaded(c, m) -> cpu[c].tlb = cpu[c].tlb & ~(scope_of)
	:: else
	fi
}

/* load_cr3(swapper_pg_dir) */
inline load_swapper(c)
{
	cpu[c].loaded = 0;
	cpu[c].tlb = 0
}

inline clear_cpumask(c, m)
{
	mm_slot[m].cpumask = mm_slot[m].cpumask & ~(1 << (c))
}

/* A flush that finds its CPU lazy becomes leave_mm: no IPI for that mm any more */
inline local_flush_tlb(c, m, scope_of)
{
	if
	:: cpu[c].lazy && loaded(c, m) -> clear_cpumask(c, m); load_swapper(c)
	:: else -> flush_if_loaded(c, m, scope_of)
	fi
}
";

const HYPERCALL: &str = "
/* xen_flush_tlb_others: the hypervisor flushes every CPU of the mask, nobody is awaited */
inline flush_hypercall(c, m, scope_of)
{
	flush_if_loaded(c, m, scope_of);
	for (i : 0 .. CPUS - 1) {
		if
		:: mm_slot[m].cpumask & (1 << i) -> flush_if_loaded(i, m, scope_of)
		:: else
		fi
	}
}
";

fn send_ipi(e: &Exported<'_>) -> String {
    let skip = if e.deviates(Variant::SkipOneTarget) {
        "	/* DEVIATION: without the highest one */
	i = CPUS;
	do
	:: i > 0 && !(cpu[c].acks & (1 << (i - 1))) -> i--
	:: else -> break
	od;
	if
	:: i > 0 -> cpu[c].acks = cpu[c].acks & ~(1 << (i - 1))
	:: else
	fi;
"
    } else {
        ""
    };
    format!(
        "
/* native_flush_tlb_others: a request to every other CPU of mm_cpumask */
inline send_ipi(c, m, scope_of)
{{
	cpu[c].acks = mm_slot[m].cpumask & ~(1 << (c));
{skip}	sent_ipi = (cpu[c].acks != 0);
	for (i : 0 .. CPUS - 1) {{
		if
		:: cpu[c].acks & (1 << i) -> cpu[i].inbox[c] = request(m, scope_of)
		:: else
		fi
	}}
	look_at_flush(c)
}}
"
    )
}

const LIST: &str = "
/* list_for_each_entry: to the next pgd. A cursor that is not listed ends the walk. */
inline list_next(c)
{
	i = 0;
	if
	:: cpu[c].walk == NONE
	:: else ->
		do
		:: i < MMS && pgd_list[i] != cpu[c].walk -> i++
		:: else -> break
		od;
		i++
	fi;
	if
	:: i < MMS -> cpu[c].walk = pgd_list[i]
	:: else -> cpu[c].walk = NONE
	fi
}

/* list_add: at the head */
inline list_add(m)
{
	if
	:: listed(m)
	:: else ->
		for (i : 1 .. MMS - 1) {
			pgd_list[MMS - i] = pgd_list[MMS - i - 1]
		}
		pgd_list[0] = m
	fi
}

inline list_del(m)
{
	if
	:: listed(m) ->
		i = 0;
		do
		:: pgd_list[i] != m -> i++
		:: else -> break
		od;
		do
		:: i < MMS - 1 -> pgd_list[i] = pgd_list[i + 1]; i++
		:: else -> break
		od;
		pgd_list[MMS - 1] = NONE
	:: else
	fi
}
";

const FREE_MM: (&str, &str, &str) = (
    "
/* free_page(pgd), free_mm: entries, frames and all */
inline free_mm(m)
{
	mm_slot[m].life = FREED;
	mm_slot[m].cpumask = 0;
	mm_slot[m].pending = 0;
	mm_slot[m].splitters = 0;
	mm_slot[m].zapping = 0;
	mm_slot[m].pinning = 0;
	mm_slot[m].pinned = 0;
	mm_slot[m].kernel_entry = 0;
	clear_entry(mm_slot[m].pte);
	mm_slot[m].page.refs = 0;
	mm_slot[m].page.freed = 0;
	mm_slot[m].page.split = 0",
    ";
	clear_entry(mm_slot[m].pmd);
	mm_slot[m].huge_page.refs = 0;
	mm_slot[m].huge_page.freed = 0;
	mm_slot[m].huge_page.split = 0",
    "
}
",
);
