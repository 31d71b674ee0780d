//! What begins a program, in process context or by an interrupt; the hardware walkers; and all
//! moves together, with what is fair.

use super::super::flow::Flow;
use super::super::{Exported, names};
use super::effect::{Effect, define, disjunction, except};
use super::programs;
use super::steps::Steps;
use super::variables::{At, Variables};
use super::{mm_name, objects};
use crate::id::{Level, MmId};
use crate::program::{Entry, Names, ProgramId};
use crate::variant::Variant;
use std::fmt::Write as _;

/// Every move that is no step of a program; then `Next` and `Spec`.
pub(super) fn all(e: &Exported<'_>, v: &Variables) -> String {
    let dashes = "-".repeat(78);
    let mut text = format!("{dashes}\n\\* What a CPU may start\n");
    for flow in &e.tasks {
        text.push('\n');
        text += &start(e, v, flow);
    }
    if !e.interrupts.is_empty() {
        let _ = writeln!(text, "\n{dashes}\n{INTERRUPTS}");
        text += &interrupts(e, v);
    }
    let _ = writeln!(text, "\n{dashes}\n{WALKERS}");
    for entry in entries(e) {
        text += &fill(v, *entry);
        text.push('\n');
    }
    text + &specification(e)
}

const INTERRUPTS: &str = "\
\\* Interrupts: they hit between any two steps while IF is on, and do not nest
";

const WALKERS: &str = "\
\\* The hardware walkers: any CPU may cache a translation of its loaded mm at any time
";

fn entries(e: &Exported<'_>) -> &'static [Entry] {
    match e.config.environment.thp {
        true => &Entry::ALL,
        false => &[Entry::Pte],
    }
}

/// When the last reference is gone.
fn unreferenced(e: &Exported<'_>) -> Vec<String> {
    let mut all = vec![
        "alive(m)".to_string(),
        "nobody_on(m)".into(),
        "users(m) = {}".into(),
    ];
    if e.config.environment.xen_pin {
        all.push("~pinned[m]".into());
    }
    all
}

/// What starting a program asks of the mm `m`.
fn of_mm(e: &Exported<'_>, id: ProgramId) -> Vec<String> {
    let all = |s: &[&str]| s.iter().map(|s| s.to_string()).collect();
    match id {
        _ if id.info().names == Names::Nothing => Vec::new(),
        ProgramId::PgdAlloc => all(&["life[m] = \"unborn\""]),
        ProgramId::PgdFree => unreferenced(e),
        ProgramId::XenPgdPin => all(&["alive(m)", "nobody_on(m)", "~pinning(m)", "~pinned[m]"]),
        ProgramId::XenPgdUnpin => all(&["alive(m)", "nobody_on(m)", "~pinning(m)", "pinned[m]"]),
        ProgramId::SwitchMm if e.config.environment.xen_pin => all(&["alive(m)", "~pinning(m)"]),
        ProgramId::ZapPageRange => all(&["alive(m)", "~zapping(m)"]),
        ProgramId::SplitHugePage if !e.deviates(Variant::NoAnonVmaLock) => {
            all(&["alive(m)", "splitters(m) = {}"])
        }
        _ => all(&["alive(m)"]),
    }
}

/// What it asks of the CPU.
fn on_cpu(id: ProgramId) -> &'static [&'static str] {
    match id.info().names {
        Names::CurrentMm => &["active_mm[c] = m", "~lazy[c]"],
        Names::ActiveMm => &["active_mm[c] = m"],
        Names::LazyMm => &["active_mm[c] = m", "lazy[c]", "loaded[c]"],
        _ if id == ProgramId::SwitchMm => &["active_mm[c] # m \\/ lazy[c]"],
        _ => &[],
    }
}

/// What beginning a program changes, wherever it runs.
fn beginning(steps: &Steps<'_>, flow: &Flow<'_>) -> Vec<Effect> {
    let id = flow.program.id;
    let mut all = vec![
        steps.set("program", format!("\"{id}\"")),
        steps.set("pc", programs::first(steps, flow)),
    ];
    if id.info().names != Names::Nothing {
        all.push(steps.set("mm", "m"));
    }
    match id {
        ProgramId::PgdAlloc => all.push(except("life", "![m]", "\"forking\"")),
        ProgramId::PgdFree => all.push(except("life", "![m]", "\"dying\"")),
        ProgramId::SwitchMm => all.push(except("prev", "![c]", "active_mm[c]")),
        _ => {}
    }
    all
}

fn start(e: &Exported<'_>, v: &Variables, flow: &Flow<'_>) -> String {
    let id = flow.program.id;
    let at = At::One(Level::Task);
    let steps = Steps { e, v, at };
    let mut guards = vec![
        "program[c].task = \"idle\"".to_string(),
        "~InIrq(c)".into(),
        "budget[c] > 0".into(),
    ];
    guards.extend(on_cpu(id).iter().map(|s| s.to_string()));
    guards.extend(of_mm(e, id));
    let mut effects = vec![except("budget", "![c]", "@ - 1")];
    effects.extend(beginning(&steps, flow));
    let parameters = match id.info().names {
        Names::Nothing => "c",
        _ => "c, m",
    };
    define(&format!("start_{id}({parameters})"), guards, &effects, v)
}

