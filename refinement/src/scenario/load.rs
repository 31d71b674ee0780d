//! Reading scenario files.

use shootdown_ir::compile::{CompileError, compile};
use shootdown_ir::machine::Machine;
use shootdown_ir::system::System;
use shootdown_ir::{Kind, Memory, Protocol};
use shootdown_lang::{Diagnostics, LARGEST};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// How scenario files end.
pub const EXTENSION: &str = "sd";

/// A scenario, ready to be checked.
#[derive(Debug)]
pub struct Scenario {
    /// The file, as it was given.
    pub file: String,
    /// Its text.
    pub text: String,
    /// What it says.
    pub protocol: Protocol,
    /// What its text already shows.
    pub warnings: Diagnostics,
    system: System,
}

/// Why a file is no scenario.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The system does not let it be read.
    #[error("{}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A folder where a file is wanted.
    #[error("{}: a folder; `shootdown check` takes folders, this takes one file", .0.display())]
    Folder(PathBuf),
    /// A folder without scenarios.
    #[error("{}: no `.sd` file in this folder", .0.display())]
    Nothing(PathBuf),
    /// Its text is wrong.
    #[error("{}: {}", .0.file.name, errors(.0))]
    Text(Box<Diagnostics>),
    /// It asks for more than a search can keep.
    #[error("{file}:{}: {error}", error.span.line)]
    Compile {
        /// The file.
        file: String,
        /// What is too much.
        error: CompileError,
    },
}

fn errors(diagnostics: &Diagnostics) -> String {
    match diagnostics.errors() {
        1 => "1 error".to_string(),
        n => format!("{n} errors"),
    }
}

impl Scenario {
    /// Reads a file; `-` is stdin.
    ///
    /// # Errors
    /// If it cannot be read, or is no scenario.
    pub fn read(path: &Path) -> Result<Scenario, LoadError> {
        Scenario::read_with(path, None)
    }

    /// As [`read`](Self::read), with this memory, whatever the file says.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_with(path: &Path, memory: Option<Memory>) -> Result<Scenario, LoadError> {
        let failed = |error| LoadError::Read {
            path: path.to_path_buf(),
            error,
        };
        // A byte more than is allowed is enough to see that it is too long; a device that never ends is not read to its end.
        let mut bytes = Vec::new();
        let most = LARGEST as u64 + 1;
        let name = if path == Path::new("-") {
            io::stdin()
                .take(most)
                .read_to_end(&mut bytes)
                .map_err(failed)?;
            "stdin".to_string()
        } else {
            if path.is_dir() {
                return Err(LoadError::Folder(path.to_path_buf()));
            }
            let file = std::fs::File::open(path).map_err(failed)?;
            file.take(most).read_to_end(&mut bytes).map_err(failed)?;
            path.display().to_string()
        };
        Scenario::of_bytes_with(&bytes, &name, memory)
    }

    /// A scenario from bytes that need not be text; `name` is what messages call it.
    ///
    /// # Errors
    /// If it is no scenario.
    pub fn of_bytes(bytes: &[u8], name: &str) -> Result<Scenario, LoadError> {
        Scenario::of_bytes_with(bytes, name, None)
    }

    fn of_bytes_with(
        bytes: &[u8],
        name: &str,
        memory: Option<Memory>,
    ) -> Result<Scenario, LoadError> {
        let checked =
            shootdown_lang::parse_bytes_with(bytes, name, memory).map_err(LoadError::Text)?;
        let system = compile(&checked.protocol).map_err(|error| LoadError::Compile {
            file: name.to_string(),
            error,
        })?;
        Ok(Scenario {
            file: name.to_string(),
            text: String::from_utf8_lossy(bytes).into_owned(),
            protocol: checked.protocol,
            warnings: checked.warnings,
            system,
        })
    }

    /// The machine that runs it.
    pub fn machine(&self) -> Machine<'_> {
        Machine::new(&self.system)
    }

    /// The scenario on one line: `2 CPUs, 2 tasks, 1 IPI handler`.
    pub fn size(&self) -> String {
        let count = |n: usize, one: &str| match n {
            1 => format!("1 {one}"),
            n if one.ends_with("ork") => format!("{n} {one} items"),
            n => format!("{n} {one}s"),
        };
        let mut parts = vec![count(self.protocol.cpus, "CPU")];
        let mut kinds: Vec<Kind> = self.protocol.sources.iter().map(|s| s.kind).collect();
        kinds.sort();
        kinds.dedup();
        for kind in kinds {
            if kind == Kind::StoreBuffer {
                parts.push("store buffers".to_string());
                continue;
            }
            let n = self.protocol.sources.iter().filter(|s| s.kind == kind);
            parts.push(count(n.count(), &kind.to_string()));
        }
        parts.push(count(self.protocol.locks.len(), "lock"));
        parts.join(", ")
    }
}

/// The files that arguments stand for: a folder stands for the scenarios directly in it, by name.
///
/// # Errors
/// A folder that cannot be read or has none.
pub fn files(arguments: &[PathBuf]) -> Result<Vec<PathBuf>, LoadError> {
    let mut files = Vec::new();
    for path in arguments {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let failed = |error| LoadError::Read {
            path: path.clone(),
            error,
        };
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?.path();
            if is_named(&entry) && entry.is_file() {
                inside.push(entry);
            }
        }
        if inside.is_empty() {
            return Err(LoadError::Nothing(path.clone()));
        }
        inside.sort();
        files.extend(inside);
    }
    Ok(files)
}

fn is_named(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == EXTENSION)
}

/// Is the argument of a command a scenario, and not a schedule or a file that holds one? By its name; else by a brace, which
/// no schedule has.
pub fn is_scenario(argument: &str) -> bool {
    let path = Path::new(argument);
    if is_named(path) && !argument.contains(';') {
        return true;
    }
    let Ok(file) = std::fs::File::open(path) else {
        return false;
    };
    let mut start = Vec::new();
    let read = file.take(1 << 16).read_to_end(&mut start);
    read.is_ok() && start.contains(&b'{')
}
