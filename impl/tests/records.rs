//! Events, records and traces survive the way to the disk and back.

use std::io::{self, Write};

use proptest::prelude::*;
use shootdown_impl::design::Axes;
use shootdown_impl::environment::Environment;
use shootdown_impl::event::Event;
use shootdown_impl::host::IrqMode;
use shootdown_impl::host::recorder::Record;
use shootdown_impl::host::stress::{StressConfig, Verdict, run};
use shootdown_impl::host::trace::{Footer, Header, Line, SCHEMA, TraceWriter};
use shootdown_impl::id::{CpuId, CpuMask, FrameId, MmId};
use shootdown_impl::operation::Operation;
use shootdown_impl::tlb::Slot;

/// Every word that is an event is that event's word: enumerated over all kinds and sensible field values.
fn all_events() -> Vec<Event> {
    // Fields are one byte each, at most four; ids are below 16, masks and counts any byte.
    const VALUES: [u64; 13] = [0, 1, 2, 7, 8, 15, 0x40, 0x41, 0x80, 0x81, 0x87, 0xfe, 0xff];
    let mut events = Vec::new();
    for kind in 0..=u64::from(u8::MAX) {
        for (a, b) in VALUES.iter().flat_map(|a| VALUES.map(|b| (a, b))) {
            for (c, d) in VALUES.iter().flat_map(|c| [0, 1, 2].map(|d| (c, d))) {
                events.extend(Event::unpack(kind | a << 8 | b << 16 | c << 24 | d << 32));
            }
        }
    }
    events
}

#[test]
fn every_event_survives_packing_and_json() {
    let events = all_events();
    let kinds: std::collections::BTreeSet<&str> = events.iter().map(|e| e.name()).collect();
    // Begin to TlbEvicted, numbered 1 to 56.
    assert_eq!(kinds.len(), 56);
    for event in events {
        assert_eq!(Event::unpack(event.pack()), Some(event));
        let line = Line {
            seq: 3,
            since: 1,
            cpu: 2,
            irq: true,
            event,
        };
        let json = serde_json::to_string(&line).unwrap();
        assert!(!json.contains('\n'));
        assert_eq!(serde_json::from_str::<Line>(&json).unwrap(), line, "{json}");
    }
}

#[test]
fn operation_codes_are_dense() {
    for code in 0..Operation::COUNT {
        assert_eq!(Operation::from_code(code).unwrap().code(), code);
    }
    assert_eq!(Operation::from_code(Operation::COUNT), None);
}

proptest! {
    #[test]
    fn no_word_makes_unpacking_panic_or_lose_anything(word: u64) {
        if let Some(event) = Event::unpack(word) {
            prop_assert_eq!(event.pack(), word);
        }
    }

    #[test]
    fn masks_are_lists_of_cpus_in_json(bits: u8) {
        let json = serde_json::to_string(&CpuMask(bits)).unwrap();
        let cpus: Vec<u8> = (0..8).filter(|c| bits >> c & 1 == 1).collect();
        prop_assert_eq!(&json, &serde_json::to_string(&cpus).unwrap());
        prop_assert_eq!(serde_json::from_str::<CpuMask>(&json).unwrap(), CpuMask(bits));
    }

    #[test]
    fn records_are_written_in_their_order_whatever_order_they_come_in(order in Just((0..40u64).collect::<Vec<_>>()).prop_shuffle()) {
        let mut out = Vec::new();
        let mut writer = TraceWriter::new(&mut out, &header()).unwrap();
        for &seq in &order {
            writer.push(record(seq));
            writer.write().unwrap();
        }
        prop_assert_eq!(writer.finish(true).unwrap(), 40);
        let seqs: Vec<u64> = lines(&out).0.iter().map(|l| l.seq).collect();
        prop_assert_eq!(seqs, (0..40).collect::<Vec<_>>());
    }
}

fn record(seq: u64) -> Record {
    let event = Event::GetAndClear {
        mm: MmId(1),
        slot: Slot::Pte,
        frame: Some(FrameId(2)),
    };
    Record {
        seq,
        since: seq,
        cpu: CpuId(1),
        irq: false,
        event,
    }
}

