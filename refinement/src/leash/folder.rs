//! Folders for the files of other programs: removed when the work is done, or by the next run.
//!
//! A process that is killed cannot remove anything. So each folder has a file that its owner keeps locked; the lock
//! ends with the owner, however that ends, and the next process that needs a folder sweeps what nobody has locked.

use super::lock;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once};
use std::time::Duration;
use tempfile::TempDir;

const PREFIX: &str = "shootdown-";
const LOCK: &str = "owner.lock";

/// A folder without a lock may be about to get one: it is left alone for so long.
const YOUNG: Duration = Duration::from_secs(60);

/// Folders there are, for [`remove_all`].
static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A folder below the system's folder for temporary files.
#[derive(Debug)]
pub struct Folder {
    folder: TempDir,
    _lock: File,
}

impl Folder {
    /// A new, empty one but for its lock. The first sweeps what dead processes left behind.
    ///
    /// # Errors
    /// If the system has no place for it.
    pub fn new() -> io::Result<Folder> {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(|| sweep(&std::env::temp_dir(), YOUNG));
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir()?;
        let held = File::create(folder.path().join(LOCK))?;
        flock(&held, FlockOperation::NonBlockingLockExclusive)?;
        lock(&FOLDERS).push(folder.path().to_path_buf());
        Ok(Folder {
            folder,
            _lock: held,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        lock(&FOLDERS).retain(|path| path != self.folder.path());
    }
}

/// Removes every folder of this process.
pub(super) fn remove_all() {
    for path in lock(&FOLDERS).iter() {
        let _ = fs::remove_dir_all(path);
    }
}

/// Removes the folders below `place` whose owners are gone.
fn sweep(place: &Path, young: Duration) {
    let Ok(entries) = fs::read_dir(place) else {
        return;
    };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if ours && is_abandoned(&entry.path(), young) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn is_abandoned(path: &Path, young: Duration) -> bool {
    let Ok(held) = File::open(path.join(LOCK)) else {
        // Not one of these; or killed on the spot, and then it is empty.
        return false;
    };
    let age = held.metadata().and_then(|m| m.modified());
    let age = age.ok().and_then(|at| at.elapsed().ok());
    age.is_some_and(|age| age >= young)
        && flock(&held, FlockOperation::NonBlockingLockExclusive).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_process_left_is_swept_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let folder = |name: &str, file: &str| {
            let path = place.path().join(name);
            fs::create_dir(&path).unwrap();
            let file = File::create(path.join(file)).unwrap();
            (path, file)
        };
        let (dead, _) = folder("shootdown-dead", LOCK);
        let (alive, held) = folder("shootdown-alive", LOCK);
        flock(&held, FlockOperation::NonBlockingLockExclusive).unwrap();
        let (foreign, _) = folder("shootdown-notes", "diary");
        let (other, _) = folder("other", LOCK);
        sweep(place.path(), Duration::from_secs(3600));
        assert!(dead.exists(), "it may be about to be locked");
        sweep(place.path(), Duration::ZERO);
        assert!(!dead.exists());
        assert!(alive.exists() && foreign.exists() && other.exists());
    }
}
