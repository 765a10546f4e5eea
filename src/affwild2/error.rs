//! What can be wrong with a label file, a template, a run's predictions or a submission.

use std::io;
use std::path::{Path, PathBuf};

use super::Challenge;
use super::mismatch::Mismatch;
use crate::frame::FrameIndex;

/// Names shown of a list of videos.
const SHOWN_VIDEOS: usize = 10;

/// An error of the ABAW formats. Each prints as one line: what, where, and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The file system's reason.
        source: io::Error,
    },

    /// A file or folder could not be written.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The file system's reason.
        source: io::Error,
    },

    /// A line of a text file is not what its format asks for. `line` is 1-based.
    #[error("{}:{line}: found {found}, expected {expected}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// 1-based.
        line: usize,
        /// What the line contains.
        found: String,
        /// What its format asks for.
        expected: String,
    },

    /// A folder holds no label file.
    #[error(
        "{}: no label files here: expected <video>.txt files, or folders of them named VA_*, EXPR_*, AU_*",
        path.display()
    )]
    NoLabels {
        /// The folder.
        path: PathBuf,
    },

    /// Two files of one task label the same video.
    #[error("{video}: labelled twice, by {} and {}", first.display(), second.display())]
    LabelledTwice {
        /// Its name.
        video: String,
        /// The file read first.
        first: PathBuf,
        /// The other file.
        second: PathBuf,
    },

    /// A label file's name, which is the name of its video, is not UTF-8.
    #[error("{}: the name is not UTF-8: rename the file", path.display())]
    FileName {
        /// The file.
        path: PathBuf,
    },

    /// Predictions of a video do not ascend in frame number.
    #[error("frame {frame} comes after frame {previous}: expected ascending frames, each once")]
    FrameOrder {
        /// The frame before it in the table.
        previous: FrameIndex,
        /// The frame that is out of order.
        frame: FrameIndex,
    },

    /// A prediction is infinite or not a number.
    #[error("frame {frame}: a prediction is infinite or not a number")]
    NotFinite {
        /// Its frame.
        frame: FrameIndex,
    },

    /// The predictions of a video could not be read.
    #[error("{video}: {source}")]
    Predictions {
        /// Its name in the list.
        video: String,
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// The template lists videos that the run does not have.
    #[error(
        "the run lacks {} of the listed videos: {}; --allow-missing writes neutral values for them",
        videos.len(), some_of(videos)
    )]
    MissingVideos {
        /// Their names.
        videos: Vec<String>,
    },

    /// Videos that the run does not have, in a list that does not tell how long they are.
    #[error(
        "the run lacks {} of the listed videos and the list does not tell their lengths, \
         expected a frame list (<video>/00001.jpg a line): {}",
        videos.len(), some_of(videos)
    )]
    UnknownLength {
        /// Their names.
        videos: Vec<String>,
    },

    /// No listed video has a prediction for every task of the challenge.
    #[error(
        "no listed video has predictions for `{challenge}`: a run of a network without these heads, or without faces?"
    )]
    NothingPredicted {
        /// The challenge of the submission.
        challenge: Challenge,
    },

    /// The challenge never had the one-file-a-video form.
    #[error("`{challenge}` has no one-file-a-video form: expected va, expr or au")]
    NoVideoFiles {
        /// The challenge of the submission.
        challenge: Challenge,
    },

    /// What was written does not read back as what was meant. The output was not touched.
    #[error("{}:{line}: wrote {expected} but read {found} back: is the disk damaged?", path.display())]
    ReadBack {
        /// The file.
        path: PathBuf,
        /// 1-based.
        line: usize,
        /// What the line contains.
        found: String,
        /// What its format asks for.
        expected: String,
    },
}

impl Error {
    /// A function that makes an I/O error one of reading `path`.
    pub(super) fn reading(path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Read {
            path: path.to_owned(),
            source,
        }
    }

    /// A function that makes an I/O error one of writing `path`.
    pub(super) fn writing(path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Write {
            path: path.to_owned(),
            source,
        }
    }
}

impl Mismatch {
    /// The error, with file and line.
    pub fn at(self, path: &Path, line: usize) -> Error {
        Error::Line {
            path: path.to_owned(),
            line,
            found: self.found,
            expected: self.expected,
        }
    }
}

/// The first ten names, and how many more there are.
pub(super) fn some_of(videos: &[String]) -> String {
    let shown = videos
        .iter()
        .take(SHOWN_VIDEOS)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    match videos.len().saturating_sub(SHOWN_VIDEOS) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::affwild2::mismatch::quoted;

    #[test]
    fn what_was_found_is_printed_short_and_on_one_line() {
        assert_eq!(quoted(""), "nothing");
        assert_eq!(quoted("a\r\u{1b}[2J"), r"`a\r\u{1b}[2J`");
        assert_eq!(quoted(&"x".repeat(70)), format!("`{}...`", "x".repeat(60)));
    }

    #[test]
    fn at_most_ten_videos_are_named() {
        let names = |n: usize| (1..=n).map(|i| format!("v{i}")).collect::<Vec<_>>();
        assert_eq!(some_of(&names(2)), "v1, v2");
        assert_eq!(some_of(&names(10)), "v1, v2, v3, v4, v5, v6, v7, v8, v9, v10");
        assert_eq!(
            some_of(&names(12)),
            "v1, v2, v3, v4, v5, v6, v7, v8, v9, v10 and 2 more"
        );
    }
}
