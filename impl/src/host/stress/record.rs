//! The trace on its way to the disk.

use std::collections::VecDeque;
use std::fs::File;
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

/// A trace file that has its header.
pub(super) struct Disk {
    path: PathBuf,
    writer: TraceWriter<File>,
}

impl Disk {
    pub fn create(path: &Path, header: &Header) -> io::Result<Self> {
        Ok(Self {
            path: path.into(),
            writer: TraceWriter::new(File::create(path)?, header)?,
        })
    }

    /// Writes what the recorder has until `done`. If the disk gives out, the run is told to `finish`; what was written
    /// up to then stays. Also the last few events, for a report.
    pub fn write(
        mut self,
        recorder: &Recorder<'_>,
        finish: &AtomicBool,
        done: &AtomicBool,
        complete: &AtomicBool,
        keep: usize,
    ) -> (Recording, Vec<Record>) {
        let mut error = None;
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
                if error.is_none() {
                    self.writer.push(record);
                }
            });
            if error.is_none()
                && let Err(e) = self.writer.write()
            {
                recorder.stop();
                finish.store(true, SeqCst);
                error = Some(e);
            }
            if over {
                break;
            }
            if !some {
                thread::sleep(Duration::from_micros(200));
            }
        }
        let written = self.writer.written();
        let complete = complete.load(SeqCst) && recorder.lost() == 0;
        let events = match error {
            Some(_) => written,
            None => self.writer.finish(complete).unwrap_or_else(|e| {
                error = Some(e);
                written
            }),
        };
        let mut last: Vec<Record> = last.into();
        last.sort_by_key(|r| r.seq);
        (
            Recording {
                path: self.path,
                events,
                error: error.map(|e| e.to_string()),
            },
            last,
        )
    }
}
