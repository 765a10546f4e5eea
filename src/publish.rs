//! A file under its final name is complete: it is written beside it under another name, flushed
//! to disk, and renamed.

use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use walkdir::WalkDir;

/// Prefix of unfinished files. Their writer holds a lock on them; one without a lock was left by a crash.
pub const UNFINISHED_PREFIX: &str = ".unfinished-";

/// Writes a new file by `write` and moves it to `path`, replacing an existing file. Missing folders are made. Any number
/// of processes may publish to one path at once; the last one wins.
///
/// # Errors
/// Those of `write` and of the file system; then nothing has changed at `path`.
pub fn publish<E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> Result<(), E>,
) -> Result<(), E> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let unfinished = tempfile::Builder::new()
        .prefix(UNFINISHED_PREFIX)
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)?;
    // On a file system without locks `sweep` cannot tell that the file is abandoned, and leaves it.
    let _ = unfinished.as_file().try_lock();
    let mut buffer = BufWriter::new(unfinished.as_file());
    write(&mut buffer)?;
    buffer.flush()?;
    drop(buffer);
    unfinished.as_file().sync_all()?;
    unfinished.persist(path).map_err(|refused| refused.error)?;
    // Without this the rename itself can be lost in a power cut.
    File::open(folder)?.sync_all()?;
    Ok(())
}

/// Deletes the unfinished files below a folder that no process writes any more. A file that cannot be read or deleted
/// stays.
pub fn sweep(folder: &Path) {
    for entry in WalkDir::new(folder).into_iter().flatten() {
        let name = entry.file_name().as_encoded_bytes();
        let abandoned = name.starts_with(UNFINISHED_PREFIX.as_bytes())
            && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
        if abandoned {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// [`publish`]es a value as indented JSON with a final line break.
///
/// # Errors
/// Those of the file system; then nothing has changed at `path`.
pub fn publish_json<T: serde::Serialize>(path: &Path, value: &T) -> io::Result<()> {
    publish(path, |file| {
        serde_json::to_writer_pretty(&mut *file, value)?;
        file.write_all(b"\n")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeping_takes_what_a_crash_left_and_not_what_is_being_written() {
        let folder = tempfile::tempdir().unwrap();
        let names = || -> Vec<String> {
            let files = WalkDir::new(folder.path())
                .sort_by_file_name()
                .into_iter()
                .flatten();
            let files = files.filter(|entry| entry.file_type().is_file());
            files
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect()
        };
        let left = folder.path().join("deep/.unfinished-Xy12");
        publish::<io::Error>(&folder.path().join("deep/table"), |file| {
            fs::write(&left, b"half")?;
            sweep(folder.path());
            assert!(!left.exists());
            file.write_all(b"whole")
        })
        .unwrap();
        sweep(folder.path());
        assert_eq!(names(), ["table"]);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/table");
        publish::<io::Error>(&path, |file| file.write_all(b"old")).unwrap();
        let failed = publish::<io::Error>(&path, |file| {
            file.write_all(b"new")?;
            Err(io::Error::other("the writer gave up"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