fn interrupts(e: &Exported<'_>, v: &Variables) -> String {
    let steps = Steps {
        e,
        v,
        at: At::One(Level::Irq),
    };
    let mut text = String::new();
    for flow in &e.interrupts {
        let mut effects = beginning(&steps, flow);
        effects.push(except("irqs_on", "![c]", "FALSE"));
        if flow.program.id == ProgramId::FlushTlbInterrupt {
            effects.push(steps.set("mm", "r.mm"));
            effects.push(except("sender", "![c]", "r.from"));
            effects.push(except("scope", "![c]", "r.scope"));
            effects.push(except("inbox", "![c]", "@ \\ {r}"));
            let guards = vec!["takes_interrupts(c)".into()];
            text += "\n\\* The flush IPI is taken: its request is the handler's.\n";
            text += &define("take_flush_ipi(c, r)", guards, &effects, v);
        } else {
            let mut guards = vec!["takes_interrupts(c)".to_string()];
            guards.extend(unreferenced(e));
            text += "\n\\* An interrupt drops the last reference of an mm.\n";
            text += &define("irq_pgd_free(c, m)", guards, &effects, v);
        }
    }
    text
}

fn fill(v: &Variables, entry: Entry) -> String {
    let name = names::entry(entry);
    let guards = vec![
        "loaded[c]".to_string(),
        format!("\"{name}\" \\notin tlb[c]"),
        format!("Translates({name}[active_mm[c]])"),
    ];
    let effects = [
        except(name, "![active_mm[c]]", "@ \\cup {\"accessed\"}"),
        except("tlb", "![c]", format!("@ \\cup {{\"{name}\"}}")),
    ];
    define(&format!("fill_{name}(c)"), guards, &effects, v)
}

/// On which mms which CPU may start a program.
fn options(e: &Exported<'_>, id: ProgramId) -> Vec<String> {
    let cpus = e.config.cpus();
    let mut by_mms: Vec<(Vec<MmId>, Vec<usize>)> = Vec::new();
    for cpu in 0..cpus {
        let mms: Vec<_> = e.starts_on(cpu, id).collect();
        match by_mms.iter_mut().find(|(m, _)| *m == mms) {
            _ if mms.is_empty() => {}
            Some((_, who)) => who.push(cpu),
            None => by_mms.push((mms, vec![cpu])),
        }
    }
    let each = by_mms.into_iter().map(|(mms, who)| {
        let start = match id.info().names {
            Names::Nothing => format!("start_{id}(c)"),
            _ if mms.len() == e.config.slots() => format!("\\E m \\in MMS : start_{id}(c, m)"),
            _ => {
                let mms: Vec<_> = mms.iter().map(|m| mm_name(*m)).collect();
                format!("\\E m \\in {{{}}} : start_{id}(c, m)", mms.join(", "))
            }
        };
        let names: Vec<_> = who.iter().map(|c| format!("cpu{c}")).collect();
        match who.len() == cpus {
            true => start,
            false => format!("c \\in {{{}}} /\\ {start}", names.join(", ")),
        }
    });
    each.collect()
}

fn specification(e: &Exported<'_>) -> String {
    let dashes = "-".repeat(78);
    let mut text = format!("{dashes}\n\\* All of it\n\nStart(c) ==\n");
    let starts: Vec<_> = e
        .tasks
        .iter()
        .flat_map(|f| options(e, f.program.id))
        .collect();
    text += &disjunction(&starts, 4);

    let steps: Vec<_> = e
        .programs()
        .map(|flow| {
            let id = flow.program.id;
            match At::of(e, id) {
                At::Either => format!(
                    "\\E l \\in {{\"task\", \"irq\"}} : {}(c, l)",
                    programs::name(id)
                ),
                At::One(_) => format!("{}(c)", programs::name(id)),
            }
        })
        .collect();
    text += "\n\\* The next step of what executes on the CPU.\nStep(c) ==\n";
    text += &disjunction(&steps, 4);

    let has = |id| e.interrupts.iter().any(|f| f.program.id == id);
    let mut moves = vec!["Step(c)".to_string(), "Start(c)".into()];
    let mut fair = String::from("WF_vars(Cpu(c))");
    if has(ProgramId::FlushTlbInterrupt) {
        text += "\ntake_any_flush_ipi(c) == \\E r \\in inbox[c] : take_flush_ipi(c, r)\n";
        moves.push("take_any_flush_ipi(c)".into());
        fair += " /\\ SF_vars(take_any_flush_ipi(c))";
    }
    if has(ProgramId::PgdFree) {
        moves.push("\\E m \\in MMS : irq_pgd_free(c, m)".into());
    }
    text += "\nCpu(c) ==\n";
    text += &disjunction(&moves, 4);
    let fills: Vec<_> = entries(e)
        .iter()
        .map(|e| format!("fill_{}(c)", names::entry(*e)))
        .collect();
    let _ = writeln!(text, "\nHardware(c) == {}", fills.join(" \\/ "));
    debug_assert!(objects::ipis(e) || !has(ProgramId::FlushTlbInterrupt));
    let _ = write!(
        text,
        "
Next == \\E c \\in CPUS : Cpu(c) \\/ Hardware(c)

Spec == Init /\\ [][Next]_vars

\\* A CPU that can go on goes on, and a flush IPI that can be taken again and again is taken. The
\\* hardware walkers owe nothing.
Fairness == \\A c \\in CPUS : {fair}
FairSpec == Spec /\\ Fairness

Symmetry == Permutations(CPUS)
"
    );
    text
}
