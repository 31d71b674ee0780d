//! Files that results go to: tried before the work, written beside and renamed after it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use tempfile::NamedTempFile;

/// Tries whether a file could be written, and leaves everything as it was: hours of work should not end with a path that
/// was mistyped. That the disk is full is only found by [`write_beside`].
///
/// # Errors
/// What would go wrong.
pub fn try_out(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(known) if known.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(known) if known.is_file() => OpenOptions::new().write(true).open(path).map(drop),
        // A pipe, a device: opening it may be noticed on the other side.
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => beside(path).map(drop),
        Err(error) => Err(error),
    }
}

/// Writes a file so that at any time there is what was there before or all of `text`, never a part: beside it, and
/// renamed once it is on the disk.
///
/// What is no regular file (a pipe, `/dev/stdout`) is written as it comes, and so is a file whose folder takes no other:
/// there only `text` that fits the disk leaves the file whole. A link stays a link, and permissions stay as they are.
///
/// # Errors
/// If it cannot be written: then what was there before still is.
pub fn write_beside(path: &Path, text: impl AsRef<[u8]>) -> io::Result<()> {
    let text = text.as_ref();
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let known = fs::metadata(path).ok();
    if known.as_ref().is_some_and(|known| !known.is_file()) {
        return OpenOptions::new().write(true).open(path)?.write_all(text);
    }
    let mut file = match beside(path) {
        Err(error) if known.is_some() && error.kind() == io::ErrorKind::PermissionDenied => {
            return in_place(path, text);
        }
        file => file?,
    };
    file.write_all(text)?;
    if let Some(known) = known {
        file.as_file().set_permissions(known.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|failed| failed.error)
}

/// An empty file in the folder of `path`, removed unless it is renamed.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    if path.file_name().is_none() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(".shootdown-");
    #[cfg(unix)]
    {
        // As any other file, not as a secret one; the umask takes its part.
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder).map_err(|error| {
        // It would name a file that nobody knows of.
        error
            .raw_os_error()
            .map_or(error, io::Error::from_raw_os_error)
    })
}

/// Overwrites a file and puts back what was there if that fails.
fn in_place(path: &Path, text: &[u8]) -> io::Result<()> {
    let before = fs::read(path)?;
    let write = |text: &[u8]| {
        let mut file = File::create(path)?;
        file.write_all(text)?;
        file.sync_all()
    };
    write(text).inspect_err(|_| drop(write(&before)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap();
        names
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn trying_changes_nothing() {
        let folder = folder();
        let path = folder.path().join("a");
        try_out(&path).unwrap();
        assert_eq!(names(folder.path()), [""; 0]);
        fs::write(&path, "good").unwrap();
        try_out(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "good");
    }

    #[test]
    fn what_cannot_be_written_is_known_before() {
        let folder = folder();
        for bad in ["none/a", "", "."] {
            let path = folder.path().join(bad);
            assert!(try_out(&path).is_err(), "{bad:?}");
        }
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(try_out(&folder.path().join("file/a")).is_err());
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_keeps_its_permissions() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = folder();
        let path = folder.path().join("a");
        write_beside(&path, "one").unwrap();
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode() & 0o444, 0o444, "others may read it");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write_beside(&link, "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(mode(), 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(names(folder.path()).len(), 2);
    }

    #[test]
    fn a_full_disk_leaves_a_device_and_says_so() {
        let full = Path::new("/dev/full");
        if full.exists() {
            let error = write_beside(full, "a").expect_err("there is no room");
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        }
    }
}
