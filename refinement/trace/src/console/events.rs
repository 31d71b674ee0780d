//! What the kernel says beside its dumps: lockups, the csd watchdog, hotplug, who was asked, what the machine is.

use super::collect::Stream;
use super::header::{between, leading, release};
use super::log::{Csd, CsdState, Hung, Log, MOST, Owner, Stuck};
use super::prefix::Cleaned;

/// Reads a line that belongs to no dump, or says something beside one.
pub(super) fn read(number: u64, line: Cleaned<'_>, stream: &mut Stream, log: &mut Log) {
    let text = line.text;
    if OOPSES.iter().any(|words| text.starts_with(words)) {
        // Its dump follows, and shows where the CPU was once, not where it hangs.
        stream.finish(log);
        stream.oops = Some(number);
        return;
    }
    match text.as_bytes()[0] {
        b'w' | b'N' | b'B' | b'W' | b'U' => {
            if let Some(at) = text.find("soft lockup") {
                soft(number, &text[at..], line.time, stream, log);
            } else if text.contains("ard LOCKUP") {
                hard(number, text, line.time, stream, log);
            } else if let Some(rest) = text
                .strip_prefix("Watchdog CPU:")
                .or_else(|| text.strip_prefix("watchdog: CPU "))
            {
                if let Some(cpu) = leading(rest) {
                    stuck(number, cpu, None, true, line.time, log);
                }
            } else if let Some(cpu) = text
                .find("spinlock lockup")
                .and_then(|_| text.find("CPU#"))
                .and_then(|at| leading(&text[at + 4..]))
            {
                stuck(number, cpu, None, false, line.time, log);
                stream.finish(log);
                stream.expected = Some(cpu);
            } else if text.starts_with("Booting paravirtualized kernel on ")
                && !text.ends_with("bare hardware")
            {
                log.guest.get_or_insert(number);
            } else if text.starts_with("Brought up ") {
                brought_up(number, text, log);
            }
        }
        b's' | b'c' | b'r' | b'p' | b'C' | b'S' | b'\t' => other(number, line, stream, log),
        b'I' => info(number, line, stream, log),
        b'H' => {
            let named = text.strip_prefix("Hardware name: ").unwrap_or("");
            if GUESTS.iter().any(|guest| named.contains(guest))
                || text.starts_with("Hypervisor detected:")
            {
                log.guest.get_or_insert(number);
            }
        }
        b'L' => {
            if let Some(rest) = text.strip_prefix("Linux version ") {
                if number > 1
                    && log.lines > 1
                    && (log.dumps > 0 || !log.stuck.is_empty() || !log.csd.is_empty())
                {
                    stream.finish(log);
                    log.reboot();
                }
                log.version = rest.split(' ').next().and_then(release);
            }
        }
        b'l' => owner(number, text, stream, log),
        b'K' if text.starts_with("Kernel panic") => {
            log.panic.get_or_insert(number);
        }
        b'0'..=b'9' if text.contains("-...") || text.contains("-..") => {
            stalled_cpu(number, text, line.time, log)
        }
        _ => {}
    }
}

/// Words that begin a warning or an oops.
const OOPSES: [&str; 18] = [
    "WARNING: CPU: ",
    "WARNING: at ",
    "WARNING: kernel/",
    "WARNING: arch/",
    "BUG: unable to handle",
    "BUG: kernel NULL",
    "BUG: scheduling while atomic",
    "BUG: sleeping function called",
    "BUG: KASAN",
    "BUG: KCSAN",
    "BUG: Bad ",
    "BUG: using ",
    "general protection fault",
    "Oops",
    "kernel BUG at",
    "Internal error",
    "Unable to handle kernel",
    "Kernel BUG",
];

/// Makers and models of machines that are none.
const GUESTS: [&str; 19] = [
    "QEMU",
    "KVM",
    "Xen",
    "VMware",
    "VirtualBox",
    "innotek",
    "Virtual Machine",
    "Google Compute",
    "Google Google",
    "Amazon EC2",
    "OpenStack",
    "Bochs",
    "HVM domU",
    "RHEV",
    "oVirt",
    "Alibaba Cloud",
    "DigitalOcean",
    "Nutanix AHV",
    "crosvm",
];

