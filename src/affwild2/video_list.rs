//! Lists of test-set videos, for the one-file-a-video form of submission.

use std::path::Path;

use super::challenge::Header;
use super::error::Error;
use super::image_name::{ImageName, VideoNames, is_video_name};
use super::lines::{Lines, read_file};
use super::mismatch::Mismatch;
use super::{Challenge, FrameList};
use crate::frame::FrameIndex;

/// A per-video file has a line for every frame, so a wrong digit in a frame number could ask for a
/// file of gigabytes. This is 92 hours at 30 frames a second.
const LONGEST_VIDEO: u32 = 9_999_999;

const EXPECTED: &str = "a video's name alone";

/// The videos of a test set, each once, in order of first appearance.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoList(Form);

#[derive(Debug, Clone, PartialEq)]
enum Form {
    Names(VideoNames),
    Frames(FrameList),
}

impl VideoList {
    /// Reads a list of video names, one a line, without header (the editions up to ABAW3), or a
    /// frame list as [`FrameList::read`] does, which also gives the videos' lengths.
    ///
    /// # Errors
    /// The first line that is no name, with file and line; a list without names.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::from_bytes(path, &read_file(path)?)
    }

    /// As [`VideoList::read`] of a file that holds `bytes`; `path` is for messages.
    ///
    /// # Errors
    /// As [`VideoList::read`].
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let first = Lines::new(path, bytes).first(|| EXPECTED.to_owned())?;
        let has_images = Header::parse(first.text).is_some_and(|header| header.has_images)
            || first.fields().next().and_then(ImageName::parse).is_some();
        let form = if has_images {
            Form::Frames(read_frames(path, bytes)?)
        } else {
            Form::Names(read_names(path, bytes)?)
        };
        Ok(VideoList(form))
    }

    /// The videos, in order of first appearance.
    pub fn videos(&self) -> &VideoNames {
        match &self.0 {
            Form::Names(videos) => videos,
            Form::Frames(list) => list.videos(),
        }
    }

    /// The number of each video's last listed frame (by its id); `None` in a list of names.
    pub fn lengths(&self) -> Vec<Option<u32>> {
        match &self.0 {
            Form::Names(videos) => vec![None; videos.len()],
            Form::Frames(list) => {
                let last = |frames: Vec<FrameIndex>| frames.into_iter().max().map(FrameIndex::number);
                list.frames_by_video().into_iter().map(last).collect()
            }
        }
    }

    /// As [`FrameList::check_is_for`]; a list of names is for any challenge.
    pub(super) fn check_is_for(&self, challenge: Challenge) -> Result<(), Error> {
        match &self.0 {
            Form::Names(_) => Ok(()),
            Form::Frames(list) => list.check_is_for(challenge),
        }
    }
}

fn read_frames(path: &Path, bytes: &[u8]) -> Result<FrameList, Error> {
    let list = FrameList::from_bytes(path, bytes)?;
    for (index, row) in list.rows().enumerate() {
        if row.frame.number() > LONGEST_VIDEO {
            let expected = format!("a frame number up to {LONGEST_VIDEO}");
            return Err(Mismatch::new(row.image, expected).at(path, list.line_of(index)));
        }
    }
    Ok(list)
}

fn read_names(path: &Path, bytes: &[u8]) -> Result<VideoNames, Error> {
    let mut videos = VideoNames::default();
    Lines::new(path, bytes).each(|line| {
        let is_image = ImageName::parse(line.text).is_some();
        if is_image || line.text.contains(',') || !is_video_name(line.text) {
            return Err(Mismatch::new(line.text, EXPECTED));
        }
        videos.intern(line.text);
        Ok(())
    })?;
    Ok(videos)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, Option<u32>)>, String> {
        let list = VideoList::from_bytes(Path::new("t.txt"), text.as_bytes()).map_err(|e| e.to_string())?;
        Ok(list
            .videos()
            .iter()
            .map(str::to_owned)
            .zip(list.lengths())
            .collect())
    }

    #[test]
    fn names_tell_no_length() {
        let expected = vec![("v1".to_owned(), None), ("10-60-1280x720_left".to_owned(), None)];
        assert_eq!(read("v1\r\n10-60-1280x720_left \r\nv1\r\n\r\n"), Ok(expected));
        assert_eq!(read("batch1/v1,\n"), Ok(vec![("batch1/v1".to_owned(), None)]));
    }

    #[test]
    fn frame_lists_tell_the_highest_frame() {
        let expected = vec![("b".to_owned(), Some(7)), ("a".to_owned(), Some(1))];
        assert_eq!(
            read("image_location,valence,arousal\nb/00007.jpg,\nb/00003.jpg,\na/00001.jpg,\n"),
            Ok(expected)
        );
        let error = read("image\na/1.jpg\na/99999999.jpg\n").unwrap_err();
        assert_eq!(
            error,
            "t.txt:3: found `a/99999999.jpg`, expected a frame number up to 9999999"
        );
    }

    #[test]
    fn other_lines_are_refused() {
        assert!(read("").unwrap_err().starts_with("t.txt:1: found nothing"));
        for line in ["v1,0.5", "../v1", "/v1", "v1/", "a/00001.jpg"] {
            assert!(
                read(&format!("v0\n{line}\n"))
                    .unwrap_err()
                    .starts_with("t.txt:2: found `"),
                "{line}"
            );
        }
    }
}
