//! The properties: a state predicate each, and `progress`.
//!
//! Written from the sentences of [`crate::property`], as a TLA+ reader would say them: a cycle of
//! waits is a set in which everybody waits for a member, not a search.

use super::super::Exported;
use super::comment;
use super::effect::conjunction;
use super::variables::At;
use crate::id::Level;
use crate::program::{Entry, Of, Op, Pc, ProgramId};
use crate::property::{PROPERTIES, Property};
use crate::variant::Variant;
use std::fmt::Write as _;

/// Who waits for whom; then every property under its sentence.
pub(super) fn all(e: &Exported<'_>) -> String {
    let dashes = "-".repeat(78);
    let mut text = format!("{dashes}\n\\* Who waits for whom\n");
    text += &waits(e);
    let _ = writeln!(text, "\n{dashes}\n\\* What is promised");
    for property in PROPERTIES {
        text.push('\n');
        text += &sentence(property);
        text += &predicate(e, property.name);
    }
    text
}

fn sentence(property: &Property) -> String {
    let mut text = comment(property.promise, "\\* ");
    text += &comment(&format!("Relied on by: {}.", property.relied_on_by), "\\* ");
    text + &comment(&format!("Not covered: {}.", property.not_covered), "\\* ")
}

/// A place in a program, and the level at which a context stands there.
struct Spot {
    program: ProgramId,
    pc: Pc,
    level: &'static str,
    op: Op,
}

impl Spot {
    /// A context of CPU `c` stands here.
    fn at(&self) -> String {
        format!("At(c, {}, \"{}\", {})", self.level, self.program, self.pc)
    }

    /// The mm that the program names.
    fn mm(&self) -> &'static str {
        match self.level {
            "\"irq\"" => "mm[c].irq",
            _ => "mm[c].task",
        }
    }
}

/// Every place of such a step.
fn spots(e: &Exported<'_>, like: impl Fn(ProgramId, &Op) -> bool) -> Vec<Spot> {
    let mut all = Vec::new();
    for flow in e.programs() {
        let id = flow.program.id;
        let levels: &[&str] = match At::of(e, id) {
            At::One(Level::Task) => &["\"task\""],
            At::One(Level::Irq) => &["\"irq\""],
            At::Either => &["\"task\"", "\"irq\""],
        };
        for step in flow.steps.iter().filter(|s| like(id, &s.line.op)) {
            all.extend(levels.iter().map(|level| Spot {
                program: id,
                pc: step.pc,
                level,
                op: step.line.op,
            }));
        }
    }
    all
}

/// For every CPU: a context that stands at one of these finds what is said there.
fn whoever(name: &str, said: Vec<String>) -> String {
    match said.is_empty() {
        true => format!("{name} == TRUE  \\* nothing here could break it\n"),
        false => format!(
            "{name} ==\n    \\A c \\in CPUS :\n{}",
            conjunction(&said, 8)
        ),
    }
}

