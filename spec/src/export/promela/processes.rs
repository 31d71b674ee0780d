//! Who runs the programs: process context and interrupts of each CPU, the hardware walkers; and
//! `init`, which places the CPUs.

use super::super::flow::Flow;
use super::super::{Exported, names, registers};
use super::indent;
use super::objects::each;
use super::programs;
use super::steps::unused_if_freed;
use crate::id::MmId;
use crate::program::{Entry, Names, Program, ProgramId};
use crate::variant::Variant;
use std::fmt::Write as _;

/// Every process.
pub(super) fn all(e: &Exported<'_>) -> String {
    let mut text = starts(e);
    text += &task(e);
    if !e.interrupts.is_empty() {
        text += &interrupts(e);
    }
    text += &page_walkers(e);
    text += &init(e);
    text
}

/// Local variables of a process that runs these programs.
fn declarations(flows: &[Flow<'_>]) -> String {
    let mut all: Vec<Local> = vec![("byte mm".to_string(), "mm", "NONE")];
    for local in flows.iter().flat_map(|f| own(f.program)) {
        if !all.contains(&local) {
            all.push(local);
        }
    }
    let declare = |(declaration, _, rest): Local| match rest {
        "0" => format!("\t{declaration};\n"),
        _ => format!("\t{declaration} = {rest};\n"),
    };
    all.into_iter().map(declare).collect()
}

/// What the last step of a program does beside the return: drops its reference and its sleeping
/// locks, forgets its variables.
pub(super) fn ending(e: &Exported<'_>, flow: &Flow<'_>) -> Vec<String> {
    let id = flow.program.id;
    let mut all: Vec<String> = Vec::new();
    let mut push = |s: &str| all.push(s.to_string());
    match id {
        ProgramId::VmallocSyncAll => {
            push("promise(kernel_entries_synced, entries_synced)");
            push("synced = 1");
            // A walk that broke off still stands on a pgd.
            push("cpu[me].walk = NONE");
        }
        ProgramId::ZapPageRange | ProgramId::MadviseDontneed => {
            push("promise(no_stale_tlb_after_return, !cached(mm, PTE))");
            if e.deviates(Variant::ZapCoversHuge) && e.config.environment.thp {
                push(
                    "promise(no_stale_tlb_after_return, \
                     translates(mm_slot[mm].pmd) || !cached(mm, PMD))",
                );
            }
        }
        ProgramId::TryToUnmapOne => {
            push("promise(no_stale_tlb_after_return, !(changed && cached(mm, PTE)))");
        }
        ProgramId::PgdAlloc | ProgramId::PgdFree => {
            push("changing--");
            push("promise(pgd_list_integrity, changing != 0 || listed_equals_alive)");
        }
        _ => {}
    }
    match id {
        ProgramId::XenPgdPin | ProgramId::XenPgdUnpin => push("mm_slot[mm].pinning = 0"),
        ProgramId::ZapPageRange => push("mm_slot[mm].zapping = 0"),
        ProgramId::SplitHugePage => push("mm_slot[mm].splitters--"),
        _ => {}
    }
    if id.info().names != Names::Nothing {
        push("mm_slot[mm].users--");
    }
    if names::names_mm(id) {
        push("mm = NONE");
    }
    for (_, name, rest) in own(flow.program) {
        push(&format!("{name} = {rest}"));
    }
    let irq = |id| e.interrupts.iter().any(|f| f.program.id == id);
    let task = |id| e.tasks.iter().any(|f| f.program.id == id);
    match (task(id), irq(id)) {
        (true, true) => push("if\n:: self == IRQ(me) -> iret(me)\n:: else\nfi"),
        (false, _) => push("iret(me)"),
        _ => {}
    }
    all
}

/// A local variable: its declaration, its name, its value at rest.
type Local = (String, &'static str, &'static str);

/// Local variables that a program uses beside `mm`.
fn own(program: &Program) -> Vec<Local> {
    let mut all: Vec<Local> = Vec::new();
    if names::keeps_prev(program.id) {
        all.push(("byte prev".into(), "prev", "NONE"));
    }
    if program.id == ProgramId::FlushTlbInterrupt {
        all.push(("byte sender".into(), "sender", "0"));
        all.push(("byte scope".into(), "scope", "0"));
    }
    let named = registers(program).into_iter().filter_map(names::register);
    all.extend(named.map(|name| (format!("bit {name}"), name, "0")));
    all
}

/// What starting a program asks of the CPU and of the mm `m`.
fn may_start(e: &Exported<'_>, id: ProgramId) -> String {
    let on_cpu = match id.info().names {
        Names::CurrentMm => "cpu[me].active_mm == (m) && !cpu[me].lazy",
        Names::ActiveMm => "cpu[me].active_mm == (m)",
        Names::LazyMm => "cpu[me].active_mm == (m) && cpu[me].lazy && cpu[me].loaded",
        _ if id == ProgramId::SwitchMm => "(cpu[me].active_mm != (m) || cpu[me].lazy)",
        _ => "",
    };
    let of_mm = match id {
        _ if id.info().names == Names::Nothing => "",
        ProgramId::PgdAlloc => "mm_slot[m].life == UNBORN",
        ProgramId::PgdFree => UNREFERENCED,
        ProgramId::XenPgdPin => {
            "alive(m) && nobody_on(m) && !mm_slot[m].pinning && !mm_slot[m].pinned"
        }
        ProgramId::XenPgdUnpin => {
            "alive(m) && nobody_on(m) && !mm_slot[m].pinning && mm_slot[m].pinned"
        }
        ProgramId::SwitchMm => "alive(m) && !mm_slot[m].pinning",
        ProgramId::ZapPageRange => "alive(m) && !mm_slot[m].zapping",
        ProgramId::SplitHugePage if !e.deviates(Variant::NoAnonVmaLock) => {
            "alive(m) && mm_slot[m].splitters == 0"
        }
        _ => "alive(m)",
    };
    let parts = ["cpu[me].budget > 0", on_cpu, of_mm];
    let said = parts.into_iter().filter(|p| !p.is_empty());
    said.collect::<Vec<_>>().join(" && ")
}

/// When the last reference is gone.
const UNREFERENCED: &str =
    "alive(m) && nobody_on(m) && mm_slot[m].users == 0 && !mm_slot[m].pinned";

/// What a program does to its mm when it starts.
fn beginning(id: ProgramId) -> Vec<&'static str> {
    let mut all = Vec::new();
    if id.info().names != Names::Nothing {
        all.push("mm_slot[mm].users++");
    }
    all.extend(match id {
        ProgramId::PgdAlloc => vec!["mm_slot[mm].life = FORKING", "changing++"],
        ProgramId::PgdFree => vec!["mm_slot[mm].life = DYING", "changing++"],
        ProgramId::XenPgdPin | ProgramId::XenPgdUnpin => vec!["mm_slot[mm].pinning = 1"],
        ProgramId::ZapPageRange => vec!["mm_slot[mm].zapping = 1"],
        ProgramId::SplitHugePage => vec!["mm_slot[mm].splitters++"],
        ProgramId::SwitchMm => vec!["prev = cpu[me].active_mm"],
        _ => vec![],
    });
    all
}

