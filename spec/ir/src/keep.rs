//! How far a search has come, as numbers that it writes now and then and that a later search goes on from.
//!
//! What is written here says what it is of, and is taken back only where it is of the same. That it is whole, and where it
//! is kept, is the business of whoever keeps it.

use std::fmt::{self, Write as _};
use std::io::{self, Read, Write};

/// Where a search has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Distinct states.
    pub states: u64,
    /// The level that is expanded; of a sweep, the rank.
    pub level: u64,
    /// Everything was seen.
    pub complete: bool,
}

/// What a search asks to write.
pub type Writes<'a> = &'a mut dyn FnMut(&mut dyn Write) -> io::Result<()>;

/// Who keeps how far a search has come.
pub trait Keep: Sync + fmt::Debug {
    /// Is it time again? Asked often, and by every thread.
    fn is_due(&self) -> bool;

    /// Keeps what `write` writes in place of what was kept before. If that fails, what was kept before still is, and the
    /// keeper tells whoever has to know: the search goes on.
    fn keep(&self, standing: Standing, write: Writes<'_>);
}

/// Why a search cannot go on from what was kept.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// It is not of the same steps, facts and reductions.
    #[error(
        "it is of other steps than these: the configuration, the scenario or the program is another"
    )]
    Other,
    /// It is of a search that goes another way.
    #[error("it is of {0}, not of {1}")]
    Way(&'static str, &'static str),
    /// What it says cannot be.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// States so wide are not searched this way.
    #[error("states of {0} words are too wide")]
    Words(usize),
}

/// The ways to search that can be gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Level by level, on fingerprints.
    Levels = 1,
    /// Rank by rank, without a visited set.
    Sweep = 2,
    /// With every state and step kept.
    Graph = 3,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::Levels => "a search by levels",
            Way::Sweep => "a sweep",
            Way::Graph => "a search that keeps every step",
        }
    }
}

/// Numbers of 64 bits, least significant byte first.
pub struct Writer<'a>(&'a mut dyn Write);

impl<'a> Writer<'a> {
    /// Writes what it is of.
    ///
    /// # Errors
    /// As from the writer below.
    pub fn new(to: &'a mut dyn Write, way: Way, identity: u64) -> io::Result<Writer<'a>> {
        let mut writer = Writer(to);
        writer.word(way as u64)?;
        writer.word(identity)?;
        Ok(writer)
    }

    /// One number.
    ///
    /// # Errors
    /// As from the writer below.
    pub fn word(&mut self, word: u64) -> io::Result<()> {
        self.0.write_all(&word.to_le_bytes())
    }

    /// Numbers one after the other.
    ///
    /// # Errors
    /// As from the writer below.
    pub fn words(&mut self, words: &[u64]) -> io::Result<()> {
        let mut bytes = [0; 4096];
        for some in words.chunks(bytes.len() / 8) {
            for (to, word) in bytes.chunks_exact_mut(8).zip(some) {
                to.copy_from_slice(&word.to_le_bytes());
            }
            self.0.write_all(&bytes[..8 * some.len()])?;
        }
        Ok(())
    }

    /// How many, and then they.
    ///
    /// # Errors
    /// As from the writer below.
    pub fn list(&mut self, words: &[u64]) -> io::Result<()> {
        self.word(words.len() as u64)?;
        self.words(words)
    }

    /// A number, or none.
    ///
    /// # Errors
    /// As from the writer below.
    pub fn option(&mut self, number: Option<usize>) -> io::Result<()> {
        self.word(number.map_or(0, |n| n as u64 + 1))
    }
}

/// Reads what a [`Writer`] wrote.
pub struct Reader<'a>(&'a mut dyn Read);

