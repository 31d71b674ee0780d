//! The trace on its way to the disk.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::string::ToString;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;
use std::vec::Vec;

use crate::host::recorder::{Record, Recorder};
use crate::host::stress::Recording;
use crate::host::trace::{Header, TraceWriter};

/// A trace file that has its header. It grows under a name of its own, and gets the one that was asked for when it is
/// done: a full disk does not cost an earlier trace.
pub struct Disk {
    path: PathBuf,
    /// Where it grows; the path itself if that is a device or a pipe.
    growing: PathBuf,
    file: File,
    writer: TraceWriter<File>,
    /// The disk has given out.
    error: Option<io::Error>,
}

/// `FILE.part`.
fn part(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".part");
    name.into()
}

impl Disk {
    /// Begins a trace.
    ///
    /// # Errors
    /// If the file cannot be written, or not even its header.
    pub fn create(path: &Path, header: &Header) -> io::Result<Self> {
        let path = &fs::canonicalize(path).unwrap_or_else(|_| path.into());
        let special = fs::metadata(path).is_ok_and(|known| !known.is_file());
        let growing = if special { path.into() } else { part(path) };
        if !special && path.exists() {
            // Nothing is changed yet; but a file that may not be written should be known now.
            OpenOptions::new().write(true).open(path)?;
        }
        let file = File::create(&growing)?;
        let writer = file.try_clone().and_then(|f| TraceWriter::new(f, header));
        let writer = writer.inspect_err(|_| {
            if !special {
                let _ = fs::remove_file(&growing);
            }
        })?;
        Ok(Self {
            path: path.into(),
            growing,
            file,
            writer,
            error: None,
        })
    }

    /// Gives the file its name; where it is now. A trace that was cut short does not take the place of an earlier one.
    fn name(&self, cut_short: bool) -> io::Result<&Path> {
        if self.growing == self.path || cut_short && self.path.exists() {
            return Ok(&self.growing);
        }
        fs::rename(&self.growing, &self.path)?;
        Ok(&self.path)
    }

    /// Takes a record; it is written when all before it have been. Nothing any more once the disk has given out.
    pub fn push(&mut self, record: Record) {
        if self.error.is_none() {
            self.writer.push(record);
        }
    }

    /// Writes what is complete. False if the disk has given out: what was written up to then stays.
    pub fn write(&mut self) -> bool {
        if self.error.is_none() {
            self.error = self.writer.write().err();
        }
        self.error.is_none()
    }

    /// Ends the trace: `complete` if the run ended by itself and nothing of it is missing.
    pub fn finish(mut self, complete: bool) -> Recording {
        let finished = match self.error {
            None => self
                .writer
                .finish(complete)
                .map_err(|e| self.error = Some(e))
                .ok(),
            Some(_) => None,
        };
        let whole = self.writer.whole();
        if finished.is_none() {
            // The last line may be a part of one. A device or a pipe keeps it.
            let _ = self.file.set_len(whole.bytes);
        }
        let events = finished.unwrap_or(whole.events);
        let path = match self.name(self.error.is_some()) {
            Ok(path) => path.into(),
            Err(e) => {
                self.error.get_or_insert(e);
                self.growing.clone()
            }
        };
        Recording {
            path,
            events,
            error: self.error.map(|e| e.to_string()),
        }
    }

    /// Writes what the recorder has until `done`. If the disk gives out, the run is told to `finish`. Also the last few
    /// events, for a report.
    pub(super) fn follow(
        mut self,
        recorder: &Recorder<'_>,
        finish: &AtomicBool,
        done: &AtomicBool,
        complete: &AtomicBool,
        keep: usize,
    ) -> (Recording, Vec<Record>) {
        let mut last: VecDeque<Record> = VecDeque::new();
        let keep = keep * 8;
        loop {
            // Looked at first: what is recorded before it is set is drained after.
            let over = done.load(SeqCst);
            let mut some = false;
            recorder.drain(|record| {
                some = true;
                if last.len() == keep {
                    last.pop_front();
                }
                if keep > 0 {
                    last.push_back(record);
                }
                self.push(record);
            });
            if !self.write() {
                recorder.stop();
                finish.store(true, SeqCst);
            }
            if over {
                break;
            }
            if !some {
                thread::sleep(Duration::from_micros(200));
            }
        }
        let recording = self.finish(complete.load(SeqCst) && recorder.lost() == 0);
        let mut last: Vec<Record> = last.into();
        last.sort_by_key(|r| r.seq);
        (recording, last)
    }
}