/// The rules of starting, one pair per program.
fn starts(e: &Exported<'_>) -> String {
    let mut text = String::from(
        "/* When a program may start on mm m, and what it takes: a reference, sleeping locks */\n",
    );
    for flow in &e.tasks {
        let id = flow.program.id;
        let _ = writeln!(text, "#define may_start_{id}(m)	({})", may_start(e, id));
    }
    if e.config.environment.pgd_free_in_irq {
        let _ = writeln!(text, "#define unreferenced(m)	({UNREFERENCED})");
    }
    for flow in e.programs() {
        let id = flow.program.id;
        let begin = beginning(id);
        if begin.is_empty() {
            continue;
        }
        let _ = write!(text, "\ninline begin_{id}()\n{{\n");
        text += indent(&begin.join(";\n"), 1).trim_end();
        text += "\n}\n";
    }
    if !e.interrupts.is_empty() {
        text += ENTER_IRQ;
        text += if e.deviates(Variant::IretKeepsIrqsOff) {
            IRET_DEVIATES
        } else {
            IRET
        };
    }
    text
}

const ENTER_IRQ: &str = "
inline enter_irq()
{
	cpu[me].in_irq = 1;
	cpu[me].irqs_on = 0
}

/* The flush IPI of a CPU is taken: its request is the handler's */
inline take_ipi(from)
{
	sender = from;
	mm = cpu[me].inbox[from] / 4;
	scope = cpu[me].inbox[from] % 4;
	cpu[me].inbox[from] = 0;
	enter_irq()
}
";

