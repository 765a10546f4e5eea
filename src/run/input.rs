//! An input of a run: a video file or a folder of aligned crops, and its name.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// The name of a video within a run: its path below the input folder, without the extension.
///
/// ```
/// use abaw::run::VideoId;
///
/// assert_eq!(VideoId::try_from("day1/12".to_owned())?.as_str(), "day1/12");
/// assert!(VideoId::try_from("../12".to_owned()).is_err());
/// # Ok::<(), abaw::run::InputError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VideoId(String);

impl VideoId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for VideoId {
    type Error = InputError;

    /// Accepts relative paths that stay below their folder.
    fn try_from(name: String) -> Result<Self, InputError> {
        let inside = Path::new(&name)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if name.is_empty() || !inside {
            return Err(InputError::BadId { name });
        }
        Ok(Self(name))
    }
}

impl From<VideoId> for String {
    fn from(id: VideoId) -> Self {
        id.0
    }
}

impl fmt::Display for VideoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The kind of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputKind {
    /// A video file.
    Video,
    /// A folder of aligned crops, `00001.jpg`, the name being the frame's number.
    Crops,
    /// A picture that is no video: a photograph, or an animated WebP.
    Image,
}

/// One video, or one folder of crops, to be annotated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Its name in the run.
    pub id: VideoId,
    /// The file, or the folder of crops.
    pub path: PathBuf,
    /// Video or crops.
    pub kind: InputKind,
    /// Size of the file, 0 if there is none; for crops the number of images.
    pub bytes: u64,
    /// When the file was last changed, where that is known.
    pub modified: Option<Timestamp>,
}

/// No list of inputs can be made from the arguments of a run.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// No argument leads to an input.
    #[error("{}", reasons.join("; "))]
    NothingToDo {
        /// One sentence for each argument that leads to no input.
        reasons: Vec<String>,
    },
    /// Several inputs would have the same id.
    #[error(
        "several inputs would have one name: {}; give the folder above them, so that their names begin with its folders, \
         or annotate them in runs of their own",
        clashes.join("; ")
    )]
    SameId {
        /// For each id that several inputs would have, the id and their paths.
        clashes: Vec<String>,
    },
    /// An id is empty or leaves its folder.
    #[error("`{name}` cannot name a video")]
    BadId {
        /// The id.
        name: String,
    },
}

/// Why an argument leads to no input, and what would.
pub fn absence(argument: &Path, kind: InputKind) -> String {
    let path = argument.display();
    match (argument.is_dir(), kind) {
        (true, InputKind::Video) => {
            format!(
                "{path}: no videos in this folder (for photographs add --images, for folders of face crops --crops)"
            )
        }
        (true, InputKind::Crops) => {
            format!("{path}: no folders of images named by frame number, such as 00001.jpg, here")
        }
        (true, InputKind::Image) => format!("{path}: no .jpg, .png, .webp, .bmp or .tif in this folder"),
        (false, InputKind::Crops) if argument.exists() => {
            format!("{path}: --crops takes folders of images, not files")
        }
        (false, _) => format!("{path}: no such file or folder"),
    }
}

/// Threads of [`read_each`]: more than cores, since a shared file system answers slowly but serves many requests at once.
const READERS: usize = 16;

/// Applies `read`, which opens a file, to each item, several at once; the results are in the order of the items.
pub(super) fn read_each<T: Sync, A: Send>(items: &[T], read: impl Fn(&T) -> A + Sync + Send) -> Vec<A> {
    match ThreadPoolBuilder::new().num_threads(READERS).build() {
        Ok(pool) => pool.install(|| items.par_iter().map(read).collect()),
        Err(_) => items.iter().map(read).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_inside_the_run_folder() {
        for name in ["", "/etc/passwd", "../up", "a/../../b", "."] {
            assert!(VideoId::try_from(name.to_owned()).is_err(), "{name}");
        }
    }
}
