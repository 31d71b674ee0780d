//! One frame of a stack, in the shapes that kernels and debuggers print.

use serde::Serialize;

/// A frame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Frame {
    /// The function without what compilers add (`.isra.0`, `.constprop.1`, `.part.2`, `.cold`).
    pub function: String,
    /// The module, without brackets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// False behind a `?`: the unwinder found it on the stack and doubts it.
    pub certain: bool,
    /// What a debugger printed between the parentheses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
    /// The line it comes from.
    pub line: u64,
}

/// Markers that may stand before a frame on its line, or alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// `<NMI>`.
    Nmi,
    /// `<IRQ>`: a hard interrupt, or a softirq.
    Irq,
    /// `<SOFTIRQ>`, on 32 bits.
    Softirq,
    /// `<TASK>`.
    Task,
    /// `<#DF>`, `<ENTRY_TRAMPOLINE>` and others: some exception.
    Exception,
    /// `</IRQ>`, `<EOI>`, `<<EOE>>`, `</NMI>`: what follows was interrupted.
    Interrupted,
    /// `</TASK>`: the end.
    End,
}

/// A marker at the start of a text, and the text behind it.
#[must_use]
pub fn marker(text: &str) -> Option<(Marker, &str)> {
    const MARKERS: [(&str, Marker); 16] = [
        ("</TASK>", Marker::End),
        ("<TASK>", Marker::Task),
        ("<IRQ>", Marker::Irq),
        ("</IRQ>", Marker::Interrupted),
        ("<EOI>", Marker::Interrupted),
        ("<<EOI>>", Marker::Interrupted),
        ("<<EOE>>", Marker::Interrupted),
        ("<EOE>", Marker::Interrupted),
        ("<NMI>", Marker::Nmi),
        ("</NMI>", Marker::Interrupted),
        ("<SOFTIRQ>", Marker::Softirq),
        ("</SOFTIRQ>", Marker::Interrupted),
        ("<#", Marker::Exception),
        ("</#", Marker::Interrupted),
        ("<ENTRY", Marker::Exception),
        ("</ENTRY", Marker::Interrupted),
    ];
    if !text.starts_with('<') {
        return None;
    }
    let (word, kind) = MARKERS.iter().find(|(word, _)| text.starts_with(word))?;
    let end = if word.ends_with('>') {
        word.len()
    } else {
        text.find('>')? + 1
    };
    Some((*kind, text[end..].trim_start()))
}