/// `lock: 0xffff8800, .magic: dead4ead, .owner: x/456, .owner_cpu: 1`.
fn owner(number: u64, text: &str, stream: &mut Stream, log: &mut Log) {
    let Some(rest) = text.strip_prefix("lock: ") else {
        return;
    };
    let Some(cpu) = between(rest, ".owner_cpu: ").and_then(leading) else {
        return;
    };
    if log.owners.len() < MOST {
        let word = rest.split([',', ' ', '/']).next().unwrap_or("");
        let word = word.trim_start_matches("0x");
        let address = u64::from_str_radix(word, 16)
            .ok()
            .filter(|_| word.len() >= 8);
        log.owners.push(Owner {
            address,
            cpu,
            spinner: stream.expected,
            line: number,
        });
    }
}

fn soft(number: u64, text: &str, time: Option<f64>, stream: &mut Stream, log: &mut Log) {
    // `soft lockup - CPU#2 stuck for 26s! [x:1]`, `soft lockup detected on CPU#0!`.
    let Some(cpu) = text.find("CPU#").and_then(|at| leading(&text[at + 4..])) else {
        return;
    };
    let seconds = text
        .find("stuck for ")
        .and_then(|at| leading(&text[at + 10..]))
        .map(u64::from);
    stuck(number, cpu, seconds, false, time, log);
    stream.finish(log);
    stream.expected = Some(cpu);
}

fn hard(number: u64, text: &str, time: Option<f64>, stream: &mut Stream, log: &mut Log) {
    // `Watchdog detected hard LOCKUP on cpu 19`, `Watchdog CPU:42 Hard LOCKUP`,
    // `Watchdog CPU:71 detected Hard LOCKUP other CPUS:42`, `CPU 3 self-detected hard LOCKUP @ f`.
    let digits = |name: &str| {
        text.find(name)
            .map(|at| text[at + name.len()..].trim_start())
    };
    let others = digits("other CPUS:").or_else(|| digits("on other CPUs"));
    let cpus: Vec<u32> = match others {
        Some(list) => cpu_list(list),
        None => {
            let one = digits("on cpu ")
                .or_else(|| digits("CPU:"))
                .or_else(|| digits("CPU "));
            one.and_then(leading).into_iter().collect()
        }
    };
    for cpu in &cpus {
        stuck(number, *cpu, None, true, time, log);
    }
    stream.finish(log);
    if others.is_none() {
        stream.expected = cpus.first().copied();
    }
}

fn stuck(
    number: u64,
    cpu: u32,
    seconds: Option<u64>,
    hard: bool,
    time: Option<f64>,
    log: &mut Log,
) {
    if log.stuck.len() >= MOST && !log.stuck.contains_key(&cpu) {
        return;
    }
    *log.reports.entry(cpu).or_default() += 1;
    let stuck = Stuck {
        cpu,
        seconds,
        hard,
        stall: false,
        line: number,
        time,
    };
    log.stuck.insert(cpu, stuck);
}

/// `1-3,5`.
pub(super) fn cpu_list(text: &str) -> Vec<u32> {
    let mut cpus = Vec::new();
    let list = text
        .trim_start_matches(['#', ' '])
        .split([' ', ':', ';'])
        .next()
        .unwrap_or("");
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Some(first), Some(last)) = (leading(first), leading(last)) {
            cpus.extend((first..=last).take(MOST));
        }
        if cpus.len() >= MOST {
            break;
        }
    }
    cpus
}

fn brought_up(number: u64, text: &str, log: &mut Log) {
    // `Brought up 1 node, 4 CPUs`, `Brought up 8 CPUs`.
    let words: Vec<&str> = text.split(' ').collect();
    let count = words
        .windows(2)
        .find(|w| w[1].starts_with("CPU"))
        .and_then(|w| w[0].parse().ok());
    if let Some(count) = count {
        log.number_of_cpus = Some((count, number));
    }
}

