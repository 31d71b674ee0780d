//! The variables of a module, sorted by who owns them: the hardware, the operating system, and
//! history that is kept for the proofs only.

use super::super::{Exported, names, registers};
use super::effect::conjunction;
use super::{mm_name, objects};
use crate::id::{Level, MmId};
use crate::program::{Op, ProgramId, Reg};
use crate::variant::Variant;
use std::fmt::Write as _;

/// One variable.
#[derive(Debug)]
struct Variable {
    name: &'static str,
    /// The tuple that names it together with others, for `UNCHANGED`.
    group: &'static str,
    /// Its values, for `TypeOK`.
    values: String,
    /// Its value at the start; empty for one that the placement of the CPUs decides.
    init: String,
    about: &'static str,
}

/// The groups, and the headings they stand under.
pub(super) const GROUPS: [(&str, &str); 10] = [
    ("hardware", "Hardware: CPUs"),
    ("tables", "Hardware: the page tables that they walk"),
    ("locks", "Operating system: locks"),
    ("list", "Operating system: pgd_list"),
    ("mms", "Operating system: mms and the frames they map"),
    ("cpus", "Operating system: per CPU"),
    (
        "contexts",
        "Operating system: process context and the interrupt above it",
    ),
    ("pc", "Operating system: where they are"),
    (
        "locals",
        "Operating system: local variables of the programs",
    ),
    ("history", "History, for the proofs only"),
];

/// At which levels a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// In process context or in an interrupt, only.
    One(Level),
    /// In either: its actions have the level as a parameter.
    Either,
}

/// The variables of one module.
#[derive(Debug)]
pub(super) struct Variables {
    all: Vec<Variable>,
    /// Local variables that a context has at either level.
    two_levels: Vec<&'static str>,
}

impl At {
    /// Where the program runs.
    pub fn of(e: &Exported<'_>, id: ProgramId) -> At {
        let started = e.tasks.iter().any(|f| f.program.id == id);
        let interrupts = e.interrupts.iter().any(|f| f.program.id == id);
        match (started, interrupts) {
            (true, true) => At::Either,
            (true, false) => At::One(Level::Task),
            _ => At::One(Level::Irq),
        }
    }

    /// Parameters of its actions.
    pub fn parameters(self) -> &'static str {
        match self {
            At::One(_) => "c",
            At::Either => "c, l",
        }
    }

    /// The level as an expression.
    pub fn level(self) -> &'static str {
        match self {
            At::One(Level::Task) => "\"task\"",
            At::One(Level::Irq) => "\"irq\"",
            At::Either => "l",
        }
    }

    /// The context as an expression.
    pub fn context(self) -> &'static str {
        match self {
            At::One(Level::Task) => "Task(c)",
            At::One(Level::Irq) => "Irq(c)",
            At::Either => "<<c, l>>",
        }
    }

    /// Where a variable of both levels has the value of this one.
    pub fn index(self) -> &'static str {
        match self {
            At::One(Level::Task) => "[c].task",
            At::One(Level::Irq) => "[c].irq",
            At::Either => "[c][l]",
        }
    }
}

const BOOLEANS: &str = "[CPUS -> BOOLEAN]";

impl Variables {
    /// What the configuration needs.
    pub fn of(e: &Exported<'_>) -> Variables {
        let mut v = Variables {
            all: Vec::new(),
            two_levels: vec!["program", "pc", "mm", "held"],
        };
        v.hardware(e);
        v.locks(e);
        v.mms(e);
        v.cpus(e);
        v.locals(e);
        v.history(e);
        v
    }

    fn push(
        &mut self,
        group: &'static str,
        name: &'static str,
        values: &str,
        init: &str,
        about: &'static str,
    ) {
        self.all.push(Variable {
            name,
            group,
            values: values.into(),
            init: init.into(),
            about,
        });
    }

