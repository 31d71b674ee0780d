//! The lines of a trace, plain or gzip, in bounded memory.

use flate2::bufread::MultiGzDecoder;
use std::io::{self, BufRead, BufReader};

/// The longest line that is read, in bytes; the rest of a longer one is skipped.
pub const LONGEST_LINE: usize = 64 << 10;

/// After so many bytes somebody is asked whether to go on.
const NOW_AND_THEN: u64 = 1 << 16;

/// How a line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// With a newline.
    Yes,
    /// With the end of the input.
    No,
    /// It is too long: this is its start.
    TooLong,
}

/// Reads lines.
pub struct Reader<'a> {
    input: Box<dyn BufRead + 'a>,
    buffer: Vec<u8>,
    /// Asked now and then, with the bytes of text so far.
    go_on: Box<dyn FnMut(u64) -> io::Result<()> + 'a>,
    bytes: u64,
    /// The input is compressed.
    pub gzip: bool,
}

impl<'a> Reader<'a> {
    /// Looks at the first bytes. `go_on` is asked now and then, with the bytes of text so far; its error is the input's.
    ///
    /// # Errors
    /// If there are none to be had.
    pub fn new(
        mut input: impl BufRead + 'a,
        go_on: impl FnMut(u64) -> io::Result<()> + 'a,
    ) -> io::Result<Self> {
        let gzip = filled(&mut input)?.starts_with(&[0x1f, 0x8b]);
        let input: Box<dyn BufRead + 'a> = if gzip {
            Box::new(BufReader::with_capacity(
                1 << 17,
                MultiGzDecoder::new(input),
            ))
        } else {
            Box::new(input)
        };
        Ok(Self {
            input,
            buffer: Vec::new(),
            go_on: Box::new(go_on),
            bytes: 0,
            gzip,
        })
    }

    /// The next line, without its newline; none at the end.
    ///
    /// # Errors
    /// If the input cannot be read on, or decompressed.
    pub fn line(&mut self) -> io::Result<Option<(&[u8], Whole)>> {
        self.buffer.clear();
        let mut too_long = false;
        loop {
            let chunk = filled(&mut self.input)?;
            if chunk.is_empty() {
                let nothing = self.buffer.is_empty() && !too_long;
                let whole = if too_long { Whole::TooLong } else { Whole::No };
                return Ok((!nothing).then_some((&self.buffer[..], whole)));
            }
            let newline = memchr::memchr(b'\n', chunk);
            let taken = newline.unwrap_or(chunk.len());
            let room = LONGEST_LINE - self.buffer.len();
            too_long |= taken > room;
            self.buffer.extend_from_slice(&chunk[..taken.min(room)]);
            let consumed = taken + usize::from(newline.is_some());
            self.input.consume(consumed);
            let before = self.bytes / NOW_AND_THEN;
            self.bytes += consumed as u64;
            if self.bytes / NOW_AND_THEN > before {
                (self.go_on)(self.bytes)?;
            }
            if newline.is_some() {
                let whole = if too_long { Whole::TooLong } else { Whole::Yes };
                return Ok(Some((&self.buffer[..], whole)));
            }
        }
    }
}

fn filled(input: &mut impl BufRead) -> io::Result<&[u8]> {
    loop {
        match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(_) => break,
        }
    }
    input.fill_buf()
}
