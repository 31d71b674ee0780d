//! Register lines: whether interrupts were on, and values that lead to a lock or to an awaited CPU.

use std::collections::BTreeMap;

/// Registers of one context, as far as they were printed whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// By the name that the kernel prints, such as `RDI` or `x0`; with the line.
    pub values: BTreeMap<&'static str, (u64, u64)>,
}

impl Registers {
    /// Adds what is not known yet.
    pub fn add(&mut self, more: Registers) {
        for (name, value) in more.values {
            self.values.entry(name).or_insert(value);
        }
    }

    /// The value of a register.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<u64> {
        self.values.get(name).map(|(value, _)| *value)
    }

    /// The line of a register.
    #[must_use]
    pub fn line(&self, name: &str) -> Option<u64> {
        self.values.get(name).map(|(_, line)| *line)
    }
}

/// General registers of x86-64, those that a compiler may keep a pointer or a counter in.
pub const GENERAL: [&str; 15] = [
    "RAX", "RBX", "RCX", "RDX", "RSI", "RDI", "RBP", "R08", "R09", "R10", "R11", "R12", "R13",
    "R14", "R15",
];

/// Names worth keeping: x86-64's, the per-CPU base, the page tables, the first argument elsewhere.
const NAMES: [&str; 27] = [
    "ORIG_RAX", "RAX", "RBX", "RCX", "RDX", "RSI", "RDI", "RBP", "R08", "R09", "R10", "R11", "R12",
    "R13", "R14", "R15", "RSP", "GS", "CR3", "EAX", "EBX", "ECX", "EDX", "ESI", "EDI", "EBP",
    "ESP",
];

/// Reads `NAME: value` pairs of a line into registers. A value that is cut is left out: only 16 digits are a whole
/// register of 64 bits, and 8 one of 32.
pub fn collect(text: &str, line: u64, into: &mut Registers) -> bool {
    let mut any = false;
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let Some((name, stuck)) = word.split_once([':', '=']) else {
            continue;
        };
        let name = name
            .strip_prefix("R")
            .filter(|n| n.len() == 1)
            .map_or(name, |n| {
                if n == "8" {
                    "R08"
                } else if n == "9" {
                    "R09"
                } else {
                    name
                }
            });
        let Some(name) = NAMES.iter().find(|known| **known == name) else {
            continue;
        };
        let value = if stuck.is_empty() {
            words.peek().copied().unwrap_or("")
        } else {
            stuck
        };
        // `0018:ffff9eff00220c68`, `ffff88a1c0d00000(0000)`.
        let value = value.split_once(':').map_or(value, |(_, offset)| offset);
        let value = value.split('(').next().unwrap_or("");
        let wide = !name.starts_with('E');
        if (value.len() == 16 || (!wide && value.len() == 8))
            && let Ok(number) = u64::from_str_radix(value, 16)
        {
            into.values.entry(name).or_insert((number, line));
            any = true;
        }
    }
    any
}

/// Whether interrupts are on, by a line of x86's flags: `EFLAGS: 00000202`, `RFLAGS: 00000202`, `EFL=00000086`,
/// gdb's `eflags 0x246 [ PF ZF IF ]`.
#[must_use]
pub fn x86_flags(text: &str) -> Option<bool> {
    const IF: u64 = 1 << 9;
    for name in ["EFLAGS:", "RFLAGS:", "EFL=", "RFL=", "FLAGS="] {
        if let Some(at) = text.find(name) {
            let digits = text[at + name.len()..].split_whitespace().next()?;
            // Printed with eight digits or more: fewer were cut.
            if digits.len() < 8 {
                return None;
            }
            return u64::from_str_radix(digits, 16)
                .ok()
                .map(|flags| flags & IF != 0);
        }
    }
    let rest = text
        .strip_prefix("eflags")?
        .trim_start()
        .strip_prefix("0x")?;
    let digits: &str = rest.split(|c: char| !c.is_ascii_hexdigit()).next()?;
    // gdb's names of the flags end the line: without them it may be cut.
    text.contains(']').then(|| {
        u64::from_str_radix(digits, 16)
            .ok()
            .map(|flags| flags & IF != 0)
    })?
}

