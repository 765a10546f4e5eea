//! Labels: the annotations of one file, or of a folder of files, read whole.

use std::path::Path;

use super::challenge::Header;
use super::error::{Error, Mismatch};
use super::image_name::{ImageName, VideoId, VideoNames};
use super::lines::{Line, Lines, read_file};
use super::{Challenge, FrameLabel, label_folder};
use crate::frame::FrameIndex;

/// The challenges with published labels.
const LABELLED: [Challenge; 4] = [Challenge::Mtl, Challenge::Va, Challenge::Expr, Challenge::Au];
/// Those of them with a label file a video.
pub(super) const LABELLED_BY_VIDEO: [Challenge; 3] = [Challenge::Va, Challenge::Expr, Challenge::Au];

/// A labelled frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LabelRow {
    pub video: VideoId,
    pub frame: FrameIndex,
    pub label: FrameLabel,
}

/// Labels of any number of videos. Rows of a list keep its order and its duplicates; those of
/// per-video files go by video name, then by frame.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Labels {
    videos: VideoNames,
    rows: Vec<LabelRow>,
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
        if path.is_dir() {
            label_folder::read(path)
        } else {
            Self::from_bytes(path, &read_file(path)?)
        }
    }

    /// As [`Labels::read`] of a file that holds `bytes`. `path` is for messages, and its name
    /// without extension that of the video where the file does not name it.
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let mut lines = Lines::new(path, bytes);
        let line = lines.first(|| "the header of a label file".to_owned())?;
        match Header::parse(line.text) {
            Some(Header {
                has_images: true,
                challenge: Some(challenge),
            }) if LABELLED.contains(&challenge) => Self::from_list(challenge, lines),
            Some(_) => Self::from_video_file(path, bytes),
            None => Err(unknown_header(line).at(path, line.number)),
        }
    }

    fn from_list(challenge: Challenge, lines: Lines) -> Result<Self, Error> {
        let mut labels = Labels::default();
        lines.each(|line| {
            let mut fields = line.fields();
            let image = fields.next().unwrap_or_default();
            let Some(name) = ImageName::parse(image) else {
                return Err(Mismatch::new(image, ImageName::EXPECTED));
            };
            let label = FrameLabel::parse(challenge, fields)?;
            let video = labels.videos.intern(name.video);
            labels.rows.push(LabelRow {
                video,
                frame: name.frame,
                label,
            });
            Ok(())
        })?;
        Ok(labels)
    }

    fn from_video_file(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let stem = stem.ok_or_else(|| Error::FileName {
            path: path.to_owned(),
        })?;
        let (_, frames) = read_video_labels(path, bytes, &LABELLED_BY_VIDEO)?;
        let mut labels = Labels::default();
        labels.push_video(stem, &frames);
        Ok(labels)
    }

    /// Adds a video whose frames are labelled from the first on.
    pub(super) fn push_video(&mut self, name: &str, frames: &[FrameLabel]) {
        let video = self.videos.intern(name);
        let indices = std::iter::successors(Some(FrameIndex::FIRST), |frame| Some(frame.next()));
        self.rows.extend(
            indices
                .zip(frames)
                .map(|(frame, &label)| LabelRow { video, frame, label }),
        );
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

/// Reads the label file of one video, which must be of one of `challenges`: its challenge, and a
/// label for each frame from the first on.
pub(super) fn read_video_labels(
    path: &Path,
    bytes: &[u8],
    challenges: &[Challenge],
) -> Result<(Challenge, Vec<FrameLabel>), Error> {
    let mut lines = Lines::new(path, bytes);
    let header = lines.first(|| Header::mismatch("", "", challenges).expected)?;
    let challenge = match Header::parse(header.text) {
        Some(Header {
            has_images: false,
            challenge: Some(found),
        }) if challenges.contains(&found) => found,
        Some(Header {
            has_images: true,
            challenge: Some(Challenge::Mtl),
        }) => {
            let expected = "a label file of one video: pass an MTL list by itself";
            return Err(Mismatch::new(header.text, expected).at(path, header.number));
        }
        _ => return Err(Header::mismatch(header.text, "", challenges).at(path, header.number)),
    };
    let mut frames = Vec::new();
    lines.each(|line| {
        frames.push(FrameLabel::parse(challenge, line.fields())?);
        Ok(())
    })?;
    Ok((challenge, frames))
}

fn unknown_header(line: Line) -> Mismatch {
    let mut mismatch = Header::mismatch(line.text, "", &LABELLED_BY_VIDEO);
    mismatch.expected += &format!(" or `image,{}`", Challenge::Mtl.columns());
    mismatch
}

#[cfg(test)]
mod tests {
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
