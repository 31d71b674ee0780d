//! How fast logs and traces are read: `cargo bench -p shootdown-trace`. Each number is the best of three, of one thread.

use shootdown_trace::{console, ftrace};
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Instant;

const LOG_BYTES: usize = 200 << 20;
const TRACE_LINES: usize = 1_000_000;

fn tests() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn case(name: &str) -> String {
    std::fs::read_to_string(tests().join(format!("cases/{name}.txt"))).expect("a case")
}

/// What a machine prints while it lives, with a hang in each so many bytes.
fn ordinary(bytes: usize, hang: &str, every: usize) -> String {
    let mut text = String::with_capacity(bytes + (1 << 20));
    let (mut n, mut next) = (0_u64, every);
    while text.len() < bytes {
        n += 1;
        let _ = match n % 5 {
            0 => writeln!(
                text,
                "[{:8}.{:06}] e1000e 0000:00:1f.6 eno1: NIC Link is Up 1000 Mbps Full Duplex, Flow Control: Rx/Tx",
                n / 9,
                n % 1_000_000
            ),
            1 => writeln!(
                text,
                "[{:8}.{:06}] audit: type=1400 audit(1700000000.{:03}:{n}): apparmor=\"STATUS\" operation=\"profile_load\"",
                n / 9,
                n % 1_000_000,
                n % 1000
            ),
            2 => writeln!(
                text,
                "[{:8}.{:06}] usb 1-{}: new high-speed USB device number {} using xhci_hcd",
                n / 9,
                n % 1_000_000,
                n % 8,
                n % 127
            ),
            3 => writeln!(
                text,
                "[{:8}.{:06}] EXT4-fs (dm-{}): mounted filesystem with ordered data mode. Opts: (null)",
                n / 9,
                n % 1_000_000,
                n % 16
            ),
            _ => writeln!(
                text,
                "[{:8}.{:06}] systemd[1]: Started Session {n} of user root.",
                n / 9,
                n % 1_000_000
            ),
        };
        if text.len() > next {
            text += hang;
            next += every;
        }
    }
    text
}

fn best(what: &str, amount: f64, unit: &str, mut run: impl FnMut()) {
    let seconds = (0..3)
        .map(|_| {
            let started = Instant::now();
            run();
            started.elapsed().as_secs_f64()
        })
        .fold(f64::MAX, f64::min);
    println!("{what:<44} {:>10.1} {unit}", amount / seconds);
}

fn log(what: &str, text: &str) {
    let megabytes = text.len() as f64 / 1e6;
    best(what, megabytes, "MB/s", || {
        let diagnosis = console::read(text.as_bytes()).expect("text");
        assert!(diagnosis.lines > 1000);
    });
}

fn main() {
    let hang = case("two-sided-6.12");
    log(
        "log, a hang in each MiB",
        &ordinary(LOG_BYTES, &hang, 1 << 20),
    );
    log(
        "log, a hang in each 16 KiB",
        &ordinary(LOG_BYTES, &hang, 16 << 10),
    );
    log(
        "log, hangs and nothing else",
        &hang.repeat(LOG_BYTES / hang.len()),
    );
    let gz = std::fs::File::open(tests().join("ftrace/12_control_pgdwalk_reclaim_irqs_on.txt.gz"));
    let mut recording = String::new();
    flate2::read::MultiGzDecoder::new(gz.expect("a recording"))
        .read_to_string(&mut recording)
        .expect("text");
    let lines = recording.lines().count();
    let trace = recording.repeat(TRACE_LINES.div_ceil(lines));
    best(
        "trace, lines",
        TRACE_LINES as f64 / 1e6,
        "M lines/s",
        || {
            let report = ftrace::read(trace.as_bytes()).expect("a trace");
            assert!(report.counts.events > 0);
        },
    );
}
