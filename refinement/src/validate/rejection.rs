//! What is said of a line that does not fit: which, why, what would have fitted, and the steps that led there.

use std::collections::VecDeque;

use serde::Serialize;
use shootdown_spec::id::{Context, CpuId, Level};
use shootdown_spec::model::{Action, Protocol};
use shootdown_spec::state::{State, Why};

use super::outside::{self, Outside};
use super::shadow::Shadow;
use super::window::Recorded;
use crate::map;
use crate::relation::step::Refused;

/// A line that does not fit.
#[derive(Clone, Debug, Serialize)]
pub struct Rejection {
    /// The line, from 1.
    pub line: u64,
    /// The CPU whose event it is, if it is one's.
    pub cpu: Option<u8>,
    /// Whether it happened in an interrupt handler.
    pub irq: bool,
    /// The event.
    pub event: String,
    /// How many lines fit, the first line included.
    pub matched_lines: u64,
    /// Per candidate, what the protocol would have had to do and why it could not.
    pub reasons: Vec<Reason>,
    /// How many candidates there were.
    pub candidates: usize,
    /// What each CPU could have done instead, in the first candidate.
    pub instead: Vec<String>,
    /// The first candidate, in kernel words.
    pub state: Vec<String>,
    /// The last events that fit.
    pub last: Vec<Shown>,
}

/// Why one candidate cannot follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// What it would have had to do.
    pub wanted: String,
    /// The guard that is false, or the value that differs.
    pub reason: String,
}

/// An event, for the columns.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// Its line.
    pub line: u64,
    /// Its CPU.
    pub cpu: u8,
    /// Whether in an interrupt.
    pub irq: bool,
    /// The event.
    pub event: String,
}

/// An event in the words of the trace, without its punctuation.
fn words(event: &shootdown_impl::event::Event) -> String {
    let Ok(serde_json::Value::Object(mut fields)) = serde_json::to_value(event) else {
        return format!("{event:?}");
    };
    let name = fields.remove("event");
    let name = name
        .as_ref()
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default();
    let rest = fields.iter().map(|(k, v)| match k.as_str() {
        "operation" | "lock" | "vector" => format!(" {}", bare(v)),
        _ => format!(" {k}={}", bare(v)),
    });
    rest.fold(name.to_string(), |text, field| text + &field)
}

fn bare(value: &serde_json::Value) -> String {
    value.to_string().replace(['"', '{', '}'], "")
}

impl From<&Recorded> for Shown {
    fn from(item: &Recorded) -> Self {
        Self {
            line: item.line(),
            cpu: item.cpu.0,
            irq: item.irq,
            event: words(&item.event),
        }
    }
}

impl Rejection {
    /// This event fits no candidate.
    pub fn new(
        protocol: &Protocol,
        item: &Recorded,
        last: &VecDeque<Recorded>,
        refusals: &[(Shadow, Refused)],
    ) -> Self {
        let shown = Shown::from(item);
        let mut reasons: Vec<Reason> = Vec::new();
        for (_, Refused { wanted, reason }) in refusals {
            let new = Reason {
                wanted: wanted.clone(),
                reason: reason.clone(),
            };
            if !reasons.contains(&new) {
                reasons.push(new);
            }
        }
        let first = refusals.first().map(|(shadow, _)| shadow);
        Self {
            line: item.line(),
            cpu: Some(item.cpu.0),
            irq: item.irq,
            event: shown.event,
            matched_lines: item.line() - 1,
            candidates: refusals.len(),
            reasons,
            instead: first.map(|s| instead(protocol, s)).unwrap_or_default(),
            state: first.map(|s| picture(protocol, s)).unwrap_or_default(),
            last: last.iter().map(Shown::from).collect(),
        }
    }

    /// The last line says that all is done, and it is not.
    pub fn unfinished(
        protocol: &Protocol,
        shadow: &Shadow,
        last: &VecDeque<Recorded>,
        events: u64,
    ) -> Self {
        let running = shadow.state.each_context(&protocol.config);
        let running = running.map(|(who, ctx)| format!("{who} is in {ctx:?}"));
        let outside = shadow
            .outside
            .iter()
            .enumerate()
            .filter(|(_, o)| **o != Outside::Nothing);
        let outside = outside.map(|(cpu, &o)| format!("CPU{cpu} is in {}", outside::name(o)));
        let who: Vec<String> = running.chain(outside).collect();
        Self {
            line: events + 2,
            cpu: None,
            irq: false,
            event: "end, complete".to_string(),
            matched_lines: events + 1,
            candidates: 1,
            reasons: vec![Reason {
                wanted: "every operation is over".to_string(),
                reason: who.join("; "),
            }],
            instead: instead(protocol, shadow),
            state: picture(protocol, shadow),
            last: last.iter().map(Shown::from).collect(),
        }
    }
}

/// What each CPU could do next.
fn instead(protocol: &Protocol, shadow: &Shadow) -> Vec<String> {
    let config = &protocol.config;
    let one = |(who, cpu): (CpuId, &shootdown_spec::cpu::Cpu)| {
        let mut can = Vec::new();
        let level = cpu.top();
        let ctx = cpu.context(level);
        let running = shadow.outside[who.index()];
        let step = Action::Step { cpu: who };
        if ctx.is_running() {
            let line = config.program(ctx.program).line(ctx.pc);
            let held_back = if protocol.is_enabled(&shadow.state, &step) {
                String::new()
            } else {
                format!(", once it can: {}", protocol.why_not(&shadow.state, &step))
            };
            can.push(format!("`{}` of {}{held_back}", line.source, ctx.program));
        } else if running != Outside::Nothing {
            can.push(format!("go on with {}", outside::name(running)));
        } else {
            can.push("start an operation".to_string());
        }
        for ipi in cpu.pending_ipis() {
            let taken = if cpu.takes_interrupts() {
                ""
            } else {
                ", once it takes interrupts"
            };
            can.push(format!("take the flush IPI of {}{taken}", ipi.from));
        }
        format!("{who}: {}", can.join("; or "))
    };
    shadow.state.each_cpu(config).map(one).collect()
}

