//! Ten thousand requests that no page would send.

use super::server::{DEADLOCK, Dice, Server, Usage, address};
use std::thread;

const REQUESTS: usize = 10_000;

/// One request as bytes, right and wrong in every place.
fn request(dice: &mut Dice, host: &str) -> Vec<u8> {
    let words = [
        "",
        "0",
        "-1",
        "99999999999999999999",
        "spec",
        "impl",
        "x",
        "\u{1f4a3}",
        "..",
        "%",
        "%zz",
        "%00",
        "a=b",
        "tracked",
        "v2.6.37",
        "no_deadlock",
        "svg",
        "html",
        "splat",
        "mm0",
        ";;;;;",
        "1*4",
        "NaN",
        "true",
    ];
    let paths = [
        "/",
        "/ui/main.js",
        "/ui/../x",
        "/api/about",
        "/api/run",
        "/api/run",
        "/api/run",
        "/api/run",
        "/api/compare",
        "/api/export",
        "/api/find",
        "/api/fates",
        "/api/status",
        "/api/nope",
        "/api/run/",
        "//api//run",
        "/%2e%2e/",
    ];
    let keys = [
        "schedule", "subject", "at", "hashes", "config", "property", "with", "format", "design",
        "env", "x",
    ];
    let mut params: Vec<(&str, String)> = Vec::new();
    for _ in 0..dice.below(4) {
        let value = match dice.below(3) {
            0 => schedule(dice),
            _ => dice.pick(&words).to_string(),
        };
        params.push((dice.pick(&keys), value));
    }
    // Mostly with a schedule, or nothing is looked at further.
    if dice.below(3) > 0 {
        params.insert(0, ("schedule", schedule(dice)));
    }
    let params: Vec<(&str, &str)> = params.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let mut path = address(dice.pick(&paths), &params);
    if dice.below(20) == 0 {
        path = path.replace("%3B", ";").replace("%20", "%2");
    }
    let method = dice.pick(&[
        "GET", "GET", "GET", "GET", "GET", "GET", "HEAD", "POST", "BREW",
    ]);
    let host = match dice.below(12) {
        0 => "evil.example",
        1 => "",
        _ => host,
    };
    let length = match dice.below(16) {
        0 => "Content-Length: 99999999999\r\n",
        1 => "Content-Length: x\r\n",
        2 => "Content-Length: 5\r\n",
        3 => "Transfer-Encoding: chunked\r\n",
        _ => "",
    };
    let text =
        format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{length}Connection: close\r\n\r\n");
    let mut bytes = text.into_bytes();
    match dice.below(12) {
        // Truncated.
        0 => bytes.truncate(dice.below(bytes.len())),
        // A byte that is another.
        1 => {
            let at = dice.below(bytes.len());
            bytes[at] = dice.below(256) as u8;
        }
        _ => {}
    }
    bytes
}

/// A schedule: right, cut off, or with a piece that is another.
fn schedule(dice: &mut Dice) -> String {
    let base = [
        DEADLOCK,
        "tracked;cpus=2,mms=1;workload=aging;start=mm0,mm0;0:vmalloc_sync_all 0*3 1~pmd;",
        "deferred;cpus=2,mms=1,thp=off;workload=reclaim-vs-munmap;start=mm0,mm0;0:try_to_unmap_one@mm0 0*4;",
        "v2.6.38;cpus=2,mms=2,pgd_free_in_irq=on;workload=lifecycle;start=mm0,none;0!free@mm1 0*3;",
        "pgd_lock=plain,walk_takes_ptl=no,ptl=plain,flush=under_lock;cpus=4,mms=3;workload=idle/idle/idle/aging;start=mm0,mm0,mm0,mm0;;",
        "v2.6.37;cpus=2,mms=1;workload=aging;variants=lost-ack;start=mm0,mm0;[ 0:vmalloc_sync_all ];",
    ];
    let text = dice.pick(&base).to_string();
    let pieces = [
        "0*4",
        "1!0",
        "0!free@mm3",
        "9",
        "0~pte",
        "0:pgd_free@mm2",
        "[",
        "]",
        "4096",
        "mm9",
        "cpus=4",
        "\u{0}",
    ];
    match dice.below(4) {
        0 => text,
        1 => text.chars().take(dice.below(text.len())).collect(),
        2 => {
            let mut parts: Vec<&str> = text.split_inclusive([';', ' ', ',']).collect();
            let at = dice.below(parts.len());
            parts[at] = dice.pick(&pieces);
            parts.concat()
        }
        _ => {
            let cut = text.len() - 1;
            format!("{} {};", &text[..cut], dice.pick(&pieces))
        }
    }
}

/// Answered or refused, never a failure of the server.
fn is_fair(request: &[u8], answer: &str) {
    let code = answer.split(' ').nth(1).unwrap_or("");
    let shown = String::from_utf8_lossy(request);
    let fair = [
        "", "200", "400", "403", "404", "405", "413", "414", "422", "431", "503",
    ];
    assert!(fair.contains(&code), "{code} for {shown}: {answer:.300}");
}

#[test]
fn ten_thousand_random_requests_neither_break_it_nor_leave_anything_behind() {
    // Kept graphs are no leak; the less of them, the more a leak shows.
    let server = Server::start(&["--graph-memory", "8"]);
    let host = server.address.to_string();
    let round = |seed: usize, n: usize| {
        thread::scope(|scope| {
            for worker in 0..2 {
                let (server, host) = (&server, &host);
                scope.spawn(move || {
                    let mut dice = Dice::new();
                    for _ in 0..seed * 2 + worker {
                        dice.below(2);
                    }
                    for _ in 0..n / 2 {
                        let bytes = request(&mut dice, host);
                        is_fair(&bytes, &server.send(&bytes));
                    }
                });
            }
        });
        server.idle();
    };
    // What is allocated once is allocated after the first half; what leaks, leaks in the second half as well.
    round(0, REQUESTS / 2);
    let mut usages: Vec<Usage> = vec![server.usage()];
    // 20 KiB a request. A search under way may take more once, and the allocator keeps what it had: a leak goes on.
    let steady = |usages: &[Usage]| match usages {
        [.., before, after] => after.resident <= before.resident + (96 << 20),
        _ => false,
    };
    for seed in [7, 13, 19] {
        round(seed, REQUESTS / 2);
        usages.push(server.usage());
        if steady(&usages) {
            break;
        }
    }
    assert!(steady(&usages), "{usages:?}");
    let (before, after) = (&usages[0], &usages[usages.len() - 1]);
    assert!(after.threads <= before.threads + 4, "{usages:?}");
    assert!(after.files <= before.files + 8, "{usages:?}");
    let status = server.status();
    assert!(
        status["requests"].as_u64().expect("a number") > 8000,
        "{status}"
    );
    server.stop();
}