const IRET: &str = "
inline iret(c)
{
	cpu[c].in_irq = 0;
	cpu[c].irqs_on = 1
}
";

const IRET_DEVIATES: &str = "
/* DEVIATION: interrupts stay off */
inline iret(c)
{
	cpu[c].in_irq = 0;
	look_at_waits();
	promise(irqs_on_while_waiting_for_ipi, cpu[c].acks == 0)
}
";

fn mm_name(mm: MmId) -> String {
    match mm.is_some() {
        true => mm.0.to_string(),
        false => "NONE".into(),
    }
}

/// Process context: starts what the workload lets it start.
fn task(e: &Exported<'_>) -> String {
    let mut text = String::from(
        "
/* Process context of a CPU: executes only while no handler runs above it */
proctype task(byte me) provided (!cpu[me].in_irq)
{
",
    );
    text += &declarations(&e.tasks);
    text += "\nend_idle:\n\tdo\n";
    for flow in &e.tasks {
        let id = flow.program.id;
        let call = programs::call(flow, "TASK(me)");
        text += &format!("\t::\tif\n{}\t\tfi;\n\t\t{call}\n", options(e, id));
    }
    text += "\tod\n}\n";
    text
}

/// On which mms which CPU may start it.
fn options(e: &Exported<'_>, id: ProgramId) -> String {
    let cpus = e.config.cpus();
    let mut mms: Vec<(MmId, Vec<usize>)> = Vec::new();
    for cpu in 0..cpus {
        for mm in e.starts_on(cpu, id) {
            match mms.iter_mut().find(|(m, _)| *m == mm) {
                Some((_, who)) => who.push(cpu),
                None => mms.push((mm, vec![cpu])),
            }
        }
    }
    let mut text = String::new();
    for (mm, who) in mms {
        let only = match who.len() == cpus {
            true => String::new(),
            false => {
                let any = who.iter().map(|c| format!("me == {c}"));
                format!("({}) && ", any.collect::<Vec<_>>().join(" || "))
            }
        };
        let mm = mm_name(mm);
        let mut does = vec![];
        if names::names_mm(id) {
            does.push(format!("mm = {mm}"));
        }
        if !beginning(id).is_empty() {
            does.push(format!("begin_{id}()"));
        }
        does.push("cpu[me].budget--".into());
        let does = does.join("; ");
        let _ = writeln!(
            text,
            "\t\t:: d_step {{ {only}may_start_{id}({mm}) -> {does} }}"
        );
    }
    text
}

/// Interrupts: the flush IPI, and the last `mmdrop`.
fn interrupts(e: &Exported<'_>) -> String {
    let cpus = e.config.cpus();
    let has = |id| e.interrupts.iter().any(|f| f.program.id == id);
    let mut text = String::from(
        "
/* Interrupts of a CPU: they hit between any two steps while IF is on and do not nest */
proctype interrupts(byte me)
{
",
    );
    text += &declarations(&e.interrupts);
    text += "\nend_at_rest:\n\tdo\n";
    if has(ProgramId::FlushTlbInterrupt) {
        text += "\t::\tif\n";
        for from in 0..cpus {
            let _ = writeln!(
                text,
                "\t\t:: d_step {{ takes_interrupts(me) && cpu[me].inbox[{from}] != 0 -> take_ipi({from}) }}"
            );
        }
        text += "\t\tfi;\n\t\tflush_tlb_interrupt(IRQ(me))\n";
    }
    if has(ProgramId::PgdFree) {
        text += "\t::\tif\n";
        for mm in 0..e.config.slots() {
            let _ = writeln!(
                text,
                "\t\t:: d_step {{ takes_interrupts(me) && unreferenced({mm}) -> mm = {mm}; \
                 begin_pgd_free(); enter_irq() }}"
            );
        }
        text += "\t\tfi;\n\t\tpgd_free(IRQ(me))\n";
    }
    text + "\tod\n}\n"
}

/// The hardware walkers: a translation of the loaded mm may be cached at any time.
fn page_walkers(e: &Exported<'_>) -> String {
    let entries: &[Entry] = match e.config.environment.thp {
        true => &Entry::ALL,
        false => &[Entry::Pte],
    };
    let mut text = String::from(
        "
/* The hardware walkers: any CPU may cache a translation of its loaded mm at any time */
#define loaded_mm(c)	mm_slot[cpu[c].active_mm]

proctype page_walkers()
{
end_at_rest:
	do
",
    );
    for cpu in 0..e.config.cpus() {
        for &entry in entries {
            let (field, bit) = match entry {
                Entry::Pte => ("pte", "PTE"),
                Entry::Huge => ("pmd", "PMD"),
            };
            let _ = writeln!(
                text,
                "\t:: d_step {{\n\t\tcpu[{cpu}].loaded && !(cpu[{cpu}].tlb & {bit}) && \
                 translates(loaded_mm({cpu}).{field}) ->\n\t\tloaded_mm({cpu}).{field}.accessed = 1;\n\t\t\
                 cpu[{cpu}].tlb = cpu[{cpu}].tlb | {bit};\n\t\t{}\n\t}}",
                unused_if_freed(&format!("cpu[{cpu}].active_mm"), entry)
            );
        }
    }
    text + "\tod\n}\n"
}

/// The start: mms alive and mapped young, kernel entries not synced; then the placements.
fn init(e: &Exported<'_>) -> String {
    let c = e.config;
    let mut text = String::from(
        "
inline start_on(c, m)
{
	if
	:: (m) != NONE ->
		cpu[c].active_mm = m;
		cpu[c].loaded = 1;
		mm_slot[m].cpumask = mm_slot[m].cpumask | (1 << (c))
	:: else
	fi
}

inline map_young(e, f)
{
	e.present = 1;
	e.accessed = 1;
	f.refs = 1
}

init {
	atomic {
		d_step {
			for (i : 0 .. CPUS - 1) {
				cpu[i].irqs_on = 1;
				cpu[i].active_mm = NONE;
				cpu[i].walk = NONE;
",
    );
    let _ = writeln!(
        text,
        "\t\t\t\tcpu[i].budget = {}\n\t\t\t}}",
        c.environment.ops_per_cpu
    );
    text += "\t\t\tfor (i : 0 .. MMS - 1) {\n\t\t\t\tpgd_list[i] = NONE;\n\t\t\t\tmm_slot[i].life = UNBORN\n\t\t\t}\n";
    for mm in 0..c.environment.mms {
        let mut all = vec![
            format!("mm_slot[{mm}].life = ALIVE"),
            format!("map_young(mm_slot[{mm}].pte, mm_slot[{mm}].page)"),
        ];
        if c.environment.thp {
            all.push(format!(
                "map_young(mm_slot[{mm}].pmd, mm_slot[{mm}].huge_page)"
            ));
        }
        all.push(format!("list_add({mm})"));
        text += &indent(&(all.join(";\n") + ";"), 3);
    }
    text += "\t\t\ti = 0\n\t\t};\n";
    text += "\t\tif\t/* where the CPUs start; those that share a role are interchangeable */\n";
    for start in c.starts() {
        let places = each(c.cpus(), "; ", |cpu| {
            format!("start_on({cpu}, {})", mm_name(start[cpu]))
        });
        let _ = writeln!(text, "\t\t:: d_step {{ {places} }}");
    }
    text += "\t\tfi;\n";
    for cpu in 0..c.cpus() {
        let _ = writeln!(text, "\t\trun task({cpu});");
        if !e.interrupts.is_empty() {
            let _ = writeln!(text, "\t\trun interrupts({cpu});");
        }
    }
    text + "\t\trun page_walkers()\n\t}\n}\n"
}
