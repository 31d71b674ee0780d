//! What loggers put before a line of the kernel's, taken off.
//!
//! Seen: printk's time and caller, syslog levels, `/dev/kmsg` and pstore records, syslog and journald, ISO times of
//! loggers, `dmesg -T`, `-x` and `-H`, mails that quote, JSON of log collectors. They come in any order and more than once,
//! so each is tried until none fits.

/// Who printed a line, where `CONFIG_PRINTK_CALLER` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Caller {
    /// `T311`: a task.
    Task(u32),
    /// `C1`: a CPU, in an interrupt.
    Cpu(u32),
}

/// A line without its prefixes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cleaned<'a> {
    /// What the kernel printed.
    pub text: &'a str,
    /// printk's time, in seconds since boot.
    pub time: Option<f64>,
    /// Who printed it.
    pub caller: Option<Caller>,
    /// Blanks between the prefixes and the text: lockdep prints two CPUs side by side.
    pub indent: usize,
}

/// Takes all prefixes off.
#[must_use]
pub fn strip(line: &str) -> Cleaned<'_> {
    let mut cleaned = Cleaned {
        text: line.trim(),
        indent: line.len() - line.trim_start().len(),
        ..Cleaned::default()
    };
    // Each takes something off, and no logger stacks more than a few.
    for _ in 0..12 {
        let before = cleaned.text;
        let rest = match before.as_bytes().first() {
            Some(b'[') => bracket(before, &mut cleaned),
            Some(b'<') => level(before),
            Some(b'>' | b'|') => Some(&before[1..]),
            Some(b'0'..=b'9') => iso(before)
                .or_else(|| kmsg(before, &mut cleaned))
                .or_else(|| epoch(before))
                .or_else(|| clock(before)),
            Some(b'A'..=b'Z') => syslog(before).or_else(|| word(before)),
            Some(b'a'..=b'z') => word(before),
            _ => None,
        };
        match rest {
            Some(rest) => {
                cleaned.text = rest.trim_start();
                cleaned.indent = rest.len() - cleaned.text.len();
            }
            None => break,
        }
    }
    cleaned
}

/// `[ 12.3]`, `[ 12.3@1]`, `[  T311]`, `[   C1]`, `[Thu Oct 30 06:21:23 2025]`, `[2025-10-30 06:21:23]`, `[  +0.000012]`.
fn bracket<'a>(text: &'a str, cleaned: &mut Cleaned<'a>) -> Option<&'a str> {
    let end = memchr::memchr(b']', text.as_bytes())?;
    if end > 48 {
        return None;
    }
    let (inside, rest) = (text[1..end].trim(), &text[end + 1..]);
    let first = *inside.as_bytes().first()?;
    match first {
        b'0'..=b'9' => {
            let mut parts = inside.split(['@', ' ', ',']);
            let time = parts.next().unwrap_or("");
            if let (true, Ok(seconds)) = (time.contains('.'), time.parse::<f64>()) {
                cleaned.time = Some(seconds);
                // `[ 12.3,1]`, `[ 12.3@1]`: the CPU, on some phones.
                if let Some(cpu) = parts.next().and_then(|cpu| cpu.parse().ok()) {
                    cleaned.caller.get_or_insert(Caller::Cpu(cpu));
                }
                if let Some(caller) = inside.split_whitespace().nth(1).and_then(caller) {
                    cleaned.caller = Some(caller);
                }
                return Some(rest);
            }
            let date = inside.len() >= 8 && inside.contains([':', '-']) && !inside.contains('<');
            date.then_some(rest)
        }
        b'T' | b'C' if caller(inside).is_some() => {
            cleaned.caller = caller(inside);
            Some(rest)
        }
        b'+' => inside[1..].parse::<f64>().is_ok().then_some(rest),
        b'A'..=b'Z' => {
            let has_clock = inside
                .as_bytes()
                .windows(3)
                .any(|w| w[0].is_ascii_digit() && w[1] == b':' && w[2].is_ascii_digit());
            (has_clock && is_date_word(inside)).then_some(rest)
        }
        _ => None,
    }
}

fn caller(text: &str) -> Option<Caller> {
    let number = text.get(1..)?.trim().parse().ok()?;
    match text.as_bytes()[0] {
        b'T' => Some(Caller::Task(number)),
        b'C' => Some(Caller::Cpu(number)),
        _ => None,
    }
}

