//! Why annotations were not written or read.

use std::io;
use std::path::{Path, PathBuf};

/// Annotations cannot be written or read: which file, why, what to do.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file system's.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that the tool did not write, or wrote in another form.
    #[error("{}: {reason}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        reason: String,
    },
    /// A format that needs a video, for a run of crops.
    #[error("{id}: made from aligned crops, so there is no video to annotate; use a CSV format")]
    NoVideo {
        /// The id in the run.
        id: String,
    },
    /// A folder without any annotation file.
    #[error("{}: contains no .{extension} files; give the files that the tool exported", path.display())]
    NoFiles {
        /// The folder.
        path: PathBuf,
        /// The extension of the format.
        extension: &'static str,
    },
}

impl ExportError {
    /// A function that names the file of a failure of the file system.
    pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File {
            path: path.to_owned(),
            source,
        }
    }

    /// A function that names the file that is not as expected.
    pub(super) fn foreign<R: ToString>(path: &Path) -> impl FnOnce(R) -> Self {
        move |reason| Self::Foreign {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }
}
