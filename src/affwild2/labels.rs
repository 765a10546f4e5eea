//! Labels of any number of videos, from a file or a folder.

use std::path::{Path, PathBuf};

use super::FrameLabel;
use super::error::Error;
use super::image_name::VideoNames;
use super::label_file::{LabelFile, LabelRow};
use super::label_folder::{FolderLabels, read_label_folder};
use super::lines::read_file;
use crate::frame::FrameIndex;

/// Labels of any number of videos. Rows of a list keep its order and its duplicates; those of
/// per-video files go by video name, then by frame.
///
/// ```
/// use std::path::Path;
///
/// use abaw::affwild2::Labels;
///
/// // The label file of video `v1`: line i after the header is frame i.
/// let labels = Labels::from_bytes(Path::new("v1.txt"), b"valence,arousal\n0.1,0.2\n-5,-5\n")?;
/// let [first, second] = labels.rows() else { panic!("two frames") };
/// assert_eq!(first.frame.number(), 1);
/// assert_eq!(first.label.valence_arousal.map(|point| point.arousal), Some(0.2));
/// // -5 marks a frame that is not annotated.
/// assert!(second.label.valence_arousal.is_none());
/// # Ok::<(), abaw::affwild2::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Labels {
    videos: VideoNames,
    rows: Vec<LabelRow>,
    /// Line i of a video's file is frame i: the labels do not name their frames.
    are_by_line: bool,
    left_out: Vec<PathBuf>,
}

impl Labels {
    /// Reads `path`, which is
    /// - a list of images with their labels, such as MTL's `validation_set_annotations.txt` or a
    ///   submission,
    /// - the label file of one video (`<video>.txt`, line *i* after the header = frame *i*), or
    /// - a folder of those: one task's, or one that holds folders `VA_*`, `EXPR_*`, `AU_*`, each with
    ///   or without `Train_Set`, `Validation_Set` below. The tasks' labels of a video are put
    ///   together frame by frame.
    ///
    /// # Errors
    /// The first line that is not of its format, with file and line; what cannot be read; a folder
    /// without label files; a video labelled twice for one task.
    pub fn read(path: &Path) -> Result<Self, Error> {
        match path.is_dir() {
            true => {
                let FolderLabels { videos, left_out } = read_label_folder(path)?;
                Ok(Self {
                    left_out,
                    ..Self::of_videos(videos)
                })
            }
            false => Self::from_bytes(path, &read_file(path)?),
        }
    }