/// A whole line that is a frame: `[<addr>] f+0x1/0x2 [mod]`, `? f+0x1/0x2 file.c:1`, `f file.c:1 [inline]`,
/// `[sp] [addr] f+0x1/0x2 (unreliable)`, `g from f+0x1/0x2`.
#[must_use]
pub fn kernel_frame(text: &str, line: u64) -> Option<Frame> {
    let mut rest = text;
    let mut addresses = 0;
    // s390's first frame is in parentheses.
    rest = rest
        .strip_prefix('(')
        .filter(|r| r.starts_with("[<"))
        .unwrap_or(rest);
    while let Some(inside) = rest.strip_prefix('[') {
        let end = inside.find(']')?;
        let address = inside[..end].trim_start_matches('<').trim_end_matches('>');
        if address.len() < 8 || !address.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        addresses += 1;
        rest = inside[end + 1..].trim_start();
    }
    let certain = !rest.starts_with('?');
    let rest = rest.trim_start_matches('?').trim_start();
    // 32-bit Arm: `[<c0>] (f) from [<c0>] (g+0x1/0x2)`.
    if addresses == 1 && rest.starts_with('(') {
        let name = rest[1..].split([')', '+', ' ']).next()?;
        return named(name, certain, line);
    }
    let (symbol, tail) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    let symbol = symbol.trim_end_matches(')');
    let tail = tail.trim();
    let Some((name, offset)) = symbol.split_once('+') else {
        if tail.ends_with("[inline]") || tail.starts_with("from ") && tail.contains("+0x") {
            return named(symbol, certain, line);
        }
        // An address that nobody made a name of.
        let bare = symbol.strip_prefix("0x").unwrap_or("");
        let unnamed =
            addresses > 0 && bare.len() >= 8 && bare.bytes().all(|b| b.is_ascii_hexdigit());
        return unnamed.then(|| Frame {
            function: symbol.to_string(),
            certain: certain && !tail.contains("(unreliable)"),
            line,
            ..Frame::default()
        });
    };
    let (offset, size) = offset.split_once('/')?;
    let hex = |t: &str| {
        t.strip_prefix("0x")
            .is_some_and(|t| !t.is_empty() && t.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    if !hex(offset) || !hex(size) || !tail_fits(tail) {
        return None;
    }
    let mut frame = named(name, certain, line)?;
    frame.module = tail
        .strip_prefix('[')
        .and_then(|t| t.split([']', ' ']).next())
        .filter(|m| *m != "inline")
        .map(str::to_string);
    frame.certain &= !tail.contains("(unreliable)");
    Some(frame)
}

/// Behind a frame stand its module, its source line, or remarks in parentheses; a sentence is none of them.
fn tail_fits(tail: &str) -> bool {
    tail.is_empty() || tail.starts_with(['[', '(']) || {
        let place = tail.split(' ').next().unwrap_or("");
        place.contains(':') || place.contains('/')
    }
}

/// A frame of a function; nothing if that is no name.
#[must_use]
pub fn named(name: &str, certain: bool, line: u64) -> Option<Frame> {
    let name = base_name(name);
    let fits = |b: u8| {
        b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'_' | b':'
                    | b'$'
                    | b'<'
                    | b'>'
                    | b'{'
                    | b'}'
                    | b','
                    | b'~'
                    | b'.'
                    | b'&'
                    | b'*'
                    | b'-'
                    | b'#'
            )
    };
    let starts = name
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'<' | b':'));
    (starts && name.len() <= 256 && name.bytes().all(fits)).then(|| Frame {
        function: name.to_string(),
        certain,
        line,
        ..Frame::default()
    })
}

/// A symbol without what compilers and ABIs add.
#[must_use]
pub fn base_name(symbol: &str) -> &str {
    // ppc64's first ABI puts a dot before the code's symbol.
    let symbol = symbol.strip_prefix('.').unwrap_or(symbol);
    for added in [
        ".isra.",
        ".constprop.",
        ".part.",
        ".cold",
        ".llvm.",
        ".lto_priv.",
    ] {
        if let Some(at) = symbol.find(added) {
            return &symbol[..at];
        }
    }
    symbol
}

