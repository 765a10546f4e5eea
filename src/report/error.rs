//! Why a report is not written.

use std::path::PathBuf;

use crate::finalise::SubjectError;
use crate::path_error::PathError;
use crate::run::RunReaderError;

/// A report cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The run cannot be read.
    #[error(transparent)]
    Run(#[from] RunReaderError),
    /// The predictions for a subject cannot be read.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// A run without summary, or with one that lacks inputs.
    #[error(
        "{}: the run is not finished (run.json is missing or lacks inputs of the plan); continue it with `abaw annotate`, \
         or, if it was done in shards, run `abaw merge {}`", run.display(), run.display()
    )]
    NotFinished {
        /// The run's folder.
        run: PathBuf,
    },
    /// `run.json` is damaged or of another program.
    #[error("{}: not a run.json written by abaw; `abaw merge` writes it again", path.display())]
    Summary {
        /// The file.
        path: PathBuf,
        /// Why it cannot be parsed.
        source: serde_json::Error,
    },
    /// The folder for the report has other files in it.
    #[error(
        "{}: contains other files than a report ({found}, for example); give a new folder, or that of a report",
        folder.display()
    )]
    OtherFiles {
        /// The folder.
        folder: PathBuf,
        /// The name of one of its files.
        found: String,
    },
    /// Labels of other videos only.
    #[error("the run has none of the {videos} labelled videos (first: {first})")]
    OtherLabels {
        /// The number of labelled videos.
        videos: usize,
        /// The first of them.
        first: String,
    },
    /// The file system's.
    #[error(transparent)]
    File(#[from] PathError),
    /// A template failed.
    #[error("a page cannot be written")]
    Page(#[from] askama::Error),
    /// The settings cannot be written as TOML.
    #[error("the settings cannot be shown")]
    Settings(#[from] toml::ser::Error),
    /// A picture of a face cannot be encoded.
    #[error("{}: this picture cannot be written", path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// Why.
        source: image::ImageError,
    },
}