impl<'a> Reader<'a> {
    /// Begins, if it is of this.
    ///
    /// # Errors
    /// If it is not, or cannot be read.
    pub fn new(from: &'a mut dyn Read, way: Way, identity: u64) -> Result<Reader<'a>, ResumeError> {
        let mut reader = Reader(from);
        let wrote = reader.word()?;
        if wrote != way as u64 {
            let all = [Way::Levels, Way::Sweep, Way::Graph];
            let other = all.into_iter().find(|w| *w as u64 == wrote);
            return Err(match other {
                Some(other) => ResumeError::Way(other.name(), way.name()),
                None => ResumeError::Damaged("nobody searches that way"),
            });
        }
        if reader.word()? != identity {
            return Err(ResumeError::Other);
        }
        Ok(reader)
    }

    /// One number.
    ///
    /// # Errors
    /// If there is none.
    pub fn word(&mut self) -> Result<u64, ResumeError> {
        let mut bytes = [0; 8];
        self.0.read_exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// As many as there is room for.
    ///
    /// # Errors
    /// If there are fewer.
    pub fn words(&mut self, words: &mut [u64]) -> Result<(), ResumeError> {
        let mut bytes = [0; 4096];
        for some in words.chunks_mut(bytes.len() / 8) {
            let bytes = &mut bytes[..8 * some.len()];
            self.0.read_exact(bytes)?;
            for (word, from) in some.iter_mut().zip(bytes.chunks_exact(8)) {
                let mut it = [0; 8];
                it.copy_from_slice(from);
                *word = u64::from_le_bytes(it);
            }
        }
        Ok(())
    }

    /// As many as it says there are. No more memory is taken than what there is to read.
    ///
    /// # Errors
    /// If there are fewer.
    pub fn list(&mut self) -> Result<Vec<u64>, ResumeError> {
        let mut left = self.word()?;
        let mut list = Vec::new();
        while left > 0 {
            let some = left.min(1 << 16);
            let begin = list.len();
            list.resize(begin + some as usize, 0);
            self.words(&mut list[begin..])?;
            left -= some;
        }
        Ok(list)
    }

    /// A number, or none.
    ///
    /// # Errors
    /// If there is nothing.
    pub fn option(&mut self) -> Result<Option<usize>, ResumeError> {
        Ok(self.word()?.checked_sub(1).map(|n| n as usize))
    }

    /// Nothing is left.
    ///
    /// # Errors
    /// If something is.
    pub fn end(self) -> Result<(), ResumeError> {
        match self.0.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(ResumeError::Damaged("there is more than a search writes")),
        }
    }
}

/// A number for what a value is, by how it is printed for debugging: FNV-1a. Equal values have equal numbers, in every
/// process of one build.
pub fn identity(of: &impl fmt::Debug) -> u64 {
    struct Fnv(u64);
    impl fmt::Write for Fnv {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for byte in text.bytes() {
                self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
            Ok(())
        }
    }
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    // It never fails; and what could not be printed would be no other value.
    let _ = write!(hash, "{of:?}");
    hash.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_what_is_not_whole_does_not() {
        let words: Vec<u64> = (0..100_000).map(|n| n * 0x9e37_79b9).collect();
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, Way::Levels, 7).unwrap();
        writer.list(&words).unwrap();
        writer.option(None).unwrap();
        writer.option(Some(0)).unwrap();
        let read = |bytes: &[u8]| -> Result<_, ResumeError> {
            let mut from = bytes;
            let mut reader = Reader::new(&mut from, Way::Levels, 7)?;
            let all = (reader.list()?, reader.option()?, reader.option()?);
            reader.end()?;
            Ok(all)
        };
        assert_eq!(read(&bytes).unwrap(), (words, None, Some(0)));
        for cut in [0, 8, 15, 16, 24, 4096, bytes.len() - 1] {
            assert!(
                matches!(read(&bytes[..cut]), Err(ResumeError::Io(_))),
                "{cut}"
            );
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(matches!(read(&longer), Err(ResumeError::Damaged(_))));
        // As many numbers as there are bits: not a reason to take as much memory.
        let mut huge = bytes.clone();
        huge[16..24].fill(0xff);
        assert!(matches!(read(&huge), Err(ResumeError::Io(_))));
    }

    #[test]
    fn what_is_of_something_else_is_refused() {
        let mut bytes = Vec::new();
        Writer::new(&mut bytes, Way::Sweep, 7).unwrap();
        let of = |way, identity| Reader::new(&mut bytes.as_slice(), way, identity).err();
        assert!(of(Way::Sweep, 7).is_none());
        assert!(matches!(of(Way::Sweep, 8), Some(ResumeError::Other)));
        assert!(matches!(of(Way::Levels, 7), Some(ResumeError::Way(..))));
        let (a, b) = (identity(&[1, 2]), identity(&[1, 3]));
        assert!(a == identity(&[1, 2]) && a != b);
    }
}
