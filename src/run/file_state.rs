//! Size and time of an input, by which a file that was replaced is noticed.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::input::InputKind;
use crate::crops::is_image_name;
use crate::time_limit::within;

/// Size and time of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileState {
    /// Bytes of the file, 0 for what is no file; for crops the number of images.
    pub bytes: u64,
    /// When the file was last changed; `None` for crops, whose number counts.
    pub modified: Option<Timestamp>,
}

impl FileState {
    /// The state of an input now; `None` if there is nothing at the path.
    pub fn of(path: &Path, kind: InputKind) -> Option<Self> {
        let file = path.metadata().ok()?;
        Some(match kind {
            InputKind::Video | InputKind::Image if file.is_file() => Self {
                bytes: file.len(),
                modified: file.modified().ok().and_then(|time| time.try_into().ok()),
            },
            InputKind::Video | InputKind::Image => Self::default(),
            InputKind::Crops => Self {
                bytes: images_in(path),
                modified: None,
            },
        })
    }

    /// As [`FileState::of`]; `None` also if the file system does not answer within `limit`.
    pub fn within(limit: Duration, path: &Path, kind: InputKind) -> Option<Self> {
        let path = path.to_owned();
        within(limit, move || Self::of(&path, kind)).flatten()
    }
}

/// The number of images in a folder, whatever their names.
fn images_in(folder: &Path) -> u64 {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    entries.filter(|entry| is_image_name(&entry.path())).count() as u64
}