fn header() -> Header {
    Header {
        schema: SCHEMA.into(),
        machine: "host".into(),
        design: Some("tracked".into()),
        axes: Axes::default(),
        environment: Environment::default(),
        irq_mode: IrqMode::Soft.into(),
        alive: 1,
        placement: vec![Some(MmId(0)), None],
    }
}

#[derive(serde::Deserialize)]
struct End {
    end: Footer,
}

fn lines(trace: &[u8]) -> (Vec<Line>, Option<Footer>) {
    let text = std::str::from_utf8(trace).unwrap();
    let mut rest: Vec<&str> = text.lines().skip(1).collect();
    let footer = rest
        .last()
        .and_then(|l| serde_json::from_str::<End>(l).ok())
        .map(|e| e.end);
    if footer.is_some() {
        rest.pop();
    }
    (
        rest.into_iter()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect(),
        footer,
    )
}

#[test]
fn a_gap_ends_the_trace_before_it_and_is_said() {
    let mut out = Vec::new();
    let mut writer = TraceWriter::new(&mut out, &header()).unwrap();
    [0, 1, 3]
        .map(record)
        .into_iter()
        .for_each(|r| writer.push(r));
    assert_eq!(writer.finish(true).unwrap(), 2);
    let (lines, footer) = lines(&out);
    assert_eq!(lines.len(), 2);
    assert_eq!(
        footer,
        Some(Footer {
            events: 2,
            complete: false
        })
    );
}

#[test]
fn a_line_of_the_trace_looks_as_documented() {
    let mut out = Vec::new();
    let mut writer = TraceWriter::new(&mut out, &header()).unwrap();
    writer.push(record(0));
    writer.finish(true).unwrap();
    let text = String::from_utf8(out).unwrap();
    let wanted = concat!(
        r#"{"schema":"shootdown/trace/1","machine":"host","design":"tracked","axes":{"pgd_lock":"irqsave","#,
        r#""walk_takes_ptl":true,"ptl":"irqsave","flush":"after_unlock_tracked"},"environment":{"cpus":2,"mms":1,"#,
        r#""split_ptlocks":true,"thp":true,"flush_backend":"ipi","xen_pin":false,"pgd_free_in_irq":false},"#,
        r#""irq_mode":"soft","alive":1,"placement":[0,null]}"#,
        "\n",
        r#"{"seq":0,"since":0,"cpu":1,"irq":false,"event":"get_and_clear","mm":1,"slot":"pte","frame":2}"#,
        "\n",
        r#"{"end":{"events":1,"complete":true}}"#,
        "\n",
    );
    assert_eq!(text, wanted);
    assert_eq!(
        serde_json::from_str::<Header>(text.lines().next().unwrap()).unwrap(),
        header()
    );
}

/// A disk with room for so many bytes.
struct FullDisk(usize);

impl Write for FullDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self
            .0
            .checked_sub(bytes.len())
            .ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_an_error_not_a_panic() {
    let mut writer = TraceWriter::new(FullDisk(100_000), &header()).unwrap();
    let mut failed = None;
    for seq in 0..10_000 {
        writer.push(record(seq));
        if let Err(e) = writer.write() {
            failed = Some(e.kind());
            break;
        }
    }
    assert_eq!(failed, Some(io::ErrorKind::StorageFull));
}

#[test]
fn a_full_disk_ends_the_run_and_is_reported() {
    // The device that is always full: header and all are accepted only as far as they are buffered.
    let config = StressConfig {
        record: Some("/dev/full".into()),
        ..StressConfig::default()
    };
    let error = run(&config, None).unwrap_err().to_string();
    assert!(
        error.contains("/dev/full") && error.contains("No space left"),
        "{error}"
    );
}