    fn hardware(&mut self, e: &Exported<'_>) {
        let mut push = |n, v, i, a| self.push("hardware", n, v, i, a);
        let on = "[c \\in CPUS |-> TRUE]";
        push("irqs_on", BOOLEANS, on, "IF: the CPU takes interrupts");
        push("loaded", BOOLEANS, "", "CR3 points to active_mm's pgd");
        let tlb = "user translations the TLB has, all of active_mm";
        let none = "[c \\in CPUS |-> {}]";
        push("tlb", "[CPUS -> SUBSET ENTRIES]", none, tlb);
        if objects::ipis(e) {
            let inbox = "flush IPIs that were sent to the CPU and not taken yet";
            push("inbox", "[CPUS -> SUBSET REQUESTS]", none, inbox);
        }
        let mut push = |n, v, i, a| self.push("tables", n, v, i, a);
        let mapped = "[m \\in MMS |-> IF m \\in MAPPED THEN {\"present\", \"accessed\"} ELSE {}]";
        push(
            "pte",
            "[MMS -> SUBSET BITS]",
            mapped,
            "the bits of the mm's one pte",
        );
        if e.config.environment.thp {
            push(
                "pmd",
                "[MMS -> SUBSET BITS]",
                mapped,
                "the bits of its huge pmd",
            );
        }
        let absent = "[m \\in MMS |-> FALSE]";
        let entry = "the kernel half's one entry is present";
        push("kernel_entry", "[MMS -> BOOLEAN]", absent, entry);
    }

    fn locks(&mut self, e: &Exported<'_>) {
        let queue = "Seq(CONTEXTS)";
        let queues = "[MMS -> Seq(CONTEXTS)]";
        let free = "[m \\in MMS |-> <<>>]";
        let mut push = |n, v, i, a| self.push("locks", n, v, i, a);
        match e.rwlock() {
            true => push(
                "pgd_lock",
                "RWLOCKS",
                "UNLOCKED",
                "guards pgd_list; an rwlock_t",
            ),
            false => push("pgd_lock", queue, "<<>>", "guards pgd_list"),
        }
        push("page_table_lock", queues, free, "mm->page_table_lock");
        if e.config.environment.split_ptlocks {
            push(
                "pte_lock",
                queues,
                free,
                "of the pte's page-table page (split)",
            );
        }
        let listed = (0..e.config.environment.mms).rev();
        let listed: Vec<_> = listed.map(|m| mm_name(MmId(m))).collect();
        let listed = format!("<<{}>>", listed.join(", "));
        let mut push = |n, v: &str, i: &str, a| self.push("list", n, v, i, a);
        push(
            "pgd_list",
            "Seq(MMS)",
            &listed,
            "the pgds that are listed, each by its mm",
        );
        push(
            "init_entry",
            "BOOLEAN",
            "FALSE",
            "init_mm's kernel entry is present",
        );
    }

    fn mms(&mut self, e: &Exported<'_>) {
        let mut push = |n, v, i, a| self.push("mms", n, v, i, a);
        let life = "[m \\in MMS |-> IF m \\in MAPPED THEN \"alive\" ELSE \"unborn\"]";
        push(
            "life",
            "[MMS -> LIVES]",
            life,
            "how far the mm's life has come",
        );
        push(
            "cpumask",
            "[MMS -> SUBSET CPUS]",
            "",
            "mm_cpumask: whom a flush must reach",
        );
        if e.config.environment.xen_pin {
            let pinned = "Xen: the pgd page is read-only for the guest";
            push(
                "pinned",
                "[MMS -> BOOLEAN]",
                "[m \\in MMS |-> FALSE]",
                pinned,
            );
        }
        if e.any_step(|op| matches!(op, Op::RaisePending | Op::DropPending | Op::ReadPending)) {
            let pending = "flushes owed after an unlock";
            push("pending", "[MMS -> Nat]", "[m \\in MMS |-> 0]", pending);
        }
        let frame = "[m \\in MMS |-> [refs |-> IF m \\in MAPPED THEN 1 ELSE 0, freed |-> FALSE]]";
        let frames = "[MMS -> [refs : Nat, freed : BOOLEAN]]";
        push(
            "page",
            frames,
            frame,
            "the frame that the pte maps or mapped",
        );
        if e.config.environment.thp {
            let frame = frame.replace("FALSE]", "FALSE, split |-> FALSE]");
            let frames = frames.replace("BOOLEAN]", "BOOLEAN, split : BOOLEAN]");
            let about = "the compound page that the pmd maps or mapped";
            self.push("mms", "huge_page", &frames, &frame, about);
        }
    }

