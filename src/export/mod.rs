//! Writes annotations for the tools that annotators correct them with, and reads them back as labels.
//!
//! ```text
//! table -> AnnotatedVideo -> intervals -> label_studio, cvat, elan            -> annotators
//!                         -> rows      -> py_feat, openface                   -> scripts
//! saved file              -> Corrections of each person -> labels of the subject -> affwild2/ label files
//! ```
//!
//! Each format has one file here that writes it and reads it. `marks` reads what a person marked on a report's page.

mod annotated;
mod annotators;
mod corrections;
mod cvat;
mod data;
mod elan;
mod error;
mod face_csv;
mod intervals;
mod keyframes;
mod label_studio;
mod marks;
mod openface;
mod py_feat;
mod url;
mod vocabulary;
mod xml;

pub use annotated::AnnotatedVideo;
pub use annotators::{AnnotatorChoice, VideoAnnotations};
pub use corrections::{Corrections, PersonLabels, Whose};
pub use data::{DataError, DataFormat, DataWritten, write_data};
pub use error::ExportError;
pub use intervals::{FrameTimes, Interval, IntervalRules, intervals};
pub use marks::{MARKS_FORMAT, MARKS_VERSION};

use std::path::{Path, PathBuf};

use clap::builder::PossibleValue;
use walkdir::WalkDir;

/// The format of an annotation tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Label Studio: JSON tasks with video timeline labels, and the labelling interface for them.
    LabelStudio,
    /// CVAT for video 1.1: XML, a track a person with attributes.
    Cvat,
    /// ELAN: .eaf, tiers a person; valence and arousal as a linked time series.
    Elan,
    /// CSV with py-feat's columns.
    PyFeat,
    /// CSV with OpenFace's columns.
    Openface,
}

impl Format {
    /// Returns the extension of its files, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Format::LabelStudio => "json",
            Format::Cvat => "xml",
            Format::Elan => "eaf",
            Format::PyFeat | Format::Openface => "csv",
        }
    }
}

/// What made the annotations that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// An annotation tool.
    Tool(Format),
    /// A page of `abaw report`: marks, a file for each video and annotator.
    Report,
}

impl Source {
    /// Returns the extension of its files, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Source::Tool(format) => format.extension(),
            Source::Report => "json",
        }
    }
}

impl clap::ValueEnum for Source {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Source::Tool(Format::LabelStudio),
            Source::Tool(Format::Cvat),
            Source::Tool(Format::Elan),
            Source::Tool(Format::PyFeat),
            Source::Tool(Format::Openface),
            Source::Report,
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Source::Tool(format) => format.to_possible_value(),
            Source::Report => Some(
                PossibleValue::new("report").help("Marks that were saved on a page of `abaw report`: JSON"),
            ),
        }
    }
}

/// Writes a video's annotations into a folder, as files named by its id. `rules` shape the intervals of those formats
/// that have them.
///
/// # Errors
/// The file system's; a run of crops where the format needs a video.
pub fn write(
    video: &AnnotatedVideo,
    format: Format,
    rules: IntervalRules,
    folder: &Path,
) -> Result<(), ExportError> {
    let needs_video = !matches!(format, Format::PyFeat | Format::Openface);
    if needs_video && video.size == (0, 0) {
        return Err(ExportError::NoVideo { id: video.id.clone() });
    }
    match format {
        Format::LabelStudio => label_studio::write(video, rules, folder),
        Format::Cvat => cvat::write(video, rules, folder),
        Format::Elan => elan::write(video, rules, folder),
        Format::PyFeat => py_feat::write(video, folder),
        Format::Openface => openface::write(video, folder),
    }
}

/// Writes the files that all videos of an export share.
///
/// # Errors
/// The file system's.
pub fn write_common(format: Format, folder: &Path) -> Result<(), ExportError> {
    match format {
        Format::LabelStudio => label_studio::write_interface(folder),
        _ => Ok(()),
    }
}

/// Reads a file that a tool saved or exported, or a page of a report saved.
///
/// # Errors
/// The file system's; [`ExportError::Foreign`] for a file of another form.
pub fn read(path: &Path, source: Source) -> Result<Vec<VideoAnnotations>, ExportError> {
    match source {
        Source::Tool(Format::LabelStudio) => label_studio::read(path),
        Source::Tool(Format::Cvat) => cvat::read(path),
        Source::Tool(Format::Elan) => elan::read(path),
        Source::Tool(Format::PyFeat) => py_feat::read(path),
        Source::Tool(Format::Openface) => openface::read(path),
        Source::Report => marks::read(path),
    }
}

/// Lists the files of a source at a path: the file itself, or those in the folder and below, in order. Each with its path below
/// the folder without extension, which is the video's id if the file does not name it.
///
/// # Errors
/// The file system's; a folder without such a file.
pub fn files(path: &Path, source: Source) -> Result<Vec<(PathBuf, String)>, ExportError> {
    let extension = source.extension();
    path.metadata().map_err(ExportError::file(path))?;
    if !path.is_dir() {
        let stem = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        return Ok(vec![(path.to_owned(), stem)]);
    }
    let mut files = Vec::new();
    for entry in WalkDir::new(path).follow_links(true).sort_by_file_name() {
        let entry = entry.map_err(|error| ExportError::File {
            path: error.path().unwrap_or(path).to_owned(),
            source: error.into(),
        })?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let fits = entry
            .path()
            .extension()
            .is_some_and(|found| found.eq_ignore_ascii_case(extension));
        if entry.file_type().is_file() && fits && !hidden {
            let below = entry
                .path()
                .strip_prefix(path)
                .unwrap_or(entry.path())
                .with_extension("");
            files.push((entry.path().to_owned(), below.to_string_lossy().into_owned()));
        }
    }
    if files.is_empty() {
        return Err(ExportError::NoFiles {
            path: path.to_owned(),
            extension,
        });
    }
    Ok(files)
}
