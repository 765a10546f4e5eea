//! One label file: a list of images with their labels, or the labels of one video.

use std::path::Path;

use super::challenge::Header;
use super::error::Error;
use super::image_name::{ImageName, VideoId, VideoNames};
use super::lines::{Line, Lines};
use super::mismatch::Mismatch;
use super::{Challenge, FrameLabel};
use crate::frame::FrameIndex;

/// A labelled frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LabelRow {
    /// The video, by its index in the labels' video names.
    pub video: VideoId,
    /// The frame, 1-based.
    pub frame: FrameIndex,
    /// Its label.
    pub label: FrameLabel,
}

/// What a label file holds.
#[derive(Debug)]
pub(super) enum LabelFile {
    /// Rows in the order of the file, duplicates included.
    List { videos: VideoNames, rows: Vec<LabelRow> },
    /// The labels of all frames of one video.
    Video { name: String, frames: Vec<FrameLabel> },
}

impl LabelFile {
    /// Parses `bytes`. `path` is for messages, and its name without extension is that of the video where the file does
    /// not name it.
    ///
    /// # Errors
    /// The first line that is not of its format; a file name that is not UTF-8.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let mut lines = Lines::new(path, bytes);
        let line = lines.first(|| "the header of a label file".to_owned())?;
        match Header::parse(line.text) {
            Some(Header {
                has_images: true,
                challenge: Some(challenge),
            }) if Challenge::LABELLED.contains(&challenge) => parse_list(challenge, lines),
            Some(_) => parse_video(path, bytes),
            None => Err(unknown_header(line).at(path, line.number)),
        }
    }
}

fn parse_list(challenge: Challenge, lines: Lines) -> Result<LabelFile, Error> {
    let (mut videos, mut rows) = (VideoNames::default(), Vec::new());
    lines.each(|line| {
        let mut fields = line.fields();
        let image = fields.next().unwrap_or_default();
        let Some(name) = ImageName::parse(image) else {
            return Err(Mismatch::new(image, ImageName::EXPECTED));
        };
        let label = FrameLabel::parse(challenge, fields)?;
        rows.push(LabelRow {
            video: videos.intern(name.video),
            frame: name.frame,
            label,
        });
        Ok(())
    })?;
    Ok(LabelFile::List { videos, rows })
}

fn parse_video(path: &Path, bytes: &[u8]) -> Result<LabelFile, Error> {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    let name = stem.ok_or_else(|| Error::FileName {
        path: path.to_owned(),
    })?;
    let (_, frames) = read_video_labels(path, bytes, &Challenge::LABELLED_BY_VIDEO)?;
    Ok(LabelFile::Video {
        name: name.to_owned(),
        frames,
    })
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
    let mut mismatch = Header::mismatch(line.text, "", &Challenge::LABELLED_BY_VIDEO);
    mismatch.expected += &format!(" or `image,{}`", Challenge::Mtl.columns());
    mismatch
}