    fn cpus(&mut self, e: &Exported<'_>) {
        let budget = e.config.environment.ops_per_cpu;
        let mut push = |n, v: &str, i: &str, a| self.push("cpus", n, v, i, a);
        let mm = "[CPUS -> MMS \\cup {NoMm}]";
        push(
            "active_mm",
            mm,
            "",
            "whose user entries the CPU has, lazy or not; NoMm: init_mm's",
        );
        let lazy = "TLBSTATE_LAZY: a kernel thread borrows active_mm";
        push("lazy", BOOLEANS, "[c \\in CPUS |-> FALSE]", lazy);
        if objects::ipis(e) {
            let acks = "flush_cpumask: who has not acknowledged the CPU's flush yet";
            push(
                "acks",
                "[CPUS -> SUBSET CPUS]",
                "[c \\in CPUS |-> {}]",
                acks,
            );
        }
        let init = format!("[c \\in CPUS |-> {budget}]");
        let about = "programs that the CPU may still start: a bound of the model";
        push("budget", &format!("[CPUS -> 0 .. {budget}]"), &init, about);
        let both = |v: &str| format!("[CPUS -> [task : {v}, irq : {v}]]");
        let rest = |v: &str| format!("[c \\in CPUS |-> [task |-> {v}, irq |-> {v}]]");
        let mut push = |g, n, v: &str, i: &str, a| self.push(g, n, v, i, a);
        let (idle, mm) = (rest("\"idle\""), both("MMS \\cup {NoMm}"));
        push(
            "contexts",
            "program",
            &both("PROGRAMS"),
            &idle,
            "what they run",
        );
        push(
            "contexts",
            "mm",
            &mm,
            &rest("NoMm"),
            "the mm that the program names",
        );
        push(
            "pc",
            "pc",
            &both("Nat"),
            &rest("0"),
            "the number of the step that comes next",
        );
    }

