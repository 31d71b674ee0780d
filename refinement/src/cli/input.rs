//! What a command reads for longer than a moment: it can be stopped while it waits, and it has a bound.

use super::error::CliError;
use super::output::ProgressLine;
use shootdown_refinement::cancel::Cancel;
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// What is read at a time.
const PIECE: usize = 1 << 16;

/// How often a wait is interrupted to look whether it should end.
const LOOK: Duration = Duration::from_millis(50);

/// A file or stdin, read by a thread of its own: the thread that waits for the next piece can be stopped.
pub struct Input {
    /// What it is called.
    pub name: String,
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    taken: usize,
    watch: Watch,
    /// It is over: nothing more is asked for.
    over: bool,
}

/// Says when reading must end, and tells how it gets on.
pub struct Watch {
    cancel: Cancel,
    progress: ProgressLine,
    started: Instant,
    most: u64,
    bytes: u64,
    why: Option<String>,
}

impl Watch {
    /// Reads at most so many bytes.
    pub fn new(cancel: Cancel, what: &str, most: u64) -> Watch {
        Watch {
            cancel,
            progress: ProgressLine::new(what),
            started: Instant::now(),
            most,
            bytes: 0,
            why: None,
        }
    }

    /// Why to end now, if so, at this many bytes.
    pub fn stop(&mut self, bytes: u64) -> Option<&str> {
        self.bytes = bytes;
        self.progress.read(bytes, self.started.elapsed());
        if self.why.is_none() && self.cancel.load(Ordering::Relaxed) {
            self.why = Some("a signal ended the reading".to_string());
        } else if self.why.is_none() && bytes >= self.most {
            let most = super::output::bytes(self.most);
            self.why = Some(format!(
                "the bound of {most} was reached: `--max-input` sets it"
            ));
        }
        self.why.as_deref()
    }

    /// Why it was ended, if it was.
    pub fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.progress.finish();
    }
}

impl Input {
    /// Opens a file; `-` is stdin.
    ///
    /// # Errors
    /// If it cannot be read, or is a directory.
    pub fn open(path: &Path, watch: Watch) -> Result<Input, CliError> {
        let refused = |error| CliError::File {
            path: path.to_path_buf(),
            error,
        };
        let (name, source): (String, Box<dyn Read + Send>) = if path == Path::new("-") {
            ("stdin".to_string(), Box::new(io::stdin()))
        } else {
            let file = File::open(path).map_err(refused)?;
            if file.metadata().map_err(refused)?.is_dir() {
                return Err(refused(io::Error::from(io::ErrorKind::IsADirectory)));
            }
            (path.display().to_string(), Box::new(file))
        };
        let (to, pieces) = sync_channel(4);
        thread::Builder::new()
            .name("input".into())
            .spawn(move || send(source, &to))
            .map_err(refused)?;
        Ok(Input {
            name,
            pieces,
            piece: Vec::new(),
            taken: 0,
            watch,
            over: false,
        })
    }

    /// Why reading was ended before the input was, if it was.
    pub fn why(&self) -> Option<&str> {
        self.watch.why()
    }

    /// The next piece; none at the end, or if reading was ended.
    fn next(&mut self) -> io::Result<()> {
        self.piece.clear();
        self.taken = 0;
        while !self.over {
            let bytes = self.watch.bytes;
            if self.watch.stop(bytes).is_some() {
                self.over = true;
                break;
            }
            match self.pieces.recv_timeout(LOOK) {
                Ok(piece) => {
                    self.piece = piece?;
                    self.watch.bytes += self.piece.len() as u64;
                    break;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.over = true,
            }
        }
        Ok(())
    }
}

/// Reads until there is nothing more, or nobody takes it any more.
fn send(mut source: Box<dyn Read + Send>, to: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut piece = vec![0; PIECE];
        let piece = match source.read(&mut piece) {
            Ok(0) => return,
            Ok(n) => {
                piece.truncate(n);
                Ok(piece)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let failed = piece.is_err();
        if to.send(piece).is_err() || failed {
            return;
        }
    }
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.taken == self.piece.len() {
            self.next()?;
        }
        Ok(&self.piece[self.taken..])
    }

    fn consume(&mut self, n: usize) {
        self.taken += n;
    }
}

impl Read for Input {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let mut from = self.fill_buf()?;
        let n = from.read(to)?;
        self.consume(n);
        Ok(n)
    }
}
