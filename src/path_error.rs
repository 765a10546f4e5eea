//! The error of a file operation, with the path.

use std::io;
use std::path::PathBuf;

/// A file or folder could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct PathError {
    /// The file or folder.
    pub path: PathBuf,
    /// The file system's reason.
    pub source: io::Error,
}

impl PathError {
    /// Makes the error of an operation on `path`, for `map_err`.
    pub fn at(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self { path, source }
    }
}