/// The state, a line for everything that is not at rest.
fn picture(protocol: &Protocol, shadow: &Shadow) -> Vec<String> {
    let (config, state) = (&protocol.config, &shadow.state);
    let mut lines = Vec::new();
    for (who, cpu) in state.each_cpu(config) {
        let mode = match (cpu.lazy, cpu.loaded) {
            (false, true) => "on",
            (true, true) => "lazily on",
            (_, false) => "has left",
        };
        let irqs = if cpu.irqs_on {
            "interrupts on"
        } else {
            "interrupts off"
        };
        let mut text = format!("{who}: {mode} {}, {irqs}, TLB {:?}", cpu.active, cpu.tlb);
        for level in [Level::Irq, Level::Task] {
            let ctx = cpu.context(level);
            if ctx.is_running() {
                let line = config.program(ctx.program).line(ctx.pc);
                text += &format!(
                    "; {}{:?}, next `{}`",
                    if level == Level::Irq { "[irq] " } else { "" },
                    ctx,
                    line.source
                );
            }
        }
        if shadow.outside[who.index()] != Outside::Nothing {
            text += &format!("; in {}", outside::name(shadow.outside[who.index()]));
        }
        if !cpu.acks.is_empty() {
            let out: Vec<_> = cpu.acks.iter().map(|c| c.to_string()).collect();
            text += &format!("; awaits the acknowledgement of {}", out.join(", "));
        }
        for ipi in cpu.pending_ipis() {
            text += &format!("; flush IPI of {} for {} pending", ipi.from, ipi.mm);
        }
        lines.push(text);
    }
    for i in 0..shootdown_spec::id::MAX_LOCKS {
        let id = shootdown_spec::id::LockId::from_index(i);
        let holders: Vec<_> = state.lock(id).holders().map(|h| h.to_string()).collect();
        let waiters: Vec<_> = shadow
            .waiting
            .iter()
            .filter(|w| w.0 == id)
            .map(|w| w.1.to_string())
            .collect();
        if !holders.is_empty() || !waiters.is_empty() {
            let held = if holders.is_empty() {
                "free".into()
            } else {
                format!("held by {}", holders.join(", "))
            };
            let awaited = if waiters.is_empty() {
                String::new()
            } else {
                format!(", awaited by {}", waiters.join(", "))
            };
            lines.push(format!("{id}: {held}{awaited}"));
        }
    }
    for (mm, of) in state.each_mm(config) {
        lines.push(format!("{mm}: {of:?}"));
    }
    let listed: Vec<_> = state.list.iter().map(|m| m.to_string()).collect();
    let init = if state.list.init_entry {
        "present"
    } else {
        "absent"
    };
    lines.push(format!(
        "pgd_list: {}; init_mm's kernel entry: {init}",
        listed.join(", ")
    ));
    lines
}

/// Who can never move again, if that is so in every state, and what each waits for.
pub fn stuck<'a>(protocol: &Protocol, shadows: impl Iterator<Item = &'a Shadow>) -> Vec<String> {
    let config = &protocol.config;
    let mut told = Vec::new();
    for shadow in shadows {
        let state = shadow.queued(protocol);
        let stuck = state.stuck(config);
        let sends =
            |who: Context| who.level == Level::Task && shadow.sends(map::id::cpu_to_code(who.cpu));
        if stuck.is_empty() || stuck.iter().any(sends) {
            return Vec::new();
        }
        if told.is_empty() {
            told = stuck
                .iter()
                .map(|who| waits(protocol, &state, who))
                .collect();
        }
    }
    told
}

fn waits(protocol: &Protocol, state: &State, who: Context) -> String {
    let ctx = who.of(&state.cpus);
    let edges = state
        .waits_for(&protocol.config, who)
        .map(|edge| match edge.why {
            Why::Lock(lock) => format!("{lock}, held by {}", edge.on),
            Why::QueuedBehind(lock) => format!("{lock}, behind {}", edge.on),
            Why::Ack => format!(
                "the acknowledgement of {}, which does not take the IPI",
                edge.on.cpu
            ),
            Why::LostAck(cpu) => format!("an acknowledgement of {cpu} that never comes"),
            Why::Interrupted => "the interrupt above it".to_string(),
            Why::Split(mm) => format!("the split of {mm}'s pmd by {}", edge.on),
        });
    let edges: Vec<String> = edges.collect();
    let held: Vec<_> = ctx.held.iter().map(|l| l.to_string()).collect();
    let holds = if held.is_empty() {
        String::new()
    } else {
        format!(" holds {} and", held.join(", "))
    };
    let irqs = if state.cpu(who.cpu).irqs_on {
        ""
    } else {
        ", interrupts off"
    };
    format!(
        "{who}, in {}{irqs},{holds} waits for {}",
        ctx.program,
        edges.join(" and ")
    )
}
