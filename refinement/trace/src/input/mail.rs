//! What mails, terminals and web pages do to a line, undone.

use std::borrow::Cow;

/// No mail goes on longer than this in one line of quoted-printable.
const LONGEST_JOINED: usize = super::LONGEST_LINE;

/// Undoes quoted-printable (RFC 2045, 6.7) from the first line on that shows it.
#[derive(Debug, Default)]
pub struct Mail {
    quoted_printable: bool,
    open: Vec<u8>,
}

impl Mail {
    /// A line as it was before it was mailed; nothing while it goes on in the next.
    pub fn line<'a>(&'a mut self, line: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        if !self.quoted_printable {
            if !starts_quoted_printable(line) {
                return Some(Cow::Borrowed(line));
            }
            self.quoted_printable = true;
        } else if line.starts_with(b"Content-Transfer-Encoding:") {
            self.quoted_printable = contains(line, b"quoted-printable");
        }
        let soft = line.strip_suffix(b"=");
        decode(soft.unwrap_or(line), &mut self.open);
        if soft.is_some() && self.open.len() < LONGEST_JOINED {
            return None;
        }
        Some(Cow::Owned(std::mem::take(&mut self.open)))
    }

    /// Lines come as they are.
    pub fn is_plain(&self) -> bool {
        !self.quoted_printable
    }

    /// What is left of a line that was to go on.
    pub fn rest(&mut self) -> Option<Vec<u8>> {
        let rest = std::mem::take(&mut self.open);
        (!rest.is_empty()).then_some(rest)
    }
}

fn contains(text: &[u8], what: &[u8]) -> bool {
    memchr::memmem::find(text, what).is_some()
}

fn starts_quoted_printable(line: &[u8]) -> bool {
    if memchr::memchr(b'=', line).is_none() {
        return contains(line, b"Encoding: quoted-printable");
    }
    // A soft line end comes where a line would get longer than 76.
    let soft = line.ends_with(b"=") && (72..=76).contains(&line.len());
    soft || contains(line, b"=3D") || line.ends_with(b"=20") || contains(line, b"=C2=A0")
}

fn decode(line: &[u8], into: &mut Vec<u8>) {
    let digit = |b: Option<&u8>| b.and_then(|b| (*b as char).to_digit(16));
    let mut at = 0;
    while at < line.len() {
        match (line[at], digit(line.get(at + 1)), digit(line.get(at + 2))) {
            (b'=', Some(high), Some(low)) => {
                into.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                into.push(byte);
                at += 1;
            }
        }
    }
}

/// A line without the escapes of a terminal, without NULs and with HTML's entities undone.
pub fn plain(line: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr3(0x1b, 0, b'&', line).is_none() {
        return Cow::Borrowed(line);
    }
    let mut plain = Vec::with_capacity(line.len());
    let mut at = 0;
    while at < line.len() {
        let rest = &line[at..];
        let entity = [
            (&b"&lt;"[..], b'<'),
            (b"&gt;", b'>'),
            (b"&amp;", b'&'),
            (b"&#43;", b'+'),
        ];
        let entity = entity.iter().find(|(text, _)| rest.starts_with(text));
        at += match (rest[0], entity) {
            (0, _) => 1,
            (0x1b, _) => escape(rest),
            (_, Some((text, byte))) => {
                plain.push(*byte);
                text.len()
            }
            (byte, None) => {
                plain.push(byte);
                1
            }
        };
    }
    Cow::Owned(plain)
}

/// The length of a terminal's escape sequence: `ESC [ ... letter`, or two bytes.
fn escape(text: &[u8]) -> usize {
    if text.get(1) != Some(&b'[') {
        return text.len().min(2);
    }
    let end = text[2..].iter().position(|b| (0x40..=0x7e).contains(b));
    end.map_or(text.len(), |at| at + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailed(lines: &[&str]) -> Vec<String> {
        let mut mail = Mail::default();
        let mut out = Vec::new();
        for line in lines {
            if let Some(line) = mail.line(line.as_bytes()) {
                out.push(String::from_utf8_lossy(&line).into_owned());
            }
        }
        out.extend(
            mail.rest()
                .map(|r| String::from_utf8_lossy(&r).into_owned()),
        );
        out
    }

    #[test]
    fn quoted_printable_is_undone_once_it_shows() {
        let got = mailed(&[
            "root=/dev/sda1 quiet",
            "Content-Transfer-Encoding: quoted-printable",
            "RSP: 0018:ffff9eff00220c68 EFLAGS: 000=",
            "00202",
            "a=3Db=20",
            "last =",
        ]);
        let want = [
            "root=/dev/sda1 quiet",
            "Content-Transfer-Encoding: quoted-printable",
            "RSP: 0018:ffff9eff00220c68 EFLAGS: 00000202",
            "a=b ",
            "last ",
        ];
        assert_eq!(got, want);
    }

    #[test]
    fn colours_nuls_and_entities_go() {
        let line = b"\x1b[32m[ 1.0]\x1b[0m &lt;TASK&gt;\0\0 a && b";
        assert_eq!(&*plain(line), b"[ 1.0] <TASK> a && b");
        assert_eq!(&*plain(b"\x1b["), b"");
        assert_eq!(&*plain(b"\x1b"), b"");
    }
}