fn waits(e: &Exported<'_>) -> String {
    let mut text = String::from(
        "
\\* Whom x waits for in the queue of a ticket lock: whoever is ahead of it.
ahead(queue, x) ==
    LET before == {i \\in DOMAIN queue : \\E j \\in DOMAIN queue : i < j /\\ queue[j] = x}
    IN  {queue[i] : i \\in before}
",
    );
    let mut each = Vec::new();
    match e.rwlock() {
        true => {
            text += "
\\* The same for an rwlock: its holders, and whoever is ahead in the queue.
behind(l, x) ==
    LET places == {i \\in DOMAIN l.queue : l.queue[i].who = x}
        before == {i \\in DOMAIN l.queue : \\E j \\in places : i < j}
    IN  IF places = {} THEN {} ELSE l.writer \\cup l.readers \\cup {l.queue[i].who : i \\in before}
";
            each.push("behind(pgd_lock, x)");
        }
        false => each.push("ahead(pgd_lock, x)"),
    }
    each.push("UNION {ahead(page_table_lock[m], x) : m \\in MMS}");
    if e.config.environment.split_ptlocks {
        each.push("UNION {ahead(pte_lock[m], x) : m \\in MMS}");
    }
    let _ = write!(
        text,
        "
\\* Who must act before a context that spins gets its lock.
spins_behind(x) ==
    {}

\\* Waits for locks, an interrupted context waiting for the handler above it.
lock_waits(x) ==
    spins_behind(x) \\cup (IF x[2] = \"task\" /\\ InIrq(x[1]) THEN {{Irq(x[1])}} ELSE {{}})

RECURSIVE reached(_)
reached(s) ==
    LET more == s \\cup UNION {{lock_waits(x) : x \\in s}}
    IN  IF more = s THEN s ELSE reached(more)
",
        each.join("\n        \\cup ")
    );
    text += &acks(e);
    text += &splits(e);
    text + "
\\* Everybody that a context waits for; whoever can move waits for nobody.
waits_for(x) == lock_waits(x) \\cup ack_waits(x) \\cup split_waits(x)

\\* A CPU that idles with interrupts off answers nobody, whatever it may still start.
deaf == {Task(c) : c \\in {c \\in CPUS : program[c].task = \"idle\" /\\ ~irqs_on[c] /\\ ~InIrq(c)}}
"
}

/// Waits for acknowledgements.
fn acks(e: &Exported<'_>) -> String {
    if !super::objects::ipis(e) {
        return "\nack_waits(x) == {}  \\* a flush waits for no CPU here\n".into();
    }
    "
\\* Who must act before the CPU `t` acknowledges the flush of `c`: whoever executes there with
\\* interrupts off; the handler, if it is at it. An acknowledgement that nobody will send any more
\\* is awaited for ever, as if from oneself.
ack_of(c, t) ==
    CASE \\E r \\in inbox[t] : r.from = c ->
            (IF takes_interrupts(t) THEN {} ELSE {IF InIrq(t) THEN Irq(t) ELSE Task(t)})
      [] program[t].irq = \"flush_tlb_interrupt\" /\\ sender[t] = c -> {Irq(t)}
      [] OTHER -> {Task(c)}
ack_waits(x) ==
    IF x[2] = \"task\" THEN UNION {ack_of(x[1], t) : t \\in acks[x[1]]} ELSE {}
"
    .replace(
        "program[t].irq = \"flush_tlb_interrupt\" /\\ sender[t] = c",
        match e
            .interrupts
            .iter()
            .any(|f| f.program.id == ProgramId::FlushTlbInterrupt)
        {
            false => "FALSE",
            true => "program[t].irq = \"flush_tlb_interrupt\" /\\ sender[t] = c",
        },
    )
}

/// Waits for the end of a split.
fn splits(e: &Exported<'_>) -> String {
    let spots = spots(e, |_, op| matches!(op, Op::AwaitNotSplitting));
    if spots.is_empty() {
        return "split_waits(x) == {}  \\* nobody waits for a split here\n".into();
    }
    let mut places: Vec<_> = spots
        .iter()
        .map(|s| s.at().replace("At(c, \"task\"", "At(x[1], x[2]"))
        .collect();
    places.dedup();
    let splitters = match e
        .programs()
        .any(|f| f.program.id == ProgramId::SplitHugePage)
    {
        true => "splitters(m)",
        false => "{}",
    };
    format!(
        "split_waits(x) ==
    LET m == mm[x[1]][x[2]]
    IN  IF ({}) /\\ \"splitting\" \\in pmd[m] THEN {splitters} ELSE {{}}
",
        places.join(" \\/ ")
    )
}

fn predicate(e: &Exported<'_>, name: &str) -> String {
    match name {
        "no_deadlock" => NO_DEADLOCK.into(),
        "no_lock_cycle" => NO_LOCK_CYCLE.into(),
        "no_lock_held_across_ipi_wait" => STRICT.into(),
        "irqs_on_while_waiting_for_ipi" => IRQS_ON.into(),
        "no_irqs_off_wait_for_flush_lock" => UPSTREAM.into(),
        "mutual_exclusion" => mutual_exclusion(e),
        "lock_order" => LOCK_ORDER.into(),
        "pgd_list_integrity" => pgd_list_integrity(e),
        "kernel_entries_synced" => kernel_entries_synced(e),
        "no_stale_tlb_after_return" => no_stale_tlb(e),
        "no_use_of_freed_frame" => no_use_of_freed_frame(e),
        "no_walker_on_reused_table" => no_walker_on_reused_table(e),
        "no_write_to_pinned_pgd" => no_write_to_pinned_pgd(e),
        "ack_after_flush" => ack_after_flush(e),
        "progress" => PROGRESS.into(),
        _ => unreachable!("{name} has no formula"),
    }
}

const NO_DEADLOCK: &str = "\
\\* As a set: contexts of which each waits for one of them can never move again.
no_deadlock ==
    ~ \\E s \\in (SUBSET {x \\in CONTEXTS : waits_for(x) # {}}) \\ {{}} :
        \\A x \\in s : waits_for(x) \\cap (s \\cup deaf) # {}
";

const NO_LOCK_CYCLE: &str = "\
no_lock_cycle ==
    ~ \\E s \\in (SUBSET {x \\in CONTEXTS : lock_waits(x) # {}}) \\ {{}} :
        \\A x \\in s : lock_waits(x) \\cap s # {}
";

const STRICT: &str = "\
no_lock_held_across_ipi_wait == \\A c \\in CPUS : awaits_acks(c) => held[c].task = <<>>
";

const IRQS_ON: &str = "\
irqs_on_while_waiting_for_ipi ==
    \\A c \\in CPUS : awaits_acks(c) /\\ ~InIrq(c) => irqs_on[c]
";

const UPSTREAM: &str = "\
no_irqs_off_wait_for_flush_lock ==
    \\A c \\in CPUS :
        LET x == IF InIrq(c) THEN Irq(c) ELSE Task(c)
        IN  ~irqs_on[c] /\\ spins_behind(x) # {} =>
                \\A y \\in reached(lock_waits(x)) : ~(y[2] = \"task\" /\\ awaits_acks(y[1]))
";

const LOCK_ORDER: &str = "\
lock_order ==
    \\A c \\in CPUS, l \\in {\"task\", \"irq\"} :
        \\A i, j \\in DOMAIN held[c][l] : i < j => held[c][l][j] # PgdLock
";

const PROGRESS: &str = "\
\\* An IPI that is never acknowledged keeps its sender from finishing.
progress == \\A c \\in CPUS : []<>(program[c].task = \"idle\" /\\ program[c].irq = \"idle\")
";

fn mutual_exclusion(e: &Exported<'_>) -> String {
    let mut awaits: Vec<String> = Vec::new();
    for flow in e.programs() {
        let steps = flow.steps.iter().filter(|s| s.awaits.is_some());
        awaits.extend(steps.map(|s| format!("<<\"{}\", {}>>", flow.program.id, s.pc)));
    }
    let mut all = Vec::new();
    match e.rwlock() {
        true => {
            all.push("pgd_lock.writer = {} \\/ pgd_lock.readers = {}".to_string());
            all.push("PgdLock \\in believed => reads(pgd_lock, x) \\/ writes(pgd_lock, x)".into());
        }
        false => all.push("PgdLock \\in believed => owns(pgd_lock, x)".into()),
    }
    all.push(
        "\\A m \\in MMS : PageTableLock(m) \\in believed => owns(page_table_lock[m], x)".into(),
    );
    if e.config.environment.split_ptlocks {
        all.push("\\A m \\in MMS : PteLock(m) \\in believed => owns(pte_lock[m], x)".into());
    }
    format!(
        "\
\\* Steps that wait to be granted the lock that was asked for last: past them it is believed to be
\\* held.
GRANTED_AT == {{
{}
}}
mutual_exclusion ==
    \\A x \\in CONTEXTS :
        LET mine == held[x[1]][x[2]]
            waits == <<program[x[1]][x[2]], pc[x[1]][x[2]]>> \\in GRANTED_AT
            believed == {{mine[i] : i \\in 1 .. Len(mine) - (IF waits THEN 1 ELSE 0)}}
        IN
{}",
        listed(&awaits),
        conjunction(&all, 12)
    )
}

/// Members of a set, a few in a line.
fn listed(all: &[String]) -> String {
    let text = all.join(", ");
    let options = textwrap::Options::new(96)
        .initial_indent("    ")
        .subsequent_indent("    ")
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::fill(&text, options)
}

fn pgd_list_integrity(e: &Exported<'_>) -> String {
    let runs = |id| e.programs().any(|f| f.program.id == id);
    let mut all = vec![
        "\\A m \\in MMS : Listed(m) => life[m] # \"freed\"".to_string(),
        "(\\A c \\in CPUS : {program[c].task, program[c].irq} \\cap {\"pgd_alloc\", \"pgd_free\"} = {}) =>\n    \
         \\A m \\in MMS : Listed(m) <=> alive(m)"
            .into(),
    ];
    if runs(ProgramId::VmallocSyncAll) {
        all.insert(
            0,
            "\\A c \\in CPUS : walk[c] # NoMm => Listed(walk[c]) /\\ life[walk[c]] # \"freed\""
                .into(),
        );
    }
    format!("pgd_list_integrity ==\n{}", conjunction(&all, 4))
}

fn kernel_entries_synced(e: &Exported<'_>) -> String {
    let returns = spots(e, |id, op| {
        id == ProgramId::VmallocSyncAll && *op == Op::Return
    });
    match returns.first() {
        None => "kernel_entries_synced == TRUE  \\* nothing walks pgd_list here\n".into(),
        Some(spot) => format!(
            "kernel_entries_synced ==
    synced \\/ (\\E c \\in CPUS : {}) =>
        \\A m \\in MMS : Listed(m) => kernel_entry[m]
",
            spot.at()
        ),
    }
}

fn no_stale_tlb(e: &Exported<'_>) -> String {
    let covers_huge = e.deviates(Variant::ZapCoversHuge) && e.config.environment.thp;
    let unmaps = |id, op: &Op| {
        *op == Op::Return
            && matches!(
                id,
                ProgramId::ZapPageRange | ProgramId::MadviseDontneed | ProgramId::TryToUnmapOne
            )
    };
    let said = spots(e, unmaps).into_iter().map(|spot| {
        let (at, mm) = (spot.at(), spot.mm());
        match spot.program {
            ProgramId::TryToUnmapOne => {
                format!("{at} /\\ changed[c] => ~Cached({mm}, \"pte\")")
            }
            _ if covers_huge => format!(
                "{at} =>\n    ~Cached({mm}, \"pte\") /\\ (Translates(pmd[{mm}]) \\/ ~Cached({mm}, \"pmd\"))"
            ),
            _ => format!("{at} => ~Cached({mm}, \"pte\")"),
        }
    });
    whoever("no_stale_tlb_after_return", said.collect())
}

fn no_use_of_freed_frame(e: &Exported<'_>) -> String {
    let mut all = vec!["page[m].freed => ~Cached(m, \"pte\")".to_string()];
    if e.config.environment.thp {
        all.push("huge_page[m].freed => ~Cached(m, \"pmd\")".into());
    }
    format!(
        "no_use_of_freed_frame ==\n    \\A m \\in MMS :\n{}",
        conjunction(&all, 8)
    )
}

fn no_walker_on_reused_table(e: &Exported<'_>) -> String {
    let gets = |_, op: &Op| matches!(op, Op::GetPage(_));
    let said = spots(e, gets).into_iter().map(|spot| {
        let (at, mm) = (spot.at(), spot.mm());
        match spot.op {
            Op::GetPage(Entry::Pte) => format!("{at} => ~page[{mm}].freed"),
            _ => format!("{at} => ~huge_page[{mm}].freed /\\ ~huge_page[{mm}].split"),
        }
    });
    whoever("no_walker_on_reused_table", said.collect())
}

fn no_write_to_pinned_pgd(e: &Exported<'_>) -> String {
    let writes = |_, op: &Op| matches!(op, Op::WriteKernelEntry { .. });
    let pins = e.config.environment.xen_pin;
    let spots = spots(e, writes).into_iter().filter(|_| pins);
    let said = spots.map(|spot| {
        let mm = match spot.op {
            Op::WriteKernelEntry { of: Of::Cursor } => "walk[c]",
            _ => spot.mm(),
        };
        format!("{} => seen_pinned[c] \\/ ~pinned[{mm}]", spot.at())
    });
    whoever("no_write_to_pinned_pgd", said.collect())
}

fn ack_after_flush(e: &Exported<'_>) -> String {
    let acks = |_, op: &Op| matches!(op, Op::Ack);
    let said = spots(e, acks)
        .into_iter()
        .map(|spot| format!("{} => flushed[c] \\/ ~Loaded(c, mm[c].irq)", spot.at()));
    whoever("ack_after_flush", said.collect())
}
