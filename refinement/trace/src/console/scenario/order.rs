//! The orders of a report of lockdep's or DEPT's, as tasks that take the locks so.

use super::head;
use super::names::word;
use crate::console::Diagnosis;
use std::fmt::Write as _;

/// The two orders of a report of lockdep's.
pub(super) fn of_order(d: &Diagnosis, source: &str) -> Option<String> {
    let order = d.orders.first().filter(|o| !o.edges.is_empty())?;
    let mut text = head(d, source);
    let mut names: Vec<String> = Vec::new();
    for edge in &order.edges {
        for class in [&edge.held, &edge.wanted] {
            let name = word(class);
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let _ = writeln!(text, "cpus 2;\nexpect violated no_deadlock;\n");
    for name in &names {
        let _ = writeln!(text, "spinlock_t {name};");
    }
    let first = order.edges.first()?;
    let interrupt = order.report.irq.is_some();
    let (held, wanted) = (word(&first.held), word(&first.wanted));
    let take = |a: &str, b: &str| {
        format!(
            "    spin_lock(&{a});\n    spin_lock(&{b});\n    spin_unlock(&{b});\n    spin_unlock(&{a});\n"
        )
    };
    if interrupt {
        let (outer, inner) = (&held, &wanted);
        let _ = write!(
            text,
            "\ntask holder on CPU0 {{\n    spin_lock(&{inner});\n    spin_unlock(&{inner});\n}}\n\nirq interrupt on CPU0 times 1 {{\n    spin_lock(&{outer});\n    spin_unlock(&{outer});\n}}\n\ntask other on CPU1 {{\n    local_irq_disable();\n{}    local_irq_enable();\n}}\n",
            take(outer, inner)
        );
    } else {
        for (i, edge) in order.edges.iter().take(4).enumerate() {
            let _ = write!(
                text,
                "\ntask context_{i} on CPU{} {{\n{}}}\n",
                i % 2,
                take(&word(&edge.held), &word(&edge.wanted))
            );
        }
    }
    Some(text)
}