fn is_date_word(text: &str) -> bool {
    const WORDS: [&str; 19] = [
        "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "Jan", "Feb", "Mar", "Apr", "May", "Jun",
        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    text.get(..3).is_some_and(|word| WORDS.contains(&word))
}

/// `<4>`, and syslog's `<4>1 `.
fn level(text: &str) -> Option<&str> {
    let end = memchr::memchr(b'>', text.as_bytes()).filter(|end| (2..=4).contains(end))?;
    let rest = &text[end + 1..];
    let digits = text[1..end].bytes().all(|b| b.is_ascii_digit());
    digits.then(|| rest.strip_prefix("1 ").unwrap_or(rest))
}

/// `2025-11-12T03:14:07.123456+00:00 host kernel: `, `2025-11-12 03:14:07 `.
fn iso(text: &str) -> Option<&str> {
    let b = text.as_bytes();
    if b.len() < 19
        || b[4] != b'-'
        || b[7] != b'-'
        || !matches!(b[10], b'T' | b' ' | b'_')
        || b[13] != b':'
    {
        return None;
    }
    let end = 11 + b[11..].iter().position(|b| b.is_ascii_whitespace())?;
    let rest = text[end..].trim_start();
    let rest = rest.strip_prefix("UTC ").unwrap_or(rest);
    let rest = rest
        .strip_prefix("stdout F ")
        .or_else(|| rest.strip_prefix("stderr F "))
        .unwrap_or(rest);
    Some(tag(rest).unwrap_or(rest))
}

/// `03:14:07 ` and `03:14:07.123 `.
fn clock(text: &str) -> Option<&str> {
    let b = text.as_bytes();
    if b.len() < 9 || b[2] != b':' || b[5] != b':' || !b[6].is_ascii_digit() {
        return None;
    }
    let end = b.iter().position(|b| b.is_ascii_whitespace())?;
    let clean = text[..end]
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b':' | b'.' | b','));
    clean.then(|| &text[end..])
}

/// `1762913647.118004 host kernel: `, of `journalctl -o short-unix`.
fn epoch(text: &str) -> Option<&str> {
    let end = text.bytes().position(|b| b.is_ascii_whitespace())?;
    let (seconds, fraction) = text[..end].split_once('.')?;
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let fits = (9..=11).contains(&seconds.len()) && digits(seconds) && digits(fraction);
    fits.then(|| tag(text[end..].trim_start()))?
}

/// `4,5005,12915307506,-;text` and `4,5005,12915307506,-,caller=T311;text`.
fn kmsg<'a>(text: &'a str, cleaned: &mut Cleaned<'a>) -> Option<&'a str> {
    let b = text.as_bytes();
    if !b.iter().take(4).any(|b| *b == b',') {
        return None;
    }
    let end = memchr::memchr(b';', &b[..b.len().min(96)])?;
    let mut fields = text[..end].split(',');
    let _level: u32 = fields.next()?.parse().ok()?;
    let _sequence: u64 = fields.next()?.parse().ok()?;
    let micros: u64 = fields.next()?.parse().ok()?;
    cleaned.time = Some(micros as f64 / 1e6);
    for field in fields {
        if let Some(who) = field.strip_prefix("caller=").and_then(caller) {
            cleaned.caller = Some(who);
        }
    }
    Some(&text[end + 1..])
}

/// `Nov 12 03:14:07 host kernel: `.
fn syslog(text: &str) -> Option<&str> {
    if !is_date_word(text) {
        return None;
    }
    // Past the clock, wherever in the date it stands.
    let b = text.as_bytes();
    let start = b[..b.len().min(32)]
        .windows(3)
        .position(|w| w[0].is_ascii_digit() && w[1] == b':' && w[2].is_ascii_digit())?;
    let end = start + b[start..].iter().position(|b| b.is_ascii_whitespace())?;
    let mut rest = text[end..].trim_start();
    // `2025` behind the clock, as `date` prints it.
    if rest.len() > 5
        && rest.as_bytes()[..4].iter().all(u8::is_ascii_digit)
        && rest.as_bytes()[4] == b' '
    {
        rest = &rest[5..];
    }
    Some(tag(rest).unwrap_or(rest))
}

/// `host kernel: `, `host kernel - - - `, `host kernel[0]: `, `kernel: `.
fn tag(text: &str) -> Option<&str> {
    let head = &text.as_bytes()[..text.len().min(96)];
    let at = memchr::memmem::find(head, b"kernel")?;
    let before = text[..at].trim_end();
    if before.contains(['[', '<', '(']) || before.split_whitespace().count() > 2 {
        return None;
    }
    let rest = &text[at + 6..];
    if let Some(rest) = rest
        .strip_prefix(" - - - ")
        .or_else(|| rest.strip_prefix(": "))
        .or_else(|| rest.strip_prefix(':'))
    {
        return Some(rest);
    }
    let bracket = rest.strip_prefix('[')?;
    let end = bracket.find("]:").filter(|end| *end < 12)?;
    Some(&bracket[end + 2..])
}