    fn locals(&mut self, e: &Exported<'_>) {
        let no_mm = "[c \\in CPUS |-> NoMm]";
        let mm = "[CPUS -> MMS \\cup {NoMm}]";
        let runs = |id| e.programs().any(|f| f.program.id == id);
        if runs(ProgramId::VmallocSyncAll) {
            self.push(
                "locals",
                "walk",
                mm,
                no_mm,
                "the pgd that the walk stands on",
            );
        }
        if runs(ProgramId::SwitchMm) {
            self.push(
                "locals",
                "prev",
                mm,
                no_mm,
                "the mm that switch_mm comes from",
            );
        }
        if runs(ProgramId::FlushTlbInterrupt) {
            let (cpu, nobody) = ("[CPUS -> CPUS \\cup {NoCpu}]", "[c \\in CPUS |-> NoCpu]");
            self.push(
                "locals",
                "sender",
                cpu,
                nobody,
                "who awaits the handler's ack",
            );
            let (scope, none) = ("[CPUS -> SUBSET ENTRIES]", "[c \\in CPUS |-> {}]");
            self.push(
                "locals",
                "scope",
                scope,
                none,
                "how much the handler must flush",
            );
        }
        for (reg, about) in REGISTERS {
            let name = names::register(*reg).expect("these have names");
            let uses = |f: &super::super::flow::Flow<'_>| {
                registers(f.program).contains(reg)
                    && (*reg != Reg::SeenPinned || e.config.environment.xen_pin)
            };
            match (e.tasks.iter().any(uses), e.interrupts.iter().any(uses)) {
                (false, false) => {}
                (true, true) => {
                    self.two_levels.push(name);
                    let values = "[CPUS -> [task : BOOLEAN, irq : BOOLEAN]]";
                    let init = "[c \\in CPUS |-> [task |-> FALSE, irq |-> FALSE]]";
                    self.push("locals", name, values, init, about);
                }
                _ => {
                    let init = "[c \\in CPUS |-> FALSE]";
                    self.push("locals", name, BOOLEANS, init, about);
                }
            }
        }
    }

    fn history(&mut self, e: &Exported<'_>) {
        let mut push = |n, v, i, a| self.push("history", n, v, i, a);
        if e.programs()
            .any(|f| f.program.id == ProgramId::VmallocSyncAll)
        {
            push(
                "synced",
                "BOOLEAN",
                "FALSE",
                "a walk of pgd_list has returned",
            );
        }
        let held = "locks that a context asked for and has not released, in order";
        let values = "[CPUS -> [task : Seq(LOCKS), irq : Seq(LOCKS)]]";
        let none = "[c \\in CPUS |-> [task |-> <<>>, irq |-> <<>>]]";
        push("held", values, none, held);
    }

    /// Is there a variable of that name?
    pub fn has(&self, name: &str) -> bool {
        self.all.iter().any(|v| v.name == name)
    }

    /// Where in a variable of contexts the value of this context is.
    pub fn index(&self, name: &str, at: At) -> &'static str {
        match self.two_levels.contains(&name) {
            true => at.index(),
            false => "[c]",
        }
    }

    /// Every variable but these: by groups where a whole group is left.
    pub fn all_but(&self, changed: &[&str]) -> Vec<&str> {
        let mut all = Vec::new();
        for (group, _) in &GROUPS {
            let members = || self.all.iter().filter(|v| v.group == *group);
            if members().all(|v| !changed.contains(&v.name)) {
                all.extend(members().next().map(|v| v.group));
            } else {
                let rest = members().map(|v| v.name);
                all.extend(rest.filter(|n| !changed.contains(n)));
            }
        }
        all
    }

    /// `VARIABLES`, the groups, `TypeOK`.
    pub fn declarations(&self) -> String {
        let mut text = String::from("VARIABLES\n");
        for (at, (group, heading)) in GROUPS.iter().enumerate() {
            let members: Vec<_> = self.all.iter().filter(|v| v.group == *group).collect();
            let _ = writeln!(text, "    \\* {heading}");
            for v in &members {
                let last = at + 1 == GROUPS.len() && v.name == members[members.len() - 1].name;
                let name = format!("{}{}", v.name, if last { "" } else { "," });
                let _ = writeln!(text, "    {name:<18}\\* {}", v.about);
            }
        }
        text.push('\n');
        for (group, _) in &GROUPS {
            let members = self.all.iter().filter(|v| v.group == *group);
            let members: Vec<_> = members.map(|v| v.name).collect();
            if members == [*group] {
                continue;
            }
            let _ = writeln!(text, "{group:<8} == <<{}>>", members.join(", "));
        }
        let groups: Vec<_> = GROUPS.iter().map(|g| g.0).collect();
        let _ = writeln!(text, "{:<8} == <<{}>>\n", "vars", groups.join(", "));
        let types = self.all.iter();
        let types: Vec<_> = types
            .map(|v| format!("{} \\in {}", v.name, v.values))
            .collect();
        text + "TypeOK ==\n" + &conjunction(&types, 4)
    }

    /// `Init`: the start, with one placement of the CPUs.
    pub fn initial(&self, e: &Exported<'_>) -> String {
        let cpus = e.config.cpus();
        let mut text = String::from(
            "\
\\* Where the CPUs start. Those that share a role are interchangeable: one placement of each
\\* renaming is enough.
PLACEMENTS == {
",
        );
        let starts = e.config.starts();
        for (n, start) in starts.iter().enumerate() {
            let places = (0..cpus).map(|c| format!("cpu{c} :> {}", mm_name(start[c])));
            let places = places.collect::<Vec<_>>().join(" @@ ");
            let comma = if n + 1 == starts.len() { "" } else { "," };
            let _ = writeln!(text, "    {places}{comma}");
        }
        text += "}\n\n";
        let placed = [
            "active_mm = start".to_string(),
            "loaded = [c \\in CPUS |-> start[c] # NoMm]".into(),
            "cpumask = [m \\in MMS |-> {c \\in CPUS : start[c] = m}]".into(),
        ];
        let mut all = vec![format!(
            "\\E start \\in PLACEMENTS :\n{}",
            conjunction(&placed, 4).trim_end()
        )];
        let decided = self.all.iter().filter(|v| !v.init.is_empty());
        all.extend(decided.map(|v| format!("{} = {}", v.name, v.init)));
        if e.deviates(Variant::IretKeepsIrqsOff) {
            text += "\\* DEVIATION: iret leaves interrupts off.\n";
        }
        text + "Init ==\n" + &conjunction(&all, 4)
    }
}

/// Local variables, in the order in which they are declared.
const REGISTERS: &[(Reg, &str)] = &[
    (
        Reg::FlagsOuter,
        "flags of the outer local_irq_save: they were on",
    ),
    (Reg::FlagsInner, "flags of one inside it"),
    (
        Reg::Changed,
        "this path changed the entry, or saw init_mm's",
    ),
    (Reg::ChangedHuge, "this path cleared the huge pmd"),
    (Reg::NeedFlush, "a flush is owed"),
    (Reg::SentIpi, "IPIs were sent and must be awaited"),
    (Reg::SeenPinned, "the pgd page was seen pinned"),
    (
        Reg::Flushed,
        "the handler has flushed, or found the mm not loaded",
    ),
];
