//! `--checkpoint` and `--resume`: a folder with how far a search has come.
//!
//! In the folder is one file, `checkpoint`: lines for people, an empty line, the numbers of the search
//! ([`shootdown_ir::keep`]), and a SHA-256 of all that. The next one is written beside it, forced to the disk and renamed,
//! so that whatever ends the process (`kill -9`, a full disk, no power) leaves the last whole one. The folder is locked for
//! as long as somebody writes to it; the kernel unlocks it when the process is gone.

use super::bounds;
use super::error::CliError;
use super::output::{self, complain};
use clap::ValueHint;
use rapidhash::v3::rapidhash_v3_file;
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};
use shootdown_ir::keep::{Keep, Standing, Writes};
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read, Seek as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long between two checkpoints, unless told otherwise.
const EVERY: Duration = Duration::from_secs(300);

/// What the first line says. The number changes with what is written, and with how states are told apart.
const VERSION: &str = "shootdown checkpoint 1";

const NAME: &str = "checkpoint";
const PART: &str = "checkpoint.part";
const SUM: u64 = 32;

/// Flags of a search that can be gone on with.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Long runs")]
pub struct Checkpoint {
    /// Keep in this folder how far the search has come: now and then, and when a bound or a signal ends it
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    checkpoint: Option<PathBuf>,
    /// Time between two checkpoints (suffixes s, m, h) [default: 5m]
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    checkpoint_every: Option<String>,
    /// Go on from the checkpoint in this folder, and keep the next ones there
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    resume: Option<PathBuf>,
}

/// Why there is no checkpoint, or none to go on from.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A time between checkpoints that nobody asked for.
    #[error("--checkpoint-every: there are none without `--checkpoint DIR` or `--resume DIR`")]
    NoneAsked,
    /// More than one search.
    #[error(
        "--checkpoint and --resume are for one search at a time: one design, or one scenario file"
    )]
    OneAtATime,
    /// Something is kept there.
    #[error(
        "--checkpoint {0}: a checkpoint is there already; `--resume {0}` goes on from it, and without \
         {0}/checkpoint a search begins anew"
    )]
    There(String),
    /// Nothing is kept there.
    #[error(
        "--resume {0}: no checkpoint is there; `--checkpoint {0}` begins a search that keeps some"
    )]
    None(String),
    /// Somebody else writes there.
    #[error("{0}: another search keeps its checkpoints there, and still runs")]
    InUse(String),
    /// It is not one of ours, or of another version.
    #[error("--resume {0}: {1}")]
    Unfit(String, String),
    /// It is of another search.
    #[error(
        "--resume {folder}: the checkpoint there is of another search\n  it is of  {is}\n  this is   {wanted}"
    )]
    Other {
        /// The folder.
        folder: String,
        /// What it is of.
        is: String,
        /// What it should be of.
        wanted: String,
    },
    /// It cannot be checked this way.
    #[error("this search cannot be swept, kept, or gone on with: {0}")]
    Refused(String),
    /// The folder cannot be used.
    #[error("{}: {error}", path.display())]
    Folder {
        /// Folder or file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// What a search is of: lines of the file, in words.
#[derive(Clone, Debug)]
pub struct Of {
    /// What is checked.
    pub what: String,
    /// How.
    pub how: String,
}

/// A folder that keeps a search, and what was kept there before.
#[derive(Debug)]
pub struct Kept {
    /// Where the next ones go, if that is possible.
    pub store: Option<Store>,
    /// What to go on from.
    pub from: Option<io::Take<BufReader<File>>>,
}

impl Checkpoint {
    /// Was any flag given?
    pub fn is_given(&self) -> bool {
        self.checkpoint.is_some() || self.resume.is_some() || self.checkpoint_every.is_some()
    }

    /// How a search that was cut off goes on.
    pub fn goes_on(&self) -> Option<String> {
        let folder = self.checkpoint.as_ref().or(self.resume.as_ref())?;
        folder
            .join(NAME)
            .exists()
            .then(|| format!("`--resume {}` goes on from here", folder.display()))
    }

    /// Opens the folders; `None` if nothing is to be kept.
    pub fn open(&self, of: &Of) -> Result<Option<Kept>, CliError> {
        let every = bounds::time("--checkpoint-every", &self.checkpoint_every)?;
        let folder = match (&self.checkpoint, &self.resume) {
            (None, None) if every.is_some() => return Err(CheckpointError::NoneAsked.into()),
            (None, None) => return Ok(None),
            (None, Some(folder)) | (Some(folder), _) => folder,
        };
        let from = match &self.resume {
            Some(resume) => Some(read(resume, of)?),
            None => None,
        };
        let goes_on = self
            .resume
            .as_ref()
            .is_some_and(|resume| same(resume, folder));
        let store = match Store::new(folder, of, every.unwrap_or(EVERY), goes_on) {
            // What is kept on a disk that cannot be written can be gone on from all the same.
            Err(CheckpointError::Folder { path, error }) if self.checkpoint.is_none() => {
                complain!(
                    "warning: no checkpoints are kept: {}: {error}",
                    path.display()
                );
                None
            }
            store => Some(store?),
        };
        Ok(Some(Kept { store, from }))
    }
}

fn same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

impl Kept {
    /// The keeper, as a search takes it.
    pub fn keeper(&self) -> Option<&dyn Keep> {
        self.store.as_ref().map(|store| store as &dyn Keep)
    }
}

/// Writes checkpoints to a folder.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    /// The folder, locked.
    _lock: File,
    head: String,
    every: Duration,
    /// When the last one was done.
    last: Mutex<Instant>,
}