/// A frame of gdb's: `#0  f (a=1) at file.c:3`, `#1  0xffff in f (a=1) at file.c:3`; of crash's:
/// `#0 [ffff8800] f at ffffffff81`; the first is `#0`.
#[must_use]
pub fn debugger_frame(text: &str, line: u64) -> Option<(u32, Frame)> {
    let rest = text.strip_prefix('#')?;
    let (number, rest) = rest.split_once([' ', '\t'])?;
    let number = number.parse().ok()?;
    let mut rest = rest.trim_start();
    if let Some(inside) = rest.strip_prefix('[') {
        rest = inside.split_once(']')?.1.trim_start();
        let name = rest.split([' ', '(']).next()?;
        return Some((number, named(name, true, line)?));
    }
    if rest.starts_with("0x") {
        let Some((_, behind)) = rest.split_once(" in ") else {
            let address = rest.split([' ', '\t']).next()?;
            return Some((
                number,
                Frame {
                    function: address.to_string(),
                    certain: true,
                    line,
                    ..Frame::default()
                },
            ));
        };
        rest = behind;
    }
    if rest.starts_with("<signal") {
        return None;
    }
    // C++ and Rust names have parentheses only behind themselves, gdb puts a blank before the arguments.
    let (name, arguments) = match rest.find(" (") {
        Some(at) => {
            let inside = &rest[at + 2..];
            let end = inside
                .find(") ")
                .or_else(|| inside.rfind(')'))
                .unwrap_or(inside.len());
            (&rest[..at], Some(inside[..end].to_string()))
        }
        None => (rest.split(['(', ' ']).next()?, None),
    };
    let mut frame = named(name.split(' ').next_back()?, true, line)?;
    frame.arguments = arguments.filter(|a| !a.is_empty());
    Some((number, frame))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, bool)> {
        kernel_frame(text, 1).map(|f| (f.function, f.certain))
    }

    #[test]
    fn frames_of_every_kernel_are_read() {
        let is = |text: &str, function: &str| {
            assert_eq!(read(text), Some((function.to_string(), true)), "{text}");
        };
        is("f+0x1/0x2", "f");
        is("f.isra.83+0x40c/0x660", "f");
        is("f.constprop.0.cold+0x1/0x2 [mod]", "f");
        is("f+0x3e0/0x540 kernel/smp.c:329", "f");
        is("f kernel/smp.c:135 [inline]", "f");
        is("[<ffffffff9ba2bd4d>] f+0xe9/0xf0", "f");
        is("[c000200dc2420390] [c0000000001d05e0] .f+0x1b9/0x280", "f");
        is("[<c0012345>] (f) from [<c0023456>] (g+0x10/0x14)", "f");
        is("f from g+0x10/0x14", "f");
        is("([<000000000011d62a>] f+0x2/0x20)", "f");
        is(
            "[<ffffffff81130de8>] 0xffffffff81130de8",
            "0xffffffff81130de8",
        );
        is("f+0x1/0x2 [mod] (P)", "f");
        assert_eq!(
            read("[<ffffffff9ba2bf00>] ? f+0xc/0x140"),
            Some(("f".into(), false))
        );
        assert_eq!(read("[c1] [c2] f+0x138/0x1b0"), None);
        assert_eq!(
            kernel_frame("f+0x1/0x2 [csd_lab]", 1)
                .unwrap()
                .module
                .as_deref(),
            Some("csd_lab")
        );
    }

    #[test]
    fn sentences_are_no_frames() {
        for text in [
            "f+0x1/0x2 took too long",
            "hello",
            "a b [x]",
            "51",
            "f7 c6",
            "Call Trace:",
            "",
            "?",
            "[",
            "[<",
            "f+0x1",
            "é+0x1/0x2",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn frames_of_debuggers_are_read() {
        let (n, frame) =
            debugger_frame("#0  usimple_lock (l=0xc0251a40) at kern/lock.c:304", 1).unwrap();
        assert_eq!(
            (n, &*frame.function, frame.arguments.as_deref()),
            (0, "usimple_lock", Some("l=0xc0251a40"))
        );
        let (n, frame) = debugger_frame(
            "#1  0xffffffff81012345 in f (a=<optimized out>, b=2) at x.c:1",
            1,
        )
        .unwrap();
        assert_eq!((n, &*frame.function), (1, "f"));
        let (_, frame) =
            debugger_frame("#2 [ffff8800] __handle_mm_fault at ffffffff81 [mod]", 1).unwrap();
        assert_eq!(frame.function, "__handle_mm_fault");
        let (_, frame) =
            debugger_frame("#3  kernel::sync::Mutex<T>::lock (self=0x1) at m.rs:3", 1).unwrap();
        assert_eq!(frame.function, "kernel::sync::Mutex<T>::lock");
    }

    #[test]
    fn markers_stand_alone_or_before_a_frame() {
        assert_eq!(marker("<IRQ>"), Some((Marker::Irq, "")));
        assert_eq!(
            marker("<<EOE>>  <IRQ> [<f>] g"),
            Some((Marker::Interrupted, "<IRQ> [<f>] g"))
        );
        assert_eq!(marker("<#DF>"), Some((Marker::Exception, "")));
        assert_eq!(marker("<eb> 97"), None);
    }
}
