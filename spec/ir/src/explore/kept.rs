//! An exploration, written and read back: states, steps, and what was noted of them.

use super::{Bounds, Edge, Graph};
use crate::keep::{self, Reader, ResumeError, Standing, Way, Writer};
use crate::machine::Machine;
use crate::system::{CellId, Check, ContextId};
use std::io::{self, Read};

/// Keeps it, if somebody wants it kept.
pub(super) fn keep(machine: &Machine<'_>, graph: &Graph, bounds: Bounds<'_>) {
    let Some(keeper) = bounds.keep else { return };
    let standing = Standing {
        states: graph.len() as u64,
        level: (graph.levels.len() as u64).saturating_sub(2),
        complete: graph.cut.is_none() && graph.expanded == graph.len(),
    };
    let identity = keep::identity(machine.system());
    keeper.keep(standing, &mut |to| {
        write(&mut Writer::new(to, Way::Graph, identity)?, graph)
    });
}

fn write(writer: &mut Writer<'_>, graph: &Graph) -> io::Result<()> {
    writer.word(graph.words as u64)?;
    writer.list(&graph.states)?;
    writer.word(graph.expanded as u64)?;
    writer.words(&graph.rows)?;
    for edge in &graph.edges {
        writer.word(pair(edge.to, edge.step))?;
    }
    let levels: Vec<u64> = graph.levels.iter().map(|&l| l.into()).collect();
    writer.list(&levels)?;
    for check in Check::ALL {
        let failed = graph.failed.get(&check);
        writer.option(failed.map(|&(number, _)| number as usize))?;
        writer.word(failed.map_or(0, |&(_, context)| context.0.into()))?;
    }
    let broken = graph.broken.iter().map(|(&i, &n)| pair(n, i as u32));
    writer.list(&broken.collect::<Vec<u64>>())?;
    // What was noted of a state that a bound left half expanded is noted again.
    for noted in [&graph.faults, &graph.excused] {
        let whole = noted.iter().filter(|(n, _)| graph.is_expanded(*n));
        writer.list(&whole.map(|&(n, c)| pair(n, c.0)).collect::<Vec<u64>>())?;
    }
    for reached in &graph.reached {
        writer.list(&reached.iter().map(|&r| r.into()).collect::<Vec<u64>>())?;
    }
    writer.option(graph.grows.map(|cell| cell.0 as usize))
}

/// Reads what a search of the same machine kept, to [go on](super::go_on) from.
///
/// # Errors
/// If it is of something else, or not whole.
pub fn read(machine: &Machine<'_>, from: &mut dyn Read) -> Result<Graph, ResumeError> {
    let system = machine.system();
    let mut reader = Reader::new(from, Way::Graph, keep::identity(system))?;
    let mut graph = Graph::nothing(machine);
    let damaged = |is: bool, what| {
        if is {
            Err(ResumeError::Damaged(what))
        } else {
            Ok(())
        }
    };
    damaged(
        reader.word()? != graph.words as u64,
        "states of another size",
    )?;
    graph.states = reader.list()?;
    damaged(
        graph.states.is_empty() || !graph.states.len().is_multiple_of(graph.words),
        "half a state",
    )?;
    let len = graph.len() as u64;
    let expanded = reader.word()?;
    damaged(expanded > len, "more states expanded than there are")?;
    graph.expanded = expanded as usize;
    graph.rows = vec![0; graph.expanded + 1];
    reader.words(&mut graph.rows)?;
    let falls = graph.rows.windows(2).any(|w| w[0] > w[1]);
    damaged(graph.rows[0] != 0 || falls, "steps out of order")?;
    let steps = graph.rows[graph.expanded];
    // As many as there are to read, whatever it says.
    for _ in 0..steps {
        let (to, step) = halves(reader.word()?);
        let known = u64::from(to) < len && (step as usize) < system.steps.len();
        damaged(!known, "a step to nowhere")?;
        graph.edges.push(Edge { to, step });
    }
    graph.levels = numbers(reader.list()?, len + 1)?;
    damaged(
        graph.levels.is_empty() || !graph.levels.is_sorted(),
        "levels out of order",
    )?;
    let contexts = system.contexts.len() as u64;
    let place = |(number, context): (u32, u32)| {
        let known = u64::from(number) < len && u64::from(context) < contexts;
        damaged(!known, "a place that does not exist")?;
        Ok::<_, ResumeError>((number, ContextId(context)))
    };
    for check in Check::ALL {
        let (number, context) = (reader.option()?, reader.word()?);
        if let Some(number) = number {
            let noted = place((narrow(number as u64)?, narrow(context)?))?;
            graph.failed.insert(check, noted);
        }
    }
    for word in reader.list()? {
        let (number, i) = halves(word);
        let known = u64::from(number) < len && (i as usize) < system.invariants.len();
        damaged(!known, "an invariant that does not exist")?;
        graph.broken.insert(i as usize, number);
    }
    for noted in [&mut graph.faults, &mut graph.excused] {
        for word in reader.list()? {
            noted.push(place(halves(word))?);
        }
    }
    for reached in &mut graph.reached {
        let of = reader.list()?;
        damaged(of.len() != reached.len(), "another number of places")?;
        *reached = of.into_iter().map(|r| r != 0).collect();
    }
    let grows = reader.option()?;
    damaged(
        grows.is_some_and(|c| c >= system.cells.len()),
        "a cell that does not exist",
    )?;
    graph.grows = grows.map(|cell| CellId(cell as u32));
    reader.end()?;
    Ok(graph)
}

fn pair(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn halves(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

fn narrow(word: u64) -> Result<u32, ResumeError> {
    u32::try_from(word).map_err(|_| ResumeError::Damaged("a number that is too large"))
}

fn numbers(list: Vec<u64>, below: u64) -> Result<Vec<u32>, ResumeError> {
    if list.iter().any(|&n| n >= below) {
        return Err(ResumeError::Damaged("a state that does not exist"));
    }
    list.into_iter().map(narrow).collect()
}
