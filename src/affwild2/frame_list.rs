//! Frame lists: the organisers' templates, which list the lines of a submission.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::Challenge;
use super::challenge::Header;
use super::error::Error;
use super::image_name::{ImageName, VideoId, VideoNames};
use super::lines::{Lines, read_file};
use super::mismatch::Mismatch;
use crate::frame::FrameIndex;

/// A row of a frame list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedFrame<'a> {
    /// The name as written in the list.
    pub image: &'a str,
    /// Its video, by the index in the list's video names.
    pub video: VideoId,
    /// Its frame, 1-based.
    pub frame: FrameIndex,
}

/// The frames that a submission must hold, in order, with duplicates. Read from the organisers'
/// template, or from any file with an image first in each line; values after it are dummies.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameList {
    path: PathBuf,
    header: Option<(Header, String)>,
    videos: VideoNames,
    rows: Vec<Row>,
    /// All image names, one after the other.
    images: String,
    /// The first of the lines with the most values after the image.
    widest: Option<Widest>,
}

#[derive(Debug, Clone, PartialEq)]
struct Row {
    video: VideoId,
    frame: FrameIndex,
    image: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Widest {
    line: usize,
    values: usize,
}

impl FrameList {
    /// Reads a list with a header of any challenge (`image,...` or `image_location,...`) or none.
    ///
    /// # Errors
    /// The first line that does not begin with an image, with file and line; a list without rows.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::from_bytes(path, &read_file(path)?)
    }

