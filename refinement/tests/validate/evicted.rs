//! A translation that the hardware drops of its own accord, on bare metal: `tlb_evicted` and the access that found it out
//! share a door call, and an interrupt may come between the two lines.

use super::judge;
use shootdown_refinement::validate::Verdict;

/// A store of CPU1 walks (the load before it has left a translation that does not do for stores), then CPU0 unmaps the page,
/// and the flush IPI comes to CPU1 before it has written down what it did.
const LINES: &[(u8, &str)] = &[
    (
        1,
        r#""event":"begin","operation":{"user_access":["pte","load"]}"#,
    ),
    (
        1,
        r#""event":"user_access","slot":"pte","kind":"load","frame":0,"filled":true"#,
    ),
    (
        1,
        r#""event":"end","operation":{"user_access":["pte","load"]}"#,
    ),
    (
        1,
        r#""event":"begin","operation":{"user_access":["pte","store"]}"#,
    ),
    (0, r#""event":"begin","operation":"zap_page_range""#),
    (0, r#""event":"lock_acquired","lock":{"pte":0}"#),
    (
        0,
        r#""event":"get_and_clear","mm":0,"slot":"pte","frame":0"#,
    ),
    (1, r#""event":"tlb_evicted","mm":0,"slot":"pte""#),
    (0, r#""event":"lock_released","lock":{"pte":0}"#),
    (0, r#""event":"flush_local","mm":0,"scope":"all""#),
    (0, r#""event":"mask_read","mm":0,"targets":[1]"#),
    (0, r#""event":"request_published","mm":0,"scope":"all""#),
    (0, r#""event":"acks_set","targets":[1]"#),
    (0, r#""event":"ipi_sent","to":1"#),
    (9, r#""event":"irq_enter","vector":{"flush_tlb":0}"#),
    (9, r#""event":"request_read","from":0,"mm":0"#),
    (
        9,
        r#""event":"flush_handled","from":0,"mm":0,"scope":"all","result":"flushed""#,
    ),
    (9, r#""event":"acked","from":0"#),
    (9, r#""event":"irq_exit","vector":{"flush_tlb":0}"#),
    (0, r#""event":"acks_complete""#),
    (0, r#""event":"frame_put","frame":0,"freed":true"#),
    (0, r#""event":"return_to_user""#),
    (0, r#""event":"end","operation":"zap_page_range""#),
    (
        1,
        r#""event":"user_access","slot":"pte","kind":"store","frame":0,"filled":true"#,
    ),
    (
        1,
        r#""event":"end","operation":{"user_access":["pte","store"]}"#,
    ),
];
const EVICTED: usize = 7;
const STORE: usize = 23;
/// The door call of the store began after four events.
const SINCE: usize = 4;

/// The run; the store's door call began after so many events; some lines are told again, or not at all.
fn run(since: usize, times: impl Fn(usize) -> usize) -> String {
    let mut text = String::from(concat!(
        r#"{"schema":"shootdown/trace/1","machine":"bare","design":"v2.6.37","#,
        r#""axes":{"pgd_lock":"irqsave","walk_takes_ptl":true,"ptl":"plain","flush":"under_lock"},"#,
        r#""environment":{"cpus":2,"mms":2,"split_ptlocks":true,"thp":true,"flush_backend":"ipi","xen_pin":false,"#,
        r#""pgd_free_in_irq":false},"irq_mode":"cli","alive":1,"placement":[0,0]}"#,
        "\n"
    ));
    let mut seq = 0;
    for (n, (who, line)) in LINES.iter().enumerate() {
        for _ in 0..times(n) {
            let shared = n == EVICTED || n == STORE;
            let since = if shared { since.min(seq) } else { seq };
            let (cpu, irq) = if *who == 9 { (1, true) } else { (*who, false) };
            text += &format!(
                "{{\"seq\":{seq},\"since\":{since},\"cpu\":{cpu},\"irq\":{irq},{line}}}\n"
            );
            seq += 1;
        }
    }
    text + &format!("{{\"end\":{{\"events\":{seq},\"complete\":true}}}}\n")
}

/// The verdict, and the line that does not fit.
fn verdict(text: &str) -> (Verdict, Option<u64>) {
    let report = judge(text.as_bytes()).expect("a trace");
    (report.verdict, report.rejection.map(|r| r.line))
}

#[test]
fn an_eviction_and_its_access_may_both_have_come_before_the_line_of_the_eviction() {
    assert_eq!(verdict(&run(SINCE, |_| 1)), (Verdict::Accepted, None));
}

#[test]
fn a_walk_that_began_after_the_entry_was_gone_is_not_excused_by_an_eviction() {
    let line = STORE as u64 + 2;
    assert_eq!(
        verdict(&run(EVICTED, |_| 1)),
        (Verdict::Rejected, Some(line))
    );
}

#[test]
fn a_walk_past_a_cached_translation_needs_an_eviction_and_an_eviction_a_translation() {
    let without = run(SINCE, |n| usize::from(n != EVICTED));
    assert_eq!(
        verdict(&without),
        (Verdict::Rejected, Some(STORE as u64 + 1))
    );
    let twice = run(SINCE, |n| 1 + usize::from(n == EVICTED));
    assert_eq!(
        verdict(&twice),
        (Verdict::Rejected, Some(EVICTED as u64 + 3))
    );
    let uncached = run(0, |n| usize::from(!matches!(n, 0..3)));
    assert_eq!(verdict(&uncached).0, Verdict::Rejected);
}
