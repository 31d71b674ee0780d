//! Files as people send them: plain, compressed, in a mail. Text comes out line by line, in bounded memory.

pub mod mail;
pub mod record;

use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::StreamingDecoder;
use std::io::{self, BufRead, BufReader, Read};

/// What is kept of a line; no line of a kernel's is longer. The rest is read over.
pub const LONGEST_LINE: usize = 16 << 10;

/// Undoes gzip, xz or zstd, told by the first bytes; anything else comes through as it is.
///
/// # Errors
/// If the first bytes cannot be read, or the header of a compressed file is damaged. Damage further on is an error of
/// the read that meets it.
pub fn decompressed<'a>(mut input: impl BufRead + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    let start = input.fill_buf()?;
    let large = 1 << 16;
    Ok(match start {
        [0x1f, 0x8b, ..] => Box::new(BufReader::with_capacity(large, MultiGzDecoder::new(input))),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            Box::new(BufReader::with_capacity(large, XzReader::new(input, true)))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(BufReader::with_capacity(
            large,
            Zstd {
                input: Some(Frame::Between(input)),
            },
        )),
        _ => Box::new(input),
    })
}

/// The frames of a zstd file, one after the other.
struct Zstd<R: BufRead> {
    input: Option<Frame<R>>,
}

enum Frame<R: BufRead> {
    Between(R),
    Inside(Box<StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>),
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let damaged = |error| io::Error::new(io::ErrorKind::InvalidData, format!("zstd: {error}"));
        loop {
            match self.input.take() {
                None => return Ok(0),
                Some(Frame::Between(mut input)) => {
                    if input.fill_buf()?.is_empty() {
                        return Ok(0);
                    }
                    let frame = StreamingDecoder::new(input).map_err(|e| damaged(e.to_string()))?;
                    self.input = Some(Frame::Inside(Box::new(frame)));
                }
                Some(Frame::Inside(mut frame)) => {
                    let n = frame.read(buffer)?;
                    if n > 0 || buffer.is_empty() {
                        self.input = Some(Frame::Inside(frame));
                        return Ok(n);
                    }
                    self.input = Some(Frame::Between(frame.into_inner()));
                }
            }
        }
    }
}

/// How a line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With a line feed.
    Whole,
    /// Where the file ends: the line may be cut.
    AtTheEnd,
    /// Longer than [`LONGEST_LINE`]: this is its beginning.
    TooLong,
}

/// Reads lines, none of them without bound.
pub struct Lines<R> {
    input: R,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// Lines of decompressed text.
    pub fn new(input: R) -> Lines<R> {
        Lines {
            input,
            line: Vec::new(),
        }
    }

    /// Skips whole lines that are here already, up to the one that `first` finds something in, and says how many.
    ///
    /// # Errors
    /// What the input says; the next line meets it again.
    pub fn skip(&mut self, first: impl Fn(&[u8]) -> Option<usize>) -> io::Result<u64> {
        let buffer = self.input.fill_buf()?;
        let before = &buffer[..first(buffer).unwrap_or(buffer.len())];
        let end = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let lines = memchr::memchr_iter(b'\n', &buffer[..end]).count();
        self.input.consume(end);
        Ok(lines as u64)
    }

    /// The next line without its end, or `None` behind the last.
    ///
    /// # Errors
    /// What the input says, damaged compression included.
    #[expect(
        clippy::should_implement_trait,
        reason = "it lends the line, which an iterator cannot"
    )]
    pub fn next(&mut self) -> io::Result<Option<(&[u8], Ended)>> {
        self.line.clear();
        let mut any = false;
        let mut ended = Ended::AtTheEnd;
        loop {
            let buffer = match self.input.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() {
                break;
            }
            any = true;
            let end = memchr::memchr(b'\n', buffer);
            let part = &buffer[..end.unwrap_or(buffer.len())];
            let room = LONGEST_LINE - self.line.len();
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if part.len() > room {
                ended = Ended::TooLong;
            }
            let used = end.map_or(buffer.len(), |at| at + 1);
            self.input.consume(used);
            if end.is_some() {
                if ended != Ended::TooLong {
                    ended = Ended::Whole;
                }
                break;
            }
        }
        if !any {
            return Ok(None);
        }
        while self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        Ok(Some((&self.line, ended)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn text(bytes: &[u8]) -> String {
        let mut text = String::new();
        decompressed(bytes)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        text
    }

    #[test]
    fn every_compression_comes_out_as_the_text_that_went_in() {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(b"a line\n").unwrap();
        let mut twice = gz.finish().unwrap();
        twice.extend(twice.clone());
        assert_eq!(text(&twice), "a line\na line\n");
        assert_eq!(text(b"plain\n"), "plain\n");
        // `printf 'a line\n' | xz` and `| zstd`.
        let xz =
            b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4F\x02\0!\x01\x16\0\0\0t/\xe5\xa3\x01\0\x06a line\n\0";
        assert!(
            decompressed(&xz[..])
                .unwrap()
                .read_to_string(&mut String::new())
                .is_err()
        );
    }

    #[test]
    fn a_line_without_end_is_cut_and_said_to_be() {
        let long = [vec![b'x'; LONGEST_LINE + 7], b"\nshort\r\nlast".to_vec()].concat();
        let mut lines = Lines::new(&long[..]);
        let (line, ended) = lines.next().unwrap().unwrap();
        assert_eq!((line.len(), ended), (LONGEST_LINE, Ended::TooLong));
        assert_eq!(lines.next().unwrap(), Some((&b"short"[..], Ended::Whole)));
        assert_eq!(lines.next().unwrap(), Some((&b"last"[..], Ended::AtTheEnd)));
        assert_eq!(lines.next().unwrap(), None);
    }
}
