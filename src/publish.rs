//! A file under its final name is complete: it is written beside it under another name, flushed
//! to disk, and renamed.

use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Prefix of unfinished files; what a crash leaves behind under it may be deleted.
pub const UNFINISHED_PREFIX: &str = ".unfinished-";

/// Lets `write` fill a new file and puts it at `path`, replacing what was there. Missing folders
/// are made. Any number of processes may publish to one path at once; the last one wins.
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

/// [`publish`]es a value as indented JSON with a final line break.
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
