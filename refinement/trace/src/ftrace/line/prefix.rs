//! What loggers put before a line: printk's level, time and caller, syslog and journald, `/dev/kmsg`, quoting mails.

/// Where a line starts that printk has put its level, its stamp and its caller before.
pub fn after_printk(bytes: &[u8]) -> usize {
    let mut at = 0;
    if bytes.first() == Some(&b'<') {
        let digits = bytes[1..].iter().take_while(|b| b.is_ascii_digit()).count();
        if (1..=3).contains(&digits) && bytes.get(1 + digits) == Some(&b'>') {
            at = digits + 2;
        }
    }
    while bytes.get(at) == Some(&b'[') {
        let Some(end) = bytes[at..].iter().take(40).position(|b| *b == b']') else {
            break;
        };
        let inside = &bytes[at + 1..at + end];
        let stamp = |b: &u8| {
            b.is_ascii_digit() || matches!(b, b'.' | b' ' | b'T' | b'C' | b'@' | b',' | b'+')
        };
        let date = inside.first().is_some_and(u8::is_ascii_uppercase) && inside.contains(&b':');
        if inside.is_empty() || !(inside.iter().all(stamp) || date) {
            break;
        }
        // One blank belongs to the stamp; the next bracket needs none.
        at += end + 1;
        at += usize::from(bytes.get(at) == Some(&b' '));
    }
    at
}

/// Where a line starts that other programs have put more before; none if they have not.
pub fn after_loggers(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    // `> > `
    while bytes.get(at) == Some(&b'>') {
        at += 1 + usize::from(bytes.get(at + 1) == Some(&b' '));
    }
    let rest = &bytes[at..];
    let kernel = memchr::memmem::find(&rest[..rest.len().min(96)], b" kernel: ");
    if let Some(kernel) = kernel.filter(|_| rest[0].is_ascii_alphanumeric() || rest[0] == b'[') {
        at += kernel + b" kernel: ".len();
    } else if let Some(semicolon) = rest.iter().take(64).position(|b| *b == b';') {
        // `4,5005,12915307506,-;`
        let head = &rest[..semicolon];
        let record = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b',' | b'-' | b'=');
        if head.first().is_some_and(u8::is_ascii_digit)
            && head.iter().filter(|b| **b == b',').count() >= 3
            && head.iter().all(record)
        {
            at += semicolon + 1;
        }
    }
    let start = at + after_printk(&bytes[at..]);
    (start > 0).then_some(start)
}