    /// As [`Labels::read`] of a file that holds `bytes`. `path` is for messages, and its name
    /// without extension is that of the video where the file does not name it.
    ///
    /// # Errors
    /// The first line that is not of its format, with file and line.
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        match LabelFile::parse(path, bytes)? {
            LabelFile::List { videos, rows } => Ok(Self {
                videos,
                rows,
                ..Self::default()
            }),
            LabelFile::Video { name, frames } => Ok(Self::of_videos([(name, frames)])),
        }
    }

    /// Labels of videos whose frames are labelled from the first on.
    fn of_videos(videos: impl IntoIterator<Item = (String, Vec<FrameLabel>)>) -> Self {
        let mut labels = Self {
            are_by_line: true,
            ..Self::default()
        };
        for (name, frames) in videos {
            let video = labels.videos.intern(&name);
            let indices = std::iter::successors(Some(FrameIndex::FIRST), |frame| Some(frame.next()));
            let rows = indices
                .zip(frames)
                .map(|(frame, label)| LabelRow { video, frame, label });
            labels.rows.extend(rows);
        }
        labels
    }

    /// Whether line i of a video's file is frame i, so that the labels do not name their frames.
    pub fn are_by_line(&self) -> bool {
        self.are_by_line
    }

    /// Folders beside those that were read that hold `.txt` files but are not named like a task.
    pub fn left_out(&self) -> &[PathBuf] {
        &self.left_out
    }

    /// The labels with other frames: for each video `frames` gets its name and its rows, and returns the frames that
    /// each of them is about; a row without a frame is left out.
    pub fn with_frames<E>(
        self,
        mut frames: impl FnMut(&str, &[&LabelRow]) -> Result<Vec<Option<FrameIndex>>, E>,
    ) -> Result<Self, E> {
        let mut rows = Vec::with_capacity(self.rows.len());
        for (video, of_video) in self.by_video() {
            let moved = frames(video, &of_video)?;
            let moved = of_video.into_iter().zip(moved);
            rows.extend(moved.filter_map(|(row, frame)| {
                Some(LabelRow {
                    frame: frame?,
                    ..*row
                })
            }));
        }
        Ok(Self { rows, ..self })
    }

    /// The rows in the order of the file.
    pub fn rows(&self) -> &[LabelRow] {
        &self.rows
    }

    /// The videos, in order of first appearance.
    pub fn videos(&self) -> &VideoNames {
        &self.videos
    }

    /// Each video's name and its rows, in the order of the file.
    pub fn by_video(&self) -> impl Iterator<Item = (&str, Vec<&LabelRow>)> {
        let mut rows = vec![Vec::new(); self.videos.len()];
        for row in &self.rows {
            rows[row.video.index()].push(row);
        }
        self.videos.iter().zip(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Challenge;
    use super::*;
    use crate::labels::{Expression, ValenceArousal};

    fn read(name: &str, text: &str) -> Result<Labels, String> {
        Labels::from_bytes(Path::new(name), text.as_bytes()).map_err(|e| e.to_string())
    }

    #[test]
    fn line_i_of_a_video_file_is_frame_i() {
        let labels = read("labels/v1.txt", "valence,arousal\n0.1,0.2\n-5,-5\n-1,1\n").unwrap();
        assert_eq!(labels.videos().iter().collect::<Vec<_>>(), ["v1"]);
        assert_eq!(
            labels
                .rows()
                .iter()
                .map(|row| row.frame.number())
                .collect::<Vec<_>>(),
            [1, 2, 3]
        );
        assert_eq!(
            labels
                .rows()
                .iter()
                .map(|row| row.label.valence_arousal)
                .collect::<Vec<_>>(),
            [
                Some(ValenceArousal {
                    valence: 0.1,
                    arousal: 0.2
                }),
                None,
                Some(ValenceArousal {
                    valence: -1.0,
                    arousal: 1.0
                })
            ]
        );
    }

    #[test]
    fn lists_keep_order_and_duplicates() {
        let header = Challenge::Expr.submission_header();
        let labels = read(
            "f.txt",
            &format!("{header}\nb/00002.jpg,1\na/00001.jpg,2\nb/00002.jpg,3\nb/00001.jpg,-1\n"),
        );
        let labels = labels.unwrap();
        let rows: Vec<_> = labels
            .rows()
            .iter()
            .map(|row| {
                (
                    labels.videos().name(row.video),
                    row.frame.number(),
                    row.label.expression,
                )
            })
            .collect();
        let [anger, disgust, fear] = [Expression::Anger, Expression::Disgust, Expression::Fear].map(Some);
        assert_eq!(
            rows,
            [("b", 2, anger), ("a", 1, disgust), ("b", 2, fear), ("b", 1, None)]
        );
        let by_video: Vec<_> = labels
            .by_video()
            .map(|(video, rows)| (video, rows.len()))
            .collect();
        assert_eq!(by_video, [("b", 3), ("a", 1)]);
    }

    #[test]
    fn wrong_headers_name_the_right_ones() {
        let error = read("d/f.txt", "frame,v,a\n0.1,0.2\n").unwrap_err();
        assert_eq!(
            error,
            "d/f.txt:1: found `frame,v,a`, expected the header `valence,arousal` or \
             `Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other` or \
             `AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26` or `image,valence,arousal,expression,aus`"
        );
        assert!(
            read("f.txt", "")
                .unwrap_err()
                .starts_with("f.txt:1: found nothing")
        );
        assert!(read("f.txt", &Challenge::Ce.submission_header()).is_err());
        assert!(read("f.txt", Challenge::Mtl.columns()).is_err());
        assert!(read("f.txt", "image\n").is_err());
    }
}
