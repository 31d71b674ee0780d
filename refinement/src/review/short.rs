//! Short names of the properties, for narrow columns.

const SHORT: &[(&str, &str)] = &[
    ("no_deadlock", "deadlock"),
    ("no_lock_cycle", "lock-cycle"),
    ("no_lock_held_across_ipi_wait", "strict"),
    ("irqs_on_while_waiting_for_ipi", "irqs-on"),
    ("no_irqs_off_wait_for_flush_lock", "upstream"),
    ("mutual_exclusion", "mutex"),
    ("lock_order", "order"),
    ("pgd_list_integrity", "list"),
    ("kernel_entries_synced", "sync"),
    ("no_stale_tlb_after_return", "stale-tlb"),
    ("no_use_of_freed_frame", "freed-frame"),
    ("no_walker_on_reused_table", "gup"),
    ("no_write_to_pinned_pgd", "pinned"),
    ("ack_after_flush", "ack"),
    ("progress", "progress"),
];

/// The short name of a property.
pub fn short(name: &str) -> &'static str {
    SHORT
        .iter()
        .find(|(n, _)| *n == name)
        .map_or("?", |(_, s)| s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shootdown_spec::property::PROPERTIES;

    #[test]
    fn every_property_has_a_short_name_of_its_own() {
        let names: std::collections::BTreeSet<_> =
            PROPERTIES.iter().map(|p| short(p.name)).collect();
        assert_eq!(names.len(), PROPERTIES.len());
        assert!(!names.contains("?"));
    }
}