/// Words before a line: `kernel: `, `kern  :warn  : `, `MESSAGE=`, a netconsole receiver's `host kernel: `.
fn word(text: &str) -> Option<&str> {
    if let Some(rest) = text
        .strip_prefix("kernel:")
        .or_else(|| text.strip_prefix("MESSAGE="))
    {
        return Some(rest);
    }
    if text.starts_with("kern") {
        let rest = text
            .trim_start_matches("kern")
            .trim_start()
            .strip_prefix([':', '.'])?;
        let end = rest.bytes().position(|b| !b.is_ascii_lowercase())?;
        let (level, rest) = (&rest[..end], rest[end..].trim_start());
        let rest = rest.strip_prefix(':').unwrap_or(rest);
        const LEVELS: [&str; 9] = [
            "emerg", "alert", "crit", "err", "warn", "notice", "info", "debug", "warning",
        ];
        return LEVELS.contains(&level).then_some(rest);
    }
    // `host kernel: ` without a date, or behind printk's time (`journalctl -o short-monotonic`); a driver may say
    // `foo: kernel: `, which is no host.
    let host = text.split(' ').next()?;
    let rest = tag(text)?;
    (!host.ends_with(':') || rest.trim_start().starts_with('[')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn comes_off(prefixes: &[&str]) {
        for prefix in prefixes {
            let line = format!("{prefix}CPU: 3 PID: 910 Comm: x");
            assert_eq!(strip(&line).text, "CPU: 3 PID: 910 Comm: x", "{prefix:?}");
        }
    }

    #[test]
    fn every_prefix_that_was_seen_comes_off() {
        comes_off(&[
            "",
            "   ",
            "[  223.501440] ",
            "[    0.000000][  T311] ",
            "[  223.501440][    C1]",
            "[   C1] ",
            "<4>",
            "<4>[ 12.3] ",
            "Jan  5 01:02:03 host1 kernel: [88219.101991] ",
            "Jan  5 01:02:03 host1 kernel: ",
            "2025-11-12T03:14:07.123456+00:00 host kernel: ",
            "2025-11-12T03:14:07Z host.example kernel: [   12.345678] ",
            "2025-11-12 03:14:07 [   12.345678] ",
            "[2025-11-12 03:14:07] [   12.345678] ",
            "[2025-11-12T03:14:07.1Z] ",
            "4,5005,12915307506,-;",
            "4,5005,12915307506,-,caller=T311;",
            "> ",
            "> > [   12.345678] ",
            ">> ",
            "| ",
            "[Thu Oct 30 06:21:23 2025] ",
            "[Oct30 06:21] ",
            "[  +0.000012] ",
            "kern  :warn  : [   12.3] ",
            "kern  :emerg : [Thu Oct 30 06:21:23 2025] ",
            "kern.warn kernel: ",
            "<4>1 2025-11-12T03:14:07Z host kernel - - - [   12.3] ",
            "03:14:07.123 ",
            "03:14:07 [   12.3] ",
            "host1 kernel: [   12.3] ",
            "MESSAGE=",
            "2023-04-13T10:11:12.1234567Z <4>[    1.23] ",
            "2023-10-06T00:17:09.669794202Z stdout F [    1.23] ",
            "[   12.345678@3] ",
            "Thu Oct 30 06:21:23 2025 host kernel: ",
        ]);
    }

    #[test]
    fn times_and_callers_are_kept() {
        let line = strip("[  223.501440][  T311] x");
        assert_eq!(
            (line.time, line.caller),
            (Some(223.50144), Some(Caller::Task(311)))
        );
        let line = strip("4,5005,12915307506,-,caller=C1;x");
        assert_eq!(
            (line.time, line.caller),
            (Some(12915.307506), Some(Caller::Cpu(1)))
        );
    }

    #[test]
    fn what_the_kernel_printed_stays() {
        for text in [
            "[<ffffffff843ae70a>] dump_stack+0x1c/0x2b",
            "[c000200dc2420320] [c0000000001d0340] f+0x1/0x2 (unreliable)",
            "<TASK>",
            "<IRQ>",
            "Call Trace:",
            "CPU#0",
            "#0  f () at kern/lock.c:304",
            "RIP: 0010:f+0x1/0x2",
            "csd: CSD lock (#1) unresponsive.",
            "kernel panic",
            "[inline]",
            "51",
            "é",
        ] {
            assert_eq!(strip(text).text, text);
        }
    }
}
