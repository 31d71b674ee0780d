//! Somebody explores for an hour: many configurations, each with its graph.

use super::server::{Server, address};
use std::time::Duration;

/// Small, so that it is full soon.
const BUDGET: u64 = 4 << 20;

#[test]
fn whoever_explores_for_an_hour_uses_no_more_memory_than_was_set_aside() {
    let server = Server::start(&["--graph-memory", "4"]);
    let programs = &[
        "vmalloc_sync_all",
        "vmalloc_fault",
        "pgd_alloc",
        "page_referenced_one_pte",
        "page_referenced_one_huge",
        "try_to_unmap_one",
        "zap_page_range",
        "enter_lazy_tlb",
        "user_access_pte",
        "gup_fast_pte",
    ];
    let designs = [
        "v2.6.36",
        "v2.6.37",
        "v2.6.38",
        "rwlock",
        "woodman",
        "deferred",
        "tracked-plain",
        "tracked",
    ];
    let configs: Vec<String> = designs
        .iter()
        .flat_map(|design| {
            programs.iter().enumerate().flat_map(move |(i, one)| {
                programs[i..].iter().map(move |other| {
                    format!("{design};cpus=2,mms=1;workload={one}/{other};start=mm0,mm0;;")
                })
            })
        })
        .collect();
    assert_eq!(configs.len(), 8 * 55);
    let mut resident = Vec::new();
    let mut largest = 0;
    for (i, config) in configs.iter().enumerate() {
        let done = server
            .events("/api/fates", &[("config", config)])
            .wait_for("done");
        let bytes = done["bytes"].as_u64().expect("a number");
        assert!(bytes > 0);
        let run = server.api("/api/run", &[("schedule", config)]);
        assert_eq!(run["fates_known"], true);
        assert_ne!(run["states"][0]["fate"], "unknown");
        // Walks on, as a reader does.
        let next = run["choices"]
            .as_array()
            .expect("a list")
            .iter()
            .find_map(|c| c["schedule"].as_str());
        let next = next.expect("something can happen at the start");
        assert_eq!(
            server.get(&address("/api/run", &[("schedule", next)])).code,
            200
        );
        let graphs = server.status()["graphs"].clone();
        assert_eq!(graphs["budget"], BUDGET);
        let held = graphs["bytes"].as_u64().expect("a number");
        assert!(held <= BUDGET, "{graphs}");
        largest = largest.max(held);
        if i % 20 == 0 {
            resident.push(server.usage().resident);
        }
    }
    let graphs = server.status()["graphs"].clone();
    assert!(
        graphs["evicted"].as_u64().expect("a number") > 50,
        "the budget was never full: {graphs}"
    );
    assert!(largest > BUDGET / 2, "{largest}");
    // What the process holds does not grow with the number of configurations.
    let (half, end) = (
        resident[resident.len() / 2],
        *resident.last().expect("measured"),
    );
    assert!(end <= half + (64 << 20), "{resident:?}");
    // Threads of searches are gone.
    std::thread::sleep(Duration::from_millis(200));
    assert!(server.usage().threads <= 12, "{:?}", server.usage());
    server.stop();
}