/// `smp: `, `csd: `, `rcu: `, `smpboot: `, `psci: `, `CPU 13 is now offline`, `Sending NMI`.
fn other(number: u64, line: Cleaned<'_>, stream: &mut Stream, log: &mut Log) {
    let text = line.text;
    let bare = text.strip_prefix("smp:").map_or(text, str::trim_start);
    if let Some(rest) = bare.strip_prefix("csd:") {
        return csd(number, rest.trim_start(), stream, log);
    }
    if let Some(rest) = bare.strip_prefix("rcu:") {
        let rest = rest.trim_start();
        if rest.starts_with("INFO:") {
            return info(number, Cleaned { text: rest, ..line }, stream, log);
        }
        if rest.contains("kthread starved") || rest.contains("timer wakeup") {
            log.host_hints.push(number);
            log.host_hints.truncate(16);
        }
        return stalled_cpu(number, rest, line.time, log);
    }
    if let Some(rest) = text
        .strip_prefix("Sending NMI ")
        .or_else(|| text.strip_prefix("Sending IPI "))
    {
        // `from CPU 0 to CPUs 1-3:`; those who are asked and who asked are the machine.
        if let Some(to) = rest.find("to CPUs ").map(|at| &rest[at + 8..]) {
            let from = rest.strip_prefix("from CPU ").and_then(leading);
            log.askers.extend(from);
            log.asked
                .extend(cpu_list(to.trim_end_matches(':')).into_iter().chain(from));
        }
        return;
    }
    let boot = bare
        .strip_prefix("smpboot:")
        .or_else(|| bare.strip_prefix("psci:"))
        .map_or(bare, str::trim_start);
    if boot.starts_with("Brought up ") {
        return brought_up(number, boot, log);
    }
    if let Some(rest) = boot.strip_prefix("CPU") {
        let rest = rest.trim_start();
        let Some(cpu) = leading(rest) else {
            return;
        };
        let behind = rest
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .trim_start_matches([':', ' ']);
        if (behind.starts_with("is now offline")
            || behind.starts_with("killed")
            || behind.starts_with("shutdown"))
            && log.offline.len() < MOST
        {
            log.offline.insert(cpu, number);
        } else if behind.starts_with("is up") || behind.starts_with("Booted") {
            log.offline.remove(&cpu);
        } else if behind.starts_with("didn't respond to backtrace IPI") && log.silent.len() < MOST {
            log.silent.insert(cpu, number);
        } else if behind.contains("ard LOCKUP") {
            hard(number, boot, line.time, stream, log);
        }
    } else if let Some(at) = boot
        .find("Processor ")
        .filter(|_| boot.starts_with("Booting Node"))
        && let Some(cpu) = leading(&boot[at + 10..])
    {
        log.offline.remove(&cpu);
    }
}

fn csd(number: u64, text: &str, stream: &mut Stream, log: &mut Log) {
    let cpu = |name: &str| {
        let at = text.find(name)? + name.len();
        leading(&text[at..])
    };
    let count = text
        .find("(#")
        .and_then(|at| leading(&text[at + 2..]))
        .map_or(0, u64::from);
    if text.contains("non-responsive CSD lock") {
        let (Some(from), Some(to)) = (cpu("on CPU#"), cpu("for CPU#")) else {
            return;
        };
        let waited = text.find("waiting ").map(|at| &text[at + 8..]);
        let waited = waited
            .and_then(|t| t.split(' ').next()?.parse().ok())
            .unwrap_or(0);
        let behind = text.find("for CPU#").map(|at| {
            text[at + 8..]
                .trim_start_matches(|c: char| c.is_ascii_digit())
                .trim()
        });
        let function = behind
            .and_then(|t| t.split(['+', '(', ' ', '.']).next())
            .filter(|f| !f.is_empty());
        if log.csd.len() >= MOST && !log.csd.contains_key(&(from, count)) {
            return;
        }
        let wait = log.csd.entry((from, count)).or_insert_with(|| Csd {
            number: count,
            from,
            to,
            function: None,
            waited_ns: waited,
            lines: (number, number),
            state: None,
            ended: None,
            counters: Default::default(),
        });
        if wait.to != to || wait.ended.is_some() {
            // The number was used again, for another wait.
            (wait.to, wait.ended, wait.lines.0, wait.state) = (to, None, number, None);
            wait.counters = Default::default();
        }
        wait.lines.1 = number;
        wait.waited_ns = waited;
        wait.function = function.map(str::to_string).or(wait.function.take());
        stream.expected = Some(from);
    } else if text.contains("got unstuck") {
        let from = cpu("unstuck on CPU#");
        let to = text.find(", CPU#").and_then(|at| leading(&text[at + 6..]));
        for wait in log.csd.values_mut() {
            if wait.number == count && Some(wait.from) == from && to.is_none_or(|to| to == wait.to)
            {
                wait.ended = Some(number);
            }
        }
    } else if text.starts_with("CSD lock (#") {
        let state = if text.contains("handling this") {
            CsdState::HandlingThis
        } else if text.contains("handling prior") {
            CsdState::HandlingPrior
        } else {
            CsdState::Unresponsive
        };
        // Of the wait that was reported last under this number.
        let wait = log
            .csd
            .values_mut()
            .filter(|w| w.number == count)
            .max_by_key(|w| w.lines.1);
        if let Some(wait) = wait {
            wait.state = Some((state, number));
        }
    } else if let Some(rest) = text.strip_prefix("cnt(") {
        counter(number, rest, log);
    }
}

