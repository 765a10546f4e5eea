//! Names of frames as the challenges write them, and names of videos kept once each.

use std::collections::HashMap;
use std::fmt;

use crate::frame::FrameIndex;

/// The name of a frame's crop, such as `341/00066.jpg`: frame 66 of video `341`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImageName<'a> {
    /// All before the last slash; may hold folders.
    pub video: &'a str,
    /// The number before the extension.
    pub frame: FrameIndex,
}

impl<'a> ImageName<'a> {
    /// What [`ImageName::parse`] takes, for messages.
    pub(super) const EXPECTED: &'static str = "an image like `video/00001.jpg` (the number of the frame)";

    /// Reads `<video>/<frame number>.<extension>`; `None` for anything else, and videos
    /// that would lead out of a folder (absolute, `.` or `..`).
    pub fn parse(image: &'a str) -> Option<Self> {
        let (video, file) = image.rsplit_once('/')?;
        let (number, extension) = file.rsplit_once('.')?;
        let digits_only = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        let is_extension = !extension.is_empty() && extension.bytes().all(|b| b.is_ascii_alphanumeric());
        if !digits_only || !is_extension || !is_video_name(video) {
            return None;
        }
        let frame = FrameIndex::new(number.parse().ok()?)?;
        Some(ImageName { video, frame })
    }
}

/// Writes the form of the challenges: five digits, `.jpg`.
impl fmt::Display for ImageName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:05}.jpg", self.video, self.frame.number())
    }
}

/// Whether this can name a video: a relative path without `.` or `..`.
pub(super) fn is_video_name(name: &str) -> bool {
    name.split('/')
        .all(|part| !matches!(part, "" | "." | "..") && !part.contains('\0'))
}

/// A video of a list or of labels: its place in their [`VideoNames`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VideoId(u32);

impl VideoId {
    /// The place in [`VideoNames`], 0-based.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Video names, each kept once, in order of first appearance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VideoNames {
    names: Vec<String>,
    ids: HashMap<String, VideoId>,
}

impl VideoNames {
    /// Number of videos.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The name of a video of this collection.
    pub fn name(&self, video: VideoId) -> &str {
        &self.names[video.index()]
    }

    /// The video of a name, if it is here.
    pub fn id(&self, name: &str) -> Option<VideoId> {
        self.ids.get(name).copied()
    }

    /// The names in order of their ids.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The video of a name, added if new.
    pub(super) fn intern(&mut self, name: &str) -> VideoId {
        // Rows of a video follow one another, so the newest is nearly always the answer.
        if self.names.last().is_some_and(|newest| newest == name) {
            return VideoId(self.names.len() as u32 - 1);
        }
        if let Some(id) = self.id(name) {
            return id;
        }
        let id = VideoId(self.names.len() as u32);
        self.names.push(name.to_owned());
        self.ids.insert(name.to_owned(), id);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_names_are_taken_apart() {
        let parsed = |image| ImageName::parse(image).map(|name| (name.video, name.frame.number()));
        assert_eq!(parsed("341/00066.jpg"), Some(("341", 66)));
        assert_eq!(
            parsed("10-60-1280x720_left/00001.jpg"),
            Some(("10-60-1280x720_left", 1))
        );
        assert_eq!(parsed("341/00000.jpg"), Some(("341", 0)));
        assert_eq!(parsed("batch1/a b/123456.png"), Some(("batch1/a b", 123_456)));
        for other in [
            "",
            "341",
            "341/",
            "341/66",
            "341/.jpg",
            "341/a.jpg",
            "341/+1.jpg",
            "/1.jpg",
            "a//1.jpg",
            "../1.jpg",
            "a/../1.jpg",
            "/a/1.jpg",
            "341/99999999999.jpg",
            "341/1.",
            "341/00066.jpg x",
            "00001.jpg",
        ] {
            assert_eq!(parsed(other), None, "{other}");
        }
        assert_eq!(
            ImageName::parse("341/66.png").unwrap().to_string(),
            "341/00066.jpg"
        );
    }

    #[test]
    fn videos_keep_the_order_of_first_appearance() {
        let mut names = VideoNames::default();
        let ids = ["b", "a", "a", "b", "c"].map(|name| names.intern(name).index());
        assert_eq!(ids, [0, 1, 1, 0, 2]);
        assert_eq!(names.iter().collect::<Vec<_>>(), ["b", "a", "c"]);
        assert_eq!(names.id("c").map(|id| names.name(id)), Some("c"));
        assert_eq!(names.id("d"), None);
    }
}
