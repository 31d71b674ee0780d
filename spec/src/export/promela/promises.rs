//! The properties, as assertions at the steps that can break them.
//!
//! Every property of states speaks of something that only few steps change: what a lock is asked
//! for with, who awaits whom, what is listed. Looking there is looking everywhere: each function
//! below says why.

use super::super::Exported;
use super::objects::each;
use crate::variant::Variant;
use std::fmt::Write as _;

/// The properties that are asserted: those of states, but `no_deadlock`.
fn asserted() -> impl Iterator<Item = &'static str> {
    Exported::state_properties()
        .map(|p| p.name)
        .filter(|n| *n != "no_deadlock")
}

/// One variable per property, and what several steps look at.
pub(super) fn inlines(e: &Exported<'_>) -> String {
    let mut text = String::from(
        "/* The promises. Spin's message names the variable, and so the promise, that was broken. */\n",
    );
    for name in asserted() {
        let _ = writeln!(text, "hidden byte {name};");
    }
    text += "
inline promise(name, holds)
{
	name = (holds);
	assert(name)
}
";
    text += &no_page_table_lock(e);
    text += &list(e);
    text += &waits(e);
    text += FLUSH;
    text
}

/// For `lock_order`, and the strict rule: what a context holds.
fn no_page_table_lock(e: &Exported<'_>) -> String {
    let first = usize::from(!e.rwlock());
    let locks = e.config.slots()
        * if e.config.environment.split_ptlocks {
            2
        } else {
            1
        };
    let ptl = each(locks, " || ", |l| format!("owns(lock[{}], who)", l + first));
    let pgd = match e.rwlock() {
        true => "reads(pgd_lock, who) || writes(pgd_lock, who)",
        false => "owns(pgd_lock, who)",
    };
    format!(
        "
#define holds_page_table_lock(who)	({ptl})
#define holds_a_lock(who)	({pgd} || holds_page_table_lock(who))
"
    )
}

/// `pgd_list_integrity` and `kernel_entries_synced`: only what changes the list or an mm's life can
/// break them, and the moves of a walk.
fn list(e: &Exported<'_>) -> String {
    let (cpus, slots) = (e.config.cpus(), e.config.slots());
    let astray = each(cpus, " || ", |c| {
        format!(
            "(cpu[{c}].walk != NONE && (!(listed(cpu[{c}].walk)) || mm_slot[cpu[{c}].walk].life == FREED))"
        )
    });
    let freed = each(slots, " || ", |m| {
        format!("((listed({m})) && mm_slot[{m}].life == FREED)")
    });
    let alive = each(slots, " && ", |m| format!("((listed({m})) == alive({m}))"));
    let entries = each(slots, " && ", |m| {
        format!("(!(listed({m})) || mm_slot[{m}].kernel_entry)")
    });
    format!(
        "
#define walker_astray	({astray})
#define freed_is_listed	({freed})
#define listed_equals_alive	({alive})
#define entries_synced	({entries})

/* Where pgd_list or an mm's life changes, or a walk moves */
inline look_at_list()
{{
	promise(pgd_list_integrity, !walker_astray && !freed_is_listed);
	promise(kernel_entries_synced, !synced || entries_synced)
}}
"
    )
}

/// Who waits for whom: looked at where somebody begins to spin or to await acknowledgements. A
/// wait of somebody who waited already gets no new reason otherwise: the context that takes over a lock was
/// ahead in its queue before.
fn waits(e: &Exported<'_>) -> String {
    let pgd_lock = match e.rwlock() {
        true => {
            "
			/* pgd_lock: behind its writer, its readers, and those ahead in the queue */
			ahead = pgd_lock.readers;
			if
			:: pgd_lock.writer != 0 -> ahead = ahead | bit_of(pgd_lock.writer)
			:: else
			fi;
			for (place : 0 .. SPINNERS - 1) {
				if
				:: pgd_lock.queue[place] == 0 -> break
				:: else
				fi;
				other = pgd_lock.queue[place] % WRITER;
				if
				:: (seen | bit_of(start)) & bit_of(other) -> seen = seen | ahead
				:: else
				fi;
				ahead = ahead | bit_of(other)
			}"
        }
        false => "",
    };
    let contexts = 2 * e.config.cpus();
    let broken = e.deviates(Variant::BrokenSpinlock);
    // With broken locks nobody ever spins.
    if broken {
        return "\ninline look_at_waits() { skip }\n".into();
    }
    format!(
        "
hidden byte start;	/* a context */
hidden byte seen;	/* contexts it waits for, directly or not */
hidden byte ahead;
hidden byte other;
hidden byte place;
hidden byte l_;

/* Whom each context waits for, over locks: whoever is ahead of it in a ticket queue and, if it
 * is interrupted, the handler above it. */
inline look_at_waits()
{{
	for (start : 1 .. {contexts}) {{
		seen = 0;
		do
		:: true ->
			before = seen;
			for (l_ : 0 .. LOCKS - 1) {{
				ahead = 0;
				for (place : 0 .. SPINNERS - 1) {{
					other = lock[l_].ticket[place];
					if
					:: other == 0 -> break
					:: else
					fi;
					if
					:: (seen | bit_of(start)) & bit_of(other) -> seen = seen | ahead
					:: else
					fi;
					ahead = ahead | bit_of(other)
				}}
			}}{pgd_lock}
			for (place : 0 .. CPUS - 1) {{
				if
				:: cpu[place].in_irq && ((seen | bit_of(start)) & bit_of(TASK(place))) ->
					seen = seen | bit_of(IRQ(place))
				:: else
				fi
			}}
			if
			:: seen == before -> break
			:: else
			fi
		od;
		promise(no_lock_cycle, !(seen & bit_of(start)));
		/* The upstream rule, of the context that executes on a CPU with interrupts off */
		place = (start - 1) / 2;
		if
		:: !cpu[place].irqs_on && (start % 2 == 0) == cpu[place].in_irq ->
			for (place : 0 .. CPUS - 1) {{
				promise(no_irqs_off_wait_for_flush_lock,
					!(cpu[place].acks && (seen & bit_of(TASK(place)))))
			}}
		:: else
		fi
	}}
}}
"
    )
}

/// The rules about awaiting acknowledgements: what a context holds and whether its interrupts are
/// on does not change while it awaits them.
const FLUSH: &str = "
/* Where a CPU begins to await acknowledgements */
inline look_at_flush(c)
{
	if
	:: cpu[c].acks ->
		promise(no_lock_held_across_ipi_wait, !(holds_a_lock(TASK(c))));
		promise(irqs_on_while_waiting_for_ipi, cpu[c].irqs_on);
		look_at_waits()
	:: else
	fi
}
";