/// `cnt(63d8e1f): 0004->001f queue`, hexadecimal.
fn counter(number: u64, text: &str, log: &mut Log) {
    let Some((sequence, rest)) = text.split_once("):") else {
        return;
    };
    let (Ok(sequence), Some((pair, what))) = (
        u64::from_str_radix(sequence, 16),
        rest.trim().split_once(' '),
    ) else {
        return;
    };
    let Some((from, to)) = pair.split_once("->") else {
        return;
    };
    let cpu = |text: &str| u32::from_str_radix(text, 16).ok();
    let (from, to) = (cpu(from), cpu(to));
    let Some(wait) = log.csd.values_mut().max_by_key(|w| w.lines.1) else {
        return;
    };
    if to != Some(wait.to) {
        return;
    }
    let at = Some((sequence, number));
    match what.trim() {
        "queue" if from == Some(wait.from) => wait.counters.queued = at,
        "ipi" if from == Some(wait.from) => wait.counters.sent = at,
        "gotipi" => wait.counters.taken = at,
        _ => {}
    }
}

fn info(number: u64, line: Cleaned<'_>, stream: &mut Stream, log: &mut Log) {
    let text = line.text;
    let Some(rest) = text.strip_prefix("INFO: ") else {
        return;
    };
    if let Some(rest) = rest.strip_prefix("task ") {
        let Some((name, behind)) = rest
            .split_once(" blocked for more than ")
            .or_else(|| rest.split_once(" is blocked on a"))
        else {
            return;
        };
        let Some((comm, pid)) = task_name(name) else {
            return;
        };
        stream.finish(log);
        if log.hung.len() >= MOST && !log.hung.contains_key(&pid) {
            return;
        }
        let hung = log.hung.entry(pid).or_insert_with(|| Hung {
            comm,
            pid,
            line: number,
            owner: None,
        });
        if let Some(at) = behind
            .find("owned by task ")
            .or_else(|| behind.find(" held by task "))
        {
            let owner = behind[at..].split_once("task ").map_or("", |(_, t)| t);
            hung.owner =
                task_name(owner.trim_end_matches('.')).map(|(comm, pid)| (comm, pid, number));
        }
    } else if rest.contains("self-detected stall on CPU") {
        // Old kernels name the CPU on the same line.
        if let Some(cpu) = between(rest, "on CPU ").and_then(leading) {
            stall(number, cpu, line.time, log);
        }
    } else if let Some(at) = rest.find("lockup - CPU#") {
        soft(number, &rest[at..], line.time, stream, log);
    }
}

/// `x:123`, where the name may have colons.
fn task_name(text: &str) -> Option<(String, u32)> {
    let (name, pid) = text.trim().rsplit_once(':')?;
    Some((name.chars().take(32).collect(), leading(pid)?))
}

/// `0-....: (20999 ticks this GP) idle=...`, `3-...!: (1 GPs behind)`.
fn stalled_cpu(number: u64, text: &str, time: Option<f64>, log: &mut Log) {
    let Some((cpu, rest)) = text.split_once('-') else {
        return;
    };
    let marks = rest.split(':').next().unwrap_or("");
    let fits = (3..=6).contains(&marks.len())
        && marks
            .bytes()
            .all(|b| matches!(b, b'.' | b'!' | b'?' | b'O' | b'o' | b'N' | b'D' | b'd'));
    if fits
        && rest.contains(": (")
        && let Ok(cpu) = cpu.trim().parse()
    {
        stall(number, cpu, time, log);
    }
}

fn stall(number: u64, cpu: u32, time: Option<f64>, log: &mut Log) {
    if log.stuck.len() < MOST && cpu < 65_536 {
        log.stuck.entry(cpu).or_insert(Stuck {
            cpu,
            seconds: None,
            hard: false,
            stall: true,
            line: number,
            time,
        });
    }
}