#[test]
fn a_recorded_run_has_every_event_and_each_cpu_in_program_order() {
    let path = std::env::temp_dir().join(format!("shootdown-trace-{}.ndjson", std::process::id()));
    let config = StressConfig {
        env: Environment {
            cpus: 3,
            mms: 5,
            pgd_free_in_irq: true,
            ..Environment::default()
        },
        max_operations: Some(3000),
        record: Some(path.clone()),
        ..StressConfig::default()
    };
    let outcome = run(&config, None).unwrap();
    let trace = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(outcome.verdict, Verdict::Clean);
    let recording = outcome.recording.unwrap();
    assert_eq!(recording.error, None);
    let (lines, footer) = lines(&trace);
    assert_eq!(
        footer,
        Some(Footer {
            events: lines.len() as u64,
            complete: true
        })
    );
    assert_eq!(recording.events, lines.len() as u64);
    // Dense numbers; nothing took effect before it could.
    for (n, line) in lines.iter().enumerate() {
        assert_eq!(line.seq, n as u64);
        assert!(line.since <= line.seq);
    }
    // Per base context, operations begin and end in turn; per CPU, interrupts enter and exit in turn; locks, too.
    for cpu in 0..3 {
        let mut running: Option<Operation> = None;
        let mut in_irq = false;
        let mut held = [Vec::new(), Vec::new()];
        for line in lines.iter().filter(|l| l.cpu == cpu) {
            match line.event {
                Event::Begin { operation } => assert_eq!(running.replace(operation), None),
                Event::End { operation } => assert_eq!(running.take(), Some(operation)),
                Event::IrqEnter { .. } => assert!(!std::mem::replace(&mut in_irq, true)),
                Event::IrqExit { .. } => assert!(std::mem::replace(&mut in_irq, false)),
                Event::LockAcquired { lock } => held[usize::from(line.irq)].push(lock),
                Event::LockReleased { lock } => {
                    assert_eq!(held[usize::from(line.irq)].pop(), Some(lock))
                }
                _ => {}
            }
        }
        assert_eq!((running, in_irq, held), (None, false, [vec![], vec![]]));
    }
    let ended = lines
        .iter()
        .filter(|l| matches!(l.event, Event::End { .. }))
        .count();
    assert_eq!(ended as u64, outcome.operations);
}

#[test]
fn a_hang_leaves_a_whole_trace_up_to_it() {
    let path = std::env::temp_dir().join(format!("shootdown-hang-{}.ndjson", std::process::id()));
    let config = StressConfig {
        axes: Axes::named("v2.6.37").unwrap(),
        env: Environment {
            mms: 2,
            ..Environment::default()
        },
        programs: ["page_referenced_one", "vmalloc_sync_all"]
            .map(String::from)
            .into(),
        duration: std::time::Duration::from_secs(120),
        record: Some(path.clone()),
        ..StressConfig::default()
    };
    let outcome = run(&config, None).unwrap();
    let trace = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let Verdict::Hung(report) = outcome.verdict else {
        panic!("{:?}", outcome.verdict)
    };
    let (lines, footer) = lines(&trace);
    assert_eq!(
        footer,
        Some(Footer {
            events: lines.len() as u64,
            complete: false
        })
    );
    // The last thing the walker did was to draw a ticket for the lock it will never get.
    assert!(
        lines
            .iter()
            .rev()
            .take(40)
            .any(|l| matches!(l.event, Event::LockWait { .. }))
    );
    assert!(
        report
            .last_events
            .iter()
            .any(|r| matches!(r.event, Event::LockWait { .. })),
        "{:?}",
        report.last_events
    );
}

#[cfg(feature = "tracing")]
#[test]
fn the_tracing_observer_says_which_cpu_did_what() {
    use shootdown_impl::event::{Observer, Tracing};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Vec<String>>>);
    struct Text(String);
    impl tracing::field::Visit for Text {
        fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
            self.0 += &format!("{}={value:?} ", field.name());
        }
    }
    impl tracing::Subscriber for Seen {
        fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
            metadata.target() == "shootdown"
        }
        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn event(&self, event: &tracing::Event<'_>) {
            let mut text = Text(String::new());
            event.record(&mut text);
            self.0.lock().unwrap().push(text.0);
        }
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }

    let seen = Seen::default();
    tracing::subscriber::with_default(seen.clone(), || {
        Tracing.event(CpuId(1), Event::IpiSent { to: CpuId(0) })
    });
    let lines = seen.0.lock().unwrap();
    assert_eq!(
        *lines,
        ["cpu=1 kind=\"IpiSent\" event=IpiSent { to: CpuId(0) } "]
    );
}