    /// As [`FrameList::read`] of a file that holds `bytes`; `path` is for messages.
    ///
    /// # Errors
    /// As [`FrameList::read`].
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let mut list = FrameList {
            path: path.to_owned(),
            header: None,
            videos: VideoNames::default(),
            rows: Vec::new(),
            images: String::new(),
            widest: None,
        };
        Lines::new(path, bytes).each(|line| {
            let header = Header::parse(line.text).filter(|header| header.has_images && line.number == 1);
            if let Some(header) = header {
                list.header = Some((header, line.text.to_owned()));
                return Ok(());
            }
            let mut fields = line.fields();
            let image = fields.next().unwrap_or_default();
            let Some(name) = ImageName::parse(image) else {
                let header = if line.number == 1 {
                    " or a challenge's header"
                } else {
                    ""
                };
                return Err(Mismatch::new(image, format!("{}{header}", ImageName::EXPECTED)));
            };
            list.push(name, image);
            let values = fields.count();
            if list.widest.is_none_or(|widest| widest.values < values) {
                list.widest = Some(Widest {
                    line: line.number,
                    values,
                });
            }
            Ok(())
        })?;
        if list.rows.is_empty() {
            return Err(Mismatch::new("", ImageName::EXPECTED).at(path, list.line_of(0)));
        }
        Ok(list)
    }

    fn push(&mut self, name: ImageName, image: &str) {
        let start = self.images.len();
        self.images.push_str(image);
        let video = self.videos.intern(name.video);
        self.rows.push(Row {
            video,
            frame: name.frame,
            image: start..self.images.len(),
        });
    }

    /// Checks that the header and the dummy values, if any, are those of `challenge`.
    ///
    /// # Errors
    /// The line that tells that this is another challenge's template.
    pub fn check_is_for(&self, challenge: Challenge) -> Result<(), Error> {
        if let Some((
            Header {
                challenge: Some(other),
                ..
            },
            text,
        )) = &self.header
            && *other != challenge
        {
            return Err(Header::mismatch(text, "image_location,", &[challenge]).at(&self.path, 1));
        }
        // Dummies may be as many as a row's values or as the header's names.
        let names = challenge.columns().split(',').count();
        match self.widest {
            Some(Widest { line, values }) if ![0, challenge.values(), names].contains(&values) => {
                Err(Error::Line {
                    path: self.path.clone(),
                    line,
                    found: format!("{values} values after the image"),
                    expected: format!(
                        "none or {}, as in a template for `{challenge}`",
                        challenge.values()
                    ),
                })
            }
            _ => Ok(()),
        }
    }

    /// The header of a submission in this list's form: its own if it has one, else the usual one.
    pub(super) fn submission_header(&self, challenge: Challenge) -> String {
        match &self.header {
            Some((
                Header {
                    challenge: Some(_), ..
                },
                text,
            )) => text.clone(),
            Some((_, image)) => format!("{image},{}", challenge.columns()),
            None => challenge.submission_header(),
        }
    }

    /// The rows in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = ListedFrame<'_>> + Clone {
        self.rows.iter().map(|row| ListedFrame {
            image: &self.images[row.image.clone()],
            video: row.video,
            frame: row.frame,
        })
    }

    /// The 1-based line of a row: rows follow the header without blank lines.
    pub(super) fn line_of(&self, row: usize) -> usize {
        row + 1 + usize::from(self.header.is_some())
    }

    /// The videos, in order of first appearance.
    pub fn videos(&self) -> &VideoNames {
        &self.videos
    }

    /// The listed frames of each video (by its id), in the order of the list, with duplicates.
    pub fn frames_by_video(&self) -> Vec<Vec<FrameIndex>> {
        let mut frames = vec![Vec::new(); self.videos.len()];
        for row in &self.rows {
            frames[row.video.index()].push(row.frame);
        }
        frames
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<FrameList, String> {
        FrameList::from_bytes(Path::new("t.txt"), text.as_bytes()).map_err(|e| e.to_string())
    }

    #[test]
    fn rows_keep_order_duplicates_and_spelling() {
        let list = read("b/2.png,\na/00001.jpg,0.5,-0.5\r\nb/2.png\n\n").unwrap();
        let rows: Vec<_> = list
            .rows()
            .map(|row| (row.image, list.videos().name(row.video), row.frame.number()))
            .collect();
        assert_eq!(
            rows,
            [("b/2.png", "b", 2), ("a/00001.jpg", "a", 1), ("b/2.png", "b", 2)]
        );
        assert_eq!(list.frames_by_video()[0].len(), 2);
    }

    #[test]
    fn the_lists_own_header_is_kept() {
        let header = |text: &str, challenge| read(text).unwrap().submission_header(challenge);
        assert_eq!(header("a/1.jpg", Challenge::Va), "image_location,valence,arousal");
        assert_eq!(
            header("a/1.jpg", Challenge::Mtl),
            "image,valence,arousal,expression,aus"
        );
        assert_eq!(
            header("image,valence,arousal,\r\na/1.jpg,", Challenge::Va),
            "image,valence,arousal"
        );
        assert_eq!(header("image\na/1.jpg", Challenge::Va), "image,valence,arousal");
    }

    #[test]
    fn another_challenges_template_is_refused() {
        let error = |text: &str, challenge| {
            read(text)
                .unwrap()
                .check_is_for(challenge)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            error("image_location,valence,arousal\na/1.jpg,0,0\n", Challenge::Ce),
            "t.txt:1: found `image_location,valence,arousal`, expected the header \
             `image_location,Fearfully_Surprised,Happily_Surprised,Sadly_Surprised,Disgustedly_Surprised,\
             Angrily_Surprised,Sadly_Fearful,Sadly_Angry`"
        );
        assert_eq!(
            error("a/1.jpg\na/2.jpg,0,0\n", Challenge::Au),
            "t.txt:2: found 2 values after the image, expected none or 12, as in a template for `au`"
        );
        for dummies in ["", ",", ",0", ",0,0,0,0,0,0,0,0"] {
            assert!(
                read(&format!("a/1.jpg{dummies}\n"))
                    .unwrap()
                    .check_is_for(Challenge::Expr)
                    .is_ok()
            );
        }
    }

    #[test]
    fn other_lines_are_refused() {
        assert!(
            read("")
                .unwrap_err()
                .starts_with("t.txt:1: found nothing, expected an image like")
        );
        assert!(read("image\n").unwrap_err().starts_with("t.txt:2: found nothing"));
        assert!(
            read("video,va\na/1.jpg")
                .unwrap_err()
                .ends_with("or a challenge's header")
        );
        assert!(
            read("a/1.jpg\nimage\n")
                .unwrap_err()
                .starts_with("t.txt:2: found `image`")
        );
        assert!(
            read("a/1.jpg\nvideo7\n")
                .unwrap_err()
                .starts_with("t.txt:2: found `video7`")
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = FrameList::from_bytes(Path::new("t.txt"), &bytes);
        }
    }
}