/// What a line of another architecture says about interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// They are on or off.
    Irqs(bool),
    /// arm64's priority mask with pseudo-NMI: it overrides `pstate`.
    Priority(bool),
    /// ppc64's soft mask as a number: which number means on depends on the kernel (0 since 4.16).
    SoftMask(u64),
    /// ppc64's MSR without EE: off, whatever the soft mask says.
    HardOff,
}

/// arm64's `pstate`, 32-bit Arm's `psr` and `Flags`, ppc64's MSR and soft mask, s390's PSW, riscv's status.
#[must_use]
pub fn other_flags(text: &str) -> Vec<Said> {
    let mut said = Vec::new();
    let after = |name: &str| {
        text.find(name)
            .map(|at| text[at + name.len()..].trim_start())
    };
    let hex = |t: &str, digits: usize| {
        let word = t
            .split(|c: char| !c.is_ascii_hexdigit())
            .next()
            .unwrap_or("");
        (word.len() >= digits)
            .then(|| u64::from_str_radix(word, 16).ok())
            .flatten()
    };
    if text.starts_with("pstate") {
        // `(nZCv dAIF -PAN ...)`: a capital letter is masked.
        let letters = text.split_once('(').map_or("", |(_, inside)| inside);
        let daif = letters.split_whitespace().nth(1).unwrap_or("");
        if daif.len() == 4 && daif.bytes().all(|b| b.is_ascii_alphabetic()) {
            said.push(Said::Irqs(daif.as_bytes()[2] == b'i'));
        } else if let Some(bits) =
            after("pstate").and_then(|t| hex(t.trim_start_matches([':', ' ']), 8))
        {
            said.push(Said::Irqs(bits & 0x80 == 0));
        }
    } else if let Some(bits) = text.strip_prefix("PSTATE:").and_then(|t| hex(t.trim(), 8)) {
        said.push(Said::Irqs(bits & 0x80 == 0));
    }
    if let Some(pmr) = after("pmr_save:")
        .or_else(|| after("pmr:"))
        .and_then(|t| hex(t, 2))
    {
        // GIC_PRIO_IRQON is 0xe0; with a distributor in the other security state 0xf0.
        said.push(Said::Priority(pmr & 0xff >= 0xe0));
    }
    if text.starts_with("Flags:") && text.contains("IRQs o") {
        said.push(Said::Irqs(text.contains("IRQs on")));
    }
    if let Some(bits) = after("MSR:").or_else(|| after("msr:")) {
        match hex(bits, 8) {
            Some(msr) if msr & 0x8000 == 0 => said.push(Said::HardOff),
            _ => {}
        }
    }
    for name in ["SOFTE:", "IRQMASK:"] {
        if let Some(mask) = after(name).and_then(|t| hex(t, 1)) {
            // `IRQMASK` came after the meaning was turned round.
            said.push(if name == "IRQMASK:" {
                Said::Irqs(mask == 0)
            } else {
                Said::SoftMask(mask)
            });
        }
    }
    if text.contains("IO:")
        && text.contains("EX:")
        && let (Some(io), Some(ex)) = (after("IO:"), after("EX:"))
    {
        // External interrupts are how CPUs of an s390 signal each other.
        if let (Some(b'0' | b'1'), Some(ex @ (b'0' | b'1'))) =
            (io.as_bytes().first(), ex.as_bytes().first())
        {
            said.push(Said::Irqs(*ex == b'1'));
        }
    }
    if let Some(status) = text.strip_prefix("status:").and_then(|t| hex(t.trim(), 16)) {
        // SPIE: what SIE was before the trap.
        said.push(Said::Irqs(status & 0x20 != 0));
    }
    if let Some(psr) = after("psr:")
        .filter(|_| text.starts_with("pc"))
        .and_then(|t| hex(t, 8))
    {
        said.push(Said::Irqs(psr & 0x80 == 0));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_nine_of_the_flags_decides() {
        for on in [
            "00000202", "00000246", "00000282", "00000293", "00000297", "00010216",
        ] {
            assert_eq!(
                x86_flags(&format!("RSP: 0018:ffff EFLAGS: {on} ORIG_RAX: ffff")),
                Some(true)
            );
        }
        for off in [
            "00000002", "00000046", "00000082", "00000086", "00000087", "00000097",
        ] {
            assert_eq!(
                x86_flags(&format!("RSP: 0018:ffff EFLAGS: {off}")),
                Some(false)
            );
        }
        assert_eq!(
            x86_flags("EIP=c01355f2 EFL=00000086 [--S--P-]"),
            Some(false)
        );
        assert_eq!(
            x86_flags("eflags         0x246               [ PF ZF IF ]"),
            Some(true)
        );
        for cut in [
            "EFLAGS: 0000",
            "EFLAGS:",
            "EFLAGS: 0000020",
            "eflags 0x2",
            "RSP: 0018:ffff",
        ] {
            assert_eq!(x86_flags(cut), None, "{cut}");
        }
    }

    #[test]
    fn other_architectures_say_it_their_way() {
        let is = |text: &str, want: &[Said]| assert_eq!(other_flags(text), want, "{text}");
        is(
            "pstate: 60400009 (nZCv daif +PAN -UAO -TCO -DIT -SSBS BTYPE=--)",
            &[Said::Irqs(true)],
        );
        is(
            "pstate: 604000c9 (nZCv daIF +PAN -UAO)",
            &[Said::Irqs(false)],
        );
        is("pmr_save: 000000e0", &[Said::Priority(true)]);
        is("pmr: 00000060", &[Said::Priority(false)]);
        is(
            "MSR:  9000000000089033 <SF,HV,EE,ME,IR,DR,RI,LE>  CR: 48024242",
            &[],
        );
        is(
            "MSR:  9000000000001033 <SF,HV,ME,IR,DR,RI,LE>  CR: 48024242",
            &[Said::HardOff],
        );
        is("CFAR: c0000000001d0370 SOFTE: 1", &[Said::SoftMask(1)]);
        is("CFAR: c0000000001d0370 IRQMASK: 1", &[Said::Irqs(false)]);
        is(
            "           R:0 T:1 IO:1 EX:1 Key:0 M:1 W:0 P:0 AS:3 CC:0 PM:0",
            &[Said::Irqs(true)],
        );
        is(
            "status: 0000000200000100 badaddr: 0000000000000000 cause: 8000000000000001",
            &[Said::Irqs(false)],
        );
        is("status: 00000002000001", &[]);
        is(
            "pc : [<c0012345>]    lr : [<c0012345>]    psr: 600f0093",
            &[Said::Irqs(false)],
        );
        is(
            "Flags: nZCv  IRQs off  FIQs on  Mode SVC_32  ISA ARM  Segment none",
            &[Said::Irqs(false)],
        );
        is("PSTATE: 604000c9", &[Said::Irqs(false)]);
    }

    #[test]
    fn only_whole_registers_count() {
        let mut regs = Registers::default();
        collect(
            "RBP: 0000000000000003 R08: 0000000000000000 R9: 0000",
            4,
            &mut regs,
        );
        collect("RSP: 0018:ffff9eff00220c68 EFLAGS: 00000202", 5, &mut regs);
        collect(
            "FS:  0000000000000000(0000) GS:ffff88a1c0d00000(0000) knlGS:0000000000000000",
            6,
            &mut regs,
        );
        collect("CR2: 00007f9843e00000 CR3: 0000000002f7", 7, &mut regs);
        assert_eq!(regs.get("RBP"), Some(3));
        assert_eq!(regs.get("RSP"), Some(0xffff_9eff_0022_0c68));
        assert_eq!(regs.get("GS"), Some(0xffff_88a1_c0d0_0000));
        assert_eq!((regs.get("CR3"), regs.get("R09")), (None, None));
        assert_eq!(regs.line("GS"), Some(6));
    }
}