impl Store {
    fn new(
        folder: &Path,
        of: &Of,
        every: Duration,
        goes_on: bool,
    ) -> Result<Store, CheckpointError> {
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            |error| CheckpointError::Folder { path, error }
        };
        let name = folder.display().to_string();
        match fs::create_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(folder)(error));
            }
            _ => {}
        }
        let lock = File::open(folder).map_err(failed(folder))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(CheckpointError::InUse(name)),
            locked => locked.map_err(|error| failed(folder)(error.into()))?,
        }
        if !goes_on && folder.join(NAME).exists() {
            return Err(CheckpointError::There(name));
        }
        // Hours of work should not end with a folder that cannot be written to.
        let part = folder.join(PART);
        File::create(&part).map_err(failed(&part))?;
        fs::remove_file(&part).map_err(failed(&part))?;
        Ok(Store {
            folder: folder.to_path_buf(),
            _lock: lock,
            head: head(of)?,
            every,
            last: Mutex::new(Instant::now()),
        })
    }

    fn write(&self, standing: Standing, write: Writes<'_>) -> io::Result<()> {
        let part = self.folder.join(PART);
        let mut file = Summed {
            to: BufWriter::with_capacity(1 << 18, File::create(&part)?),
            sum: Sha256::new(),
        };
        let Standing {
            states,
            level,
            complete,
        } = standing;
        let how_far = match complete {
            true => "all".to_string(),
            false => level.to_string(),
        };
        write!(file, "{}states: {states}\nlevel: {how_far}\n\n", self.head)?;
        write(&mut file)?;
        let sum = file.sum.finalize();
        file.to.write_all(&sum)?;
        let file = file
            .to
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&part, self.folder.join(NAME))?;
        // The new name has to be on the disk, too.
        File::open(&self.folder)?.sync_all()
    }
}

impl Keep for Store {
    fn is_due(&self) -> bool {
        self.last
            .lock()
            .is_ok_and(|last| last.elapsed() >= self.every)
    }

    fn keep(&self, standing: Standing, write: Writes<'_>) {
        if let Err(error) = self.write(standing, write) {
            let _ = fs::remove_file(self.folder.join(PART));
            let earlier = match self.folder.join(NAME).exists() {
                true => "the one before is still there",
                false => "there is none",
            };
            let folder = self.folder.display();
            complain!(
                "warning: no checkpoint at {} states: {folder}: {error}; {earlier}, and the search goes on",
                output::count(standing.states)
            );
        }
        if let Ok(mut last) = self.last.lock() {
            *last = Instant::now();
        }
    }
}

