//! Reads the debug port: records and facts, as `impl/bare/src/out.rs` writes them.
//!
//! QEMU's own complaints come the same way, before the machine or after it: whatever is neither is taken for one.

use shootdown_impl::event::Event;
use shootdown_impl::host::recorder::Record;
use shootdown_impl::id::{CpuId, NR_CPUS};

/// A fact: a name, and what is said under other names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Its name.
    pub name: String,
    fields: Vec<(String, String)>,
}

impl Fact {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let name = words.next()?.to_string();
        let field = |word: &str| {
            let (name, value) = word.split_once('=')?;
            Some((name.to_string(), value.to_string()))
        };
        let fields = words.map(field).collect::<Option<_>>()?;
        Some(Self { name, fields })
    }

    /// What it says under this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|(n, _)| n == name);
        field.map(|(_, value)| value.as_str())
    }

    /// A number that it says.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A record.
    Record(Record),
    /// A fact.
    Fact(Fact),
    /// A line of something else.
    Complaint(String),
}

/// Longest line; what is longer is no fact.
const LINE: usize = 1 << 16;

/// Reads pieces as they come.
#[derive(Default)]
pub struct Reader {
    rest: Vec<u8>,
    /// The number of the last record, by CPU.
    last: [u64; NR_CPUS],
}

impl Reader {
    /// Takes the next bytes; none: the end.
    pub fn read(&mut self, bytes: &[u8], mut take: impl FnMut(Message)) {
        self.rest.extend_from_slice(bytes);
        let ended = bytes.is_empty();
        let mut at = 0;
        while let Some((message, length)) = self.one(at, ended) {
            at += length;
            take(message);
        }
        self.rest.drain(..at);
    }

    /// The message that begins there, if it is all there, and how long it is.
    fn one(&mut self, at: usize, ended: bool) -> Option<(Message, usize)> {
        let bytes = &self.rest[at..];
        let first = *bytes.first()?;
        if first & 0x80 != 0 {
            return match record(bytes, &self.last) {
                Ok((record, length)) => {
                    self.last[record.cpu.index()] = record.seq;
                    Some((Message::Record(record), length))
                }
                Err(Wrong::Short) if !ended => None,
                Err(_) => Some((Message::Complaint(format!("\\x{first:02x}")), 1)),
            };
        }
        let end = bytes.iter().position(|b| *b == b'\n');
        let length = match end {
            Some(end) => end + 1,
            None if ended || bytes.len() > LINE => bytes.len(),
            None => return None,
        };
        let text = String::from_utf8_lossy(&bytes[..end.unwrap_or(length)]).into_owned();
        let fact = text.strip_prefix('T').and_then(Fact::parse);
        Some((fact.map_or(Message::Complaint(text), Message::Fact), length))
    }
}

enum Wrong {
    /// More is to come.
    Short,
    /// No record.
    Bad,
}

fn record(bytes: &[u8], last: &[u64; NR_CPUS]) -> Result<(Record, usize), Wrong> {
    let mut rest = bytes.iter().copied();
    let mut next = || rest.next().ok_or(Wrong::Short);
    let first = next()?;
    let cpu = CpuId(first & 7);
    if first & 0x70 != 0 {
        return Err(Wrong::Bad);
    }
    let length = next()?;
    if !(1..=8).contains(&length) {
        return Err(Wrong::Bad);
    }
    let mut word = 0;
    for n in 0..length {
        word |= u64::from(next()?) << (8 * n);
    }
    let mut number = || {
        let (mut n, mut shift) = (0u64, 0);
        loop {
            let byte = next()?;
            if shift > 56 {
                return Err(Wrong::Bad);
            }
            n |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return Ok(n);
            }
        }
    };
    let (above_last, above_since) = (number()?, number()?);
    let seq = last[cpu.index()]
        .checked_add(above_last)
        .ok_or(Wrong::Bad)?;
    let record = Record {
        seq,
        since: seq.checked_sub(above_since).ok_or(Wrong::Bad)?,
        cpu,
        irq: first & 8 != 0,
        event: Event::unpack(word).ok_or(Wrong::Bad)?,
    };
    Ok((record, bytes.len() - rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(pieces: &[&[u8]]) -> Vec<Message> {
        let (mut reader, mut found) = (Reader::default(), Vec::new());
        for piece in pieces.iter().filter(|p| !p.is_empty()) {
            reader.read(piece, |m| found.push(m));
        }
        reader.read(&[], |m| found.push(m));
        found
    }

    /// `walk_done` is kind 13: on CPU 1 in an interrupt, number 300, since 299; then `walk_at` (12) of mm 2, number 301,
    /// since 301.
    const RECORDS: &[u8] = &[
        0x89, 1, 13, 0xac, 0x02, 1, // 300 = 0x2c + 2 * 128
        0x81, 2, 12, 2, 1, 0,
    ];

    #[test]
    fn records_facts_and_complaints_are_told_apart_however_they_are_cut() {
        let stream = [b"Tboot khz=5\n".as_slice(), RECORDS, b"qemu: no\n"].concat();
        let expected = vec![
            Message::Fact(Fact {
                name: "boot".into(),
                fields: vec![("khz".into(), "5".into())],
            }),
            Message::Record(Record {
                seq: 300,
                since: 299,
                cpu: CpuId(1),
                irq: true,
                event: Event::WalkDone {},
            }),
            Message::Record(Record {
                seq: 301,
                since: 301,
                cpu: CpuId(1),
                irq: false,
                event: Event::WalkAt {
                    mm: shootdown_impl::id::MmId(2),
                },
            }),
            Message::Complaint("qemu: no".into()),
        ];
        for cut in 0..=stream.len() {
            assert_eq!(
                all(&[&stream[..cut], &stream[cut..]]),
                expected,
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn what_is_cut_off_is_no_record() {
        let found = all(&[&RECORDS[..4]]);
        assert!(
            found.iter().all(|m| matches!(m, Message::Complaint(_))),
            "{found:?}"
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_stop(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut with_end = bytes.clone();
            with_end.extend_from_slice(b"\nTend how=done\n");
            let last = all(&[&with_end]).pop();
            prop_assert!(last.is_some());
        }
    }
}
