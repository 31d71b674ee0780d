//! A search by levels, written and read back: what it found, the table, the rest of the level, and the next one so far.

use super::table::Table;
use super::{FACTS, Found, Observe, Options, Stopped, table};
use crate::keep::{self, Reader, ResumeError, Standing, Way, Writer};
use crate::packed::Packed;
use std::io::{self, Read};
use std::time::Duration;

/// A search between two chunks.
pub(super) struct Between<const W: usize> {
    pub(super) found: Found,
    pub(super) table: Table,
    /// The level is among those that were counted.
    pub(super) entered: bool,
    /// States of the level that were not expanded.
    pub(super) here: Vec<[u64; W]>,
    /// States of the next level.
    pub(super) next: Vec<[u64; W]>,
}

/// What a checkpoint is of: the steps, the layout, the facts, and how states are told apart.
pub(super) fn identity(packed: &Packed<'_>, observe: &impl Observe) -> u64 {
    let system = keep::identity(packed.machine().system());
    let words = packed.machine().words() as u64;
    table::fingerprint(&[system, words, observe.identity(), FACTS as u64])
}

/// Keeps it, if somebody wants it kept. `here` and `next` are the states, in pieces.
pub(super) fn keep<const W: usize>(
    options: &Options<'_>,
    identity: u64,
    (found, table): (&Found, &Table),
    entered: bool,
    here: &[&[[u64; W]]],
    next: &[&[[u64; W]]],
) {
    let Some(keeper) = options.keep else { return };
    let complete = found.stopped.is_none() && here.is_empty() && next.is_empty();
    let waiting = |pieces: &[&[[u64; W]]]| pieces.iter().map(|p| p.len() as u64).sum::<u64>();
    // States of a level are counted when it is entered.
    let uncounted = waiting(next) + if entered { 0 } else { waiting(here) };
    let standing = Standing {
        states: found.distinct + uncounted,
        level: (found.levels.len() as u64).saturating_sub(u64::from(entered)),
        complete,
    };
    keeper.keep(standing, &mut |to| {
        let mut writer = Writer::new(to, Way::Levels, identity)?;
        write_found(&mut writer, found)?;
        writer.word(u64::from(entered))?;
        // Whoever has seen everything asks the table nothing more.
        writer.word(if complete {
            0
        } else {
            table.entries().count() as u64
        })?;
        let mut some = Vec::with_capacity(512);
        for print in table.entries().take(if complete { 0 } else { usize::MAX }) {
            some.push(print);
            if some.len() == some.capacity() {
                writer.words(&some)?;
                some.clear();
            }
        }
        writer.words(&some)?;
        for pieces in [here, next] {
            writer.word(waiting(pieces))?;
            for piece in pieces {
                writer.words(piece.as_flattened())?;
            }
        }
        Ok(())
    });
}

/// Reads it back. A table for which there is no memory stops the search.
pub(super) fn read<const W: usize>(
    from: &mut dyn Read,
    identity: u64,
    options: &Options<'_>,
    room: u64,
) -> Result<Between<W>, ResumeError> {
    let mut reader = Reader::new(from, Way::Levels, identity)?;
    let mut found = read_found(&mut reader)?;
    let entered = reader.word()? != 0;
    let prints = reader.word()?;
    if prints > found.generated {
        return Err(ResumeError::Damaged("more states than steps"));
    }
    // Three quarters full at most, and what is added between two looks.
    let slots = (prints.max(room) * 2).next_power_of_two().max(1 << 12);
    let table = match options.memory.is_some_and(|most| slots * 8 > most) {
        true => None,
        false => Table::new(slots as usize),
    };
    let Some(table) = table else {
        found.stopped = Some(Stopped::Memory);
        let table = Table::new(1)
            .ok_or(io::ErrorKind::OutOfMemory)
            .map_err(io::Error::from)?;
        return Ok(Between {
            found,
            table,
            entered,
            here: Vec::new(),
            next: Vec::new(),
        });
    };
    let mut some = [0; 512];
    let mut left = prints;
    while left > 0 {
        let some = &mut some[..left.min(512) as usize];
        reader.words(some)?;
        for &print in &*some {
            if print == 0 || !table.insert(print) {
                return Err(ResumeError::Damaged("a state twice"));
            }
        }
        left -= some.len() as u64;
    }
    table.add(prints);
    let mut states = || -> Result<Vec<[u64; W]>, ResumeError> {
        let mut left = reader.word()?;
        let mut states = Vec::new();
        while left > 0 {
            let some = left.min(1 << 12) as usize;
            let begin = states.len();
            states.resize(begin + some, [0; W]);
            reader.words(states[begin..].as_flattened_mut())?;
            left -= some as u64;
        }
        Ok(states)
    };
    let (here, next) = (states()?, states()?);
    reader.end()?;
    Ok(Between {
        found,
        table,
        entered,
        here,
        next,
    })
}

/// What was found so far.
pub(crate) fn write_found(writer: &mut Writer<'_>, found: &Found) -> io::Result<()> {
    writer.words(&[
        found.distinct,
        found.generated,
        found.terminal,
        found.ends.0,
    ])?;
    writer.option(found.ends.1)?;
    writer.words(&[
        found.not_lowered,
        found.peak_bytes,
        found.peak_states,
        found.ranks,
        u64::try_from(found.elapsed.as_nanos()).unwrap_or(u64::MAX),
    ])?;
    writer.list(&found.levels)?;
    writer.list(&found.counts)?;
    found
        .first
        .iter()
        .try_for_each(|&first| writer.option(first))
}

/// Reads it back.
pub(crate) fn read_found(reader: &mut Reader<'_>) -> Result<Found, ResumeError> {
    let mut of = [0; 4];
    reader.words(&mut of)?;
    let [distinct, generated, terminal, ends] = of;
    let ends = (ends, reader.option()?);
    let mut of = [0; 5];
    reader.words(&mut of)?;
    let [not_lowered, peak_bytes, peak_states, ranks, nanos] = of;
    let levels = reader.list()?;
    let counts = reader.list()?;
    if counts.len() != FACTS {
        return Err(ResumeError::Damaged("another number of facts"));
    }
    let first = (0..FACTS).map(|_| reader.option());
    Ok(Found {
        stopped: None,
        distinct,
        generated,
        levels,
        terminal,
        counts,
        first: first.collect::<Result<_, _>>()?,
        ends,
        not_lowered,
        peak_bytes,
        peak_states,
        ranks,
        elapsed: Duration::from_nanos(nanos),
    })
}

/// Is it time to keep it?
#[inline]
pub(super) fn is_due(options: &Options<'_>) -> bool {
    options.keep.is_some_and(|keeper| keeper.is_due())
}