/// Counts what is written into the sum.
struct Summed {
    to: BufWriter<File>,
    sum: Sha256,
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// The first lines.
fn head(of: &Of) -> Result<String, CheckpointError> {
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(format!(
        "{VERSION}\nbuild: {}\nof: {}\nhow: {}\n",
        build()?,
        line(&of.what),
        line(&of.how)
    ))
}

/// What the program is that runs. Another one may see other facts in the same states, and add them to those that are kept.
fn build() -> Result<String, CheckpointError> {
    let path = match cfg!(target_os = "linux") {
        true => PathBuf::from("/proc/self/exe"),
        false => std::env::current_exe().unwrap_or_default(),
    };
    let sum = File::open(&path).and_then(rapidhash_v3_file);
    let sum = sum.map_err(|error| CheckpointError::Folder { path, error })?;
    Ok(format!("{} {sum:016x}", env!("CARGO_PKG_VERSION")))
}

/// Opens what is kept in a folder, if it is whole, and of this.
fn read(folder: &Path, of: &Of) -> Result<io::Take<BufReader<File>>, CheckpointError> {
    let name = folder.display().to_string();
    let unfit = |why: &str| CheckpointError::Unfit(name.clone(), why.to_string());
    let path = folder.join(NAME);
    let failed = |error| CheckpointError::Folder {
        path: path.clone(),
        error,
    };
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(CheckpointError::None(name));
        }
        file => file.map_err(failed)?,
    };
    let size = file.metadata().map_err(failed)?.len();
    let mut reader = BufReader::with_capacity(1 << 18, file);
    let mut first = Vec::new();
    let mut begin = (&mut reader).take(VERSION.len() as u64 + 1);
    begin.read_until(b'\n', &mut first).map_err(failed)?;
    if first != format!("{VERSION}\n").as_bytes() {
        return Err(unfit(match first.starts_with(b"shootdown checkpoint") {
            true => {
                "the checkpoint there is of another version of shootdown, with which it can be gone on"
            }
            false => "what is there is no checkpoint of shootdown, or damaged",
        }));
    }
    // All of it, before a word of it is believed.
    reader.rewind().map_err(failed)?;
    let mut sum = Sha256::new();
    let mut body = reader.take(size.saturating_sub(SUM));
    io::copy(&mut body, &mut sum).map_err(failed)?;
    let mut reader = body.into_inner();
    let mut wrote = Vec::new();
    reader.read_to_end(&mut wrote).map_err(failed)?;
    if *sum.finalize() != *wrote {
        return Err(unfit(
            "the checkpoint there is damaged or not whole: its sum is wrong",
        ));
    }
    reader.rewind().map_err(failed)?;
    let mut reader = reader.take(size - SUM);
    let mut is = String::new();
    let mut standing = [String::new(), String::new()];
    let mut line = String::new();
    for i in 0.. {
        line.clear();
        reader.read_line(&mut line).map_err(failed)?;
        match (i, line.as_str()) {
            (0..4, _) => is += &line,
            (_, "\n" | "") => break,
            (4 | 5, text) => {
                standing[i - 4] = text.split_once(' ').map_or("", |t| t.1).trim().to_string();
            }
            _ => {}
        }
    }
    let wanted = head(of)?;
    if is != wanted {
        let lines: Vec<[&str; 2]> = is
            .lines()
            .zip(wanted.lines())
            .map(|(is, wanted)| [is, wanted].map(|l| l.split_once(": ").map_or(l, |l| l.1)))
            .collect();
        return Err(match lines.as_slice() {
            [_, build, what, how]
                if what[0] == what[1] && how[0] == how[1] && build[0] != build[1] =>
            {
                unfit(
                    "another build of shootdown wrote the checkpoint there, and can go on from it; to another, \
                       the same states may show other facts",
                )
            }
            [_, _, what, how] => CheckpointError::Other {
                folder: name,
                is: format!("{} | {}", what[0], how[0]),
                wanted: format!("{} | {}", what[1], how[1]),
            },
            _ => unfit("its first lines are not those of a checkpoint"),
        });
    }
    let [states, level] = &standing;
    match level.as_str() {
        "all" => complain!("what is kept in {name} is finished: {states} states"),
        level => complain!("going on from {name}: {states} states, level {level}"),
    }
    Ok(reader)
}
