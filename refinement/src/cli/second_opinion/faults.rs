//! Seeded faults of the Promela model: a comparison that cannot fail says nothing.
//!
//! Each spoils the text that Spin gets and nothing else, and names what must give it away.

use super::{Compared, compare, table};
use crate::cli::Format;
use crate::cli::error::CliError;
use crate::cli::exit_code::ExitCode;
use crate::cli::output;
use crate::expectation::Cell;
use crate::spin::Spin;
use serde::Serialize;

/// A fault of the writer.
struct Fault {
    name: &'static str,
    /// What is wrong with the model then.
    about: &'static str,
    /// Design, environment, workload: where it shows.
    cell: [&'static str; 3],
    /// Text of the model, and what it becomes: everywhere it stands.
    from: &'static str,
    to: &'static str,
    /// What must differ: a property, `states` or `transitions`.
    seen_in: &'static str,
}

const FAULTS: &[Fault] = &[
    Fault {
        name: "ack-before-flush",
        about: "the handler acknowledges first",
        cell: ["v2.6.37", "nosplit", "try_to_unmap_one"],
        from: "local_flush_tlb(me, mm, scope);\n\t\tflushed = 1\n\t};",
        to: "cpu[sender].acks = cpu[sender].acks & ~(1 << me)\n\t};\n\td_step { \
             local_flush_tlb(me, mm, scope); flushed = 1 };",
        seen_in: "no_stale_tlb_after_return",
    },
    Fault {
        name: "no-interrupt-gate",
        about: "interrupts hit while they are off",
        cell: ["v2.6.37", "nosplit", "aging"],
        from: "(cpu[c].irqs_on && !cpu[c].in_irq)",
        to: "(!cpu[c].in_irq)",
        seen_in: "no_deadlock",
    },
    Fault {
        name: "runs-on-below-an-interrupt",
        about: "process context goes on while a handler runs above it",
        cell: ["v2.6.37", "nosplit", "aging"],
        from: " provided (!cpu[me].in_irq)",
        to: "",
        seen_in: "states",
    },
    Fault {
        name: "dropped-step",
        about: "try_to_unmap_one does not flush its own TLB",
        cell: ["v2.6.37", "nosplit", "unmapping"],
        from: "\td_step { local_flush_tlb(me, mm, PAGE) };\n",
        to: "",
        seen_in: "no_stale_tlb_after_return",
    },
    Fault {
        name: "lock-for-everybody",
        about: "nobody waits for a lock",
        cell: ["v2.6.37", "nosplit", "aging"],
        from: "#define owns(l, who)\t(l.ticket[0] == (who))",
        to: "#define owns(l, who)\t(l.ticket[0] != 0)",
        seen_in: "no_deadlock",
    },
    Fault {
        name: "fair-readers",
        about: "a reader of the rwlock waits behind waiting writers",
        cell: ["rwlock", "3-cpus", "vmalloc_sync_all,pgd_alloc"],
        from: "\t:: l.writer == 0 -> l.readers = l.readers | bit_of(who)",
        to: "\t:: l.writer == 0 && l.queue[0] == 0 -> l.readers = l.readers | bit_of(who)",
        seen_in: "states",
    },
    Fault {
        name: "fill-without-accessed",
        about: "the hardware walker does not set ACCESSED",
        cell: ["woodman", "nosplit", "aging"],
        from: "\t\tloaded_mm(0).pte.accessed = 1;\n",
        to: "",
        seen_in: "states",
    },
    Fault {
        name: "lost-placement",
        about: "one placement of the CPUs is forgotten",
        cell: ["v2.6.37", "nosplit", "unmapping"],
        from: "\t\t:: d_step { start_on(0, 0); start_on(1, NONE) }\n",
        to: "",
        seen_in: "states",
    },
    Fault {
        name: "counter-not-raised",
        about: "nobody counts the flushes that are pending",
        cell: ["tracked", "split", "reclaim-vs-munmap"],
        from: "mm_slot[mm].pending++",
        to: "mm_slot[mm].pending = 0",
        seen_in: "states",
    },
    Fault {
        name: "waits-not-looked-at",
        about: "the same model, who waits for a flush never looked at",
        cell: ["v2.6.37", "nosplit", "aging"],
        from: "!(cpu[place].acks && (seen & bit_of(TASK(place))))",
        to: "true",
        seen_in: "no_irqs_off_wait_for_flush_lock",
    },
    Fault {
        name: "assertion-upside-down",
        about: "the same model, one promise the wrong way round",
        cell: ["v2.6.37", "nosplit", "aging"],
        from: "promise(irqs_on_while_waiting_for_ipi, cpu[c].irqs_on)",
        to: "promise(irqs_on_while_waiting_for_ipi, !cpu[c].irqs_on)",
        seen_in: "irqs_on_while_waiting_for_ipi",
    },
];

#[derive(Serialize)]
struct FaultsJson {
    schema: &'static str,
    faults: Vec<Judged>,
}

#[derive(Serialize)]
struct Judged {
    fault: &'static str,
    cell: String,
    noticed: bool,
    differences: Vec<String>,
}

/// Plants every fault; one that goes unnoticed is exit code 1.
pub(super) fn run(spin: &Spin, format: Format) -> Result<ExitCode, CliError> {
    let judged = FAULTS
        .iter()
        .map(|fault| {
            let compared = planted(spin, fault)?;
            Ok(Judged {
                fault: fault.name,
                cell: compared.cell.clone(),
                noticed: noticed(fault, &compared),
                differences: compared.differences,
            })
        })
        .collect::<Result<Vec<_>, CliError>>()?;
    let code = match judged.iter().all(|j| j.noticed) {
        true => ExitCode::AsPromised,
        false => ExitCode::NotAsExpected,
    };
    if format == Format::Json {
        output::print_json(&FaultsJson {
            schema: "shootdown/second-opinion-faults/1",
            faults: judged,
        })?;
    } else {
        let mut table = table::new_table(output::width());
        table.set_header(["fault", "cell", "noticed by"]);
        for (fault, j) in FAULTS.iter().zip(&judged) {
            let by = match j.noticed {
                true => j.differences.join("\n"),
                false => format!("NOT NOTICED in {}", fault.seen_in),
            };
            let what = format!("{}: {}", fault.name, fault.about);
            table.add_row([what, table::name(&j.cell).to_string(), by]);
        }
        output::print(format!("{table}\n"))?;
    }
    Ok(code)
}

fn planted(spin: &Spin, fault: &Fault) -> Result<Compared, CliError> {
    let [design, env, workload] = fault.cell.map(String::from);
    let cell = Cell {
        design,
        env,
        workload,
        ..Cell::default()
    };
    compare(spin, &cell, &|model| {
        let spoiled = model.replace(fault.from, fault.to);
        assert!(spoiled != model, "{} finds nothing to spoil", fault.name);
        spoiled
    })
}

fn noticed(fault: &Fault, compared: &Compared) -> bool {
    let named = format!("{}:", fault.seen_in);
    compared.differences.iter().any(|d| d.starts_with(&named))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shootdown_spec::export::promela;

    #[test]
    fn every_fault_finds_something_to_spoil() {
        for fault in FAULTS {
            let [design, env, workload] = fault.cell.map(String::from);
            let cell = Cell {
                design,
                env,
                workload,
                ..Cell::default()
            };
            let model = promela::write(&cell.config().expect("it makes sense"));
            assert!(model.contains(fault.from), "{}", fault.name);
        }
    }
}
