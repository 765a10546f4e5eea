//! Why there is no report.

use std::path::PathBuf;

use crate::finalise::SubjectError;
use crate::run::RunReaderError;

/// A report cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error(transparent)]
    Run(#[from] RunReaderError),
    /// The predictions for a subject cannot be had.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    #[error(
        "{}: the run is not finished (run.json is missing or knows not all inputs of the plan); `abaw annotate` goes on \
         with it, `abaw merge {}` closes one done in shards", run.display(), run.display()
    )]
    NotFinished { run: PathBuf },
    #[error("{}: not a summary of this program: {reason}; `abaw merge` writes it anew", path.display())]
    Summary { path: PathBuf, reason: String },
    #[error(
        "{}: holds other things than a report ({found} for one); give a new folder, or one with a report in it",
        folder.display()
    )]
    OtherThings { folder: PathBuf, found: String },
    #[error("the run has none of the {videos} labelled videos, {first} first")]
    OtherLabels { videos: usize, first: String },
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("a page cannot be made: {0}")]
    Page(#[from] askama::Error),
    #[error("the settings cannot be shown: {0}")]
    Settings(#[from] toml::ser::Error),
    #[error("{}: this picture cannot be made: {reason}", path.display())]
    Picture { path: PathBuf, reason: String },
}

impl ReportError {
    /// The error of a file operation on `path`.
    pub(super) fn at(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
