//! The inputs of a run: video files, folders searched for videos, folders of aligned crops.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Component, Path, PathBuf};

use rayon::ThreadPoolBuilder;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use crate::crops::is_image_name;
use crate::video::is_video_name;

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
    /// The id of a path below the input folder. Bytes that are not UTF-8 become U+FFFD.
    fn of_path(below: &Path) -> Result<Self, InputError> {
        let mut name = below.to_string_lossy().into_owned();
        if std::path::MAIN_SEPARATOR != '/' {
            name = name.replace(std::path::MAIN_SEPARATOR, "/");
        }
        Self::try_from(name)
    }

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
    /// Two inputs would have the same id.
    #[error(
        "two inputs would both be called `{id}`: {first:?} and {second:?}; rename one, annotate them in runs of their own, or give the folder above them"
    )]
    SameId {
        /// The id.
        id: VideoId,
        /// The path of one input.
        first: PathBuf,
        /// The path of the other.
        second: PathBuf,
    },
    /// An id is empty or leaves its folder.
    #[error("`{name}` cannot name a video")]
    BadId {
        /// The id.
        name: String,
    },
    /// A folder cannot be searched.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: walkdir::Error,
    },
}

/// Lists the inputs that the arguments of a run lead to, in order; those of a folder in the order of their names.
///
/// A file that does not exist, a folder without videos and an empty folder of crops stay in the list, where each fails
/// alone, unless the list has no other input.
///
/// # Errors
/// [`InputError::NothingToDo`] if no argument leads to a file; [`InputError::SameId`] if two inputs
/// would publish to one name.
pub fn collect(arguments: &[PathBuf], kind: InputKind) -> Result<Vec<Input>, InputError> {
    let mut inputs = Vec::new();
    let mut reasons = Vec::new();
    for argument in arguments {
        let found = match kind {
            InputKind::Video => videos(argument)?,
            InputKind::Crops => crop_folders(argument)?,
        };
        if !found.iter().any(Input::is_there) {
            reasons.push(absence(argument, kind));
        }
        inputs.extend(found);
    }
    if !inputs.iter().any(Input::is_there) {
        return Err(InputError::NothingToDo { reasons });
    }
    refuse_same_ids(&inputs)?;
    Ok(inputs)
}

impl Input {
    /// False for the entry of an argument that leads to no input.
    fn is_there(&self) -> bool {
        match self.kind {
            InputKind::Video => self.path.exists() && !self.path.is_dir(),
            InputKind::Crops => self.bytes > 0,
        }
    }
}

/// Why an argument leads to no input, and what would.
pub fn absence(argument: &Path, kind: InputKind) -> String {
    let path = argument.display();
    match (argument.is_dir(), kind) {
        (true, InputKind::Video) => {
            format!("{path}: no videos in this folder (for folders of face crops add --crops)")
        }
        (true, InputKind::Crops) => format!("{path}: no folders of numbered .jpg or .png images here"),
        (false, InputKind::Crops) if argument.exists() => {
            format!("{path}: --crops takes folders of images, not files")
        }
        (false, _) => format!("{path}: no such file or folder"),
    }
}

fn videos(argument: &Path) -> Result<Vec<Input>, InputError> {
    if !argument.is_dir() {
        let stem = argument.file_stem().unwrap_or(OsStr::new(""));
        return Ok(vec![video(argument, Path::new(stem))?]);
    }
    let mut found = Vec::new();
    for entry in walk(argument) {
        let path = entry?;
        if is_video_name(&path) && !path.is_dir() {
            let below = path.strip_prefix(argument).unwrap_or(&path).with_extension("");
            found.push(video(&path, &below)?);
        }
    }
    if found.is_empty() {
        let name = argument.file_name().unwrap_or(OsStr::new("folder"));
        found.push(video(argument, Path::new(name))?);
    }
    Ok(found)
}

fn video(path: &Path, name: &Path) -> Result<Input, InputError> {
    let bytes = path
        .metadata()
        .map(|file| if file.is_file() { file.len() } else { 0 });
    Ok(Input {
        id: VideoId::of_path(name)?,
        path: path.to_owned(),
        kind: InputKind::Video,
        bytes: bytes.unwrap_or(0),
    })
}

fn crop_folders(argument: &Path) -> Result<Vec<Input>, InputError> {
    let mut images: BTreeMap<PathBuf, u64> = BTreeMap::new();
    if argument.is_dir() {
        for entry in walk(argument) {
            let path = entry?;
            if let (Some(folder), true) = (path.parent(), is_image_name(&path)) {
                *images.entry(folder.to_owned()).or_default() += 1;
            } else if is_empty_folder(&path) {
                images.insert(path, 0);
            }
        }
    }
    if images.is_empty() {
        images.insert(argument.to_owned(), 0);
    }
    let own_name = PathBuf::from(argument.file_name().unwrap_or(OsStr::new("crops")));
    images
        .into_iter()
        .map(|(path, count)| {
            let below = path
                .strip_prefix(argument)
                .map(Path::to_owned)
                .unwrap_or_default();
            let name = if below.as_os_str().is_empty() {
                &own_name
            } else {
                &below
            };
            Ok(Input {
                id: VideoId::of_path(name)?,
                kind: InputKind::Crops,
                bytes: count,
                path,
            })
        })
        .collect()
}

/// True for an empty folder: a video whose crops are missing, which is reported as a failed input.
fn is_empty_folder(path: &Path) -> bool {
    path.read_dir().is_ok_and(|mut entries| entries.next().is_none())
}

/// All files and folders below a folder that are not hidden, in the order of names; links are followed.
fn walk(folder: &Path) -> impl Iterator<Item = Result<PathBuf, InputError>> {
    WalkDir::new(folder)
        .follow_links(true)
        .sort_by_file_name()
        .min_depth(1)
        .into_iter()
        .filter_entry(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."))
        .map(|entry| match entry {
            Ok(entry) => Ok(entry.into_path()),
            Err(error) => Err(InputError::Unreadable {
                path: error.path().unwrap_or(Path::new("?")).to_owned(),
                source: error,
            }),
        })
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

fn refuse_same_ids(inputs: &[Input]) -> Result<(), InputError> {
    let mut seen: BTreeMap<&VideoId, &Input> = BTreeMap::new();
    for input in inputs {
        if let Some(first) = seen.insert(&input.id, input) {
            return Err(InputError::SameId {
                id: input.id.clone(),
                first: first.path.clone(),
                second: input.path.clone(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn touch(path: PathBuf) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"x").unwrap();
    }

    fn ids(inputs: &[Input]) -> Vec<&str> {
        inputs.iter().map(|input| input.id.as_str()).collect()
    }

    #[test]
    fn a_folder_gives_its_videos_by_path_below_it() {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path().join("batch2/a.b.MP4"));
        touch(folder.path().join("batch1/z.avi"));
        touch(folder.path().join("batch1/notes.txt"));
        touch(folder.path().join(".cache/x.mp4"));
        let inputs = collect(&[folder.path().to_owned()], InputKind::Video).unwrap();
        assert_eq!(ids(&inputs), ["batch1/z", "batch2/a.b"]);
    }

    #[test]
    fn two_inputs_with_one_id_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path().join("a.mp4"));
        touch(folder.path().join("a.avi"));
        let refused = collect(&[folder.path().to_owned()], InputKind::Video);
        assert!(matches!(refused, Err(InputError::SameId { id, .. }) if id.as_str() == "a"));
    }

    #[test]
    fn what_is_missing_fails_alone_beside_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("there.mp4");
        let missing = folder.path().join("missing.mp4");
        touch(there.clone());
        assert_eq!(
            ids(&collect(&[missing.clone(), there], InputKind::Video).unwrap()),
            ["missing", "there"]
        );
        assert!(matches!(
            collect(&[missing], InputKind::Video),
            Err(InputError::NothingToDo { .. })
        ));
    }

    #[test]
    fn a_folder_of_crops_and_a_folder_of_such_folders() {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path().join("341/00001.jpg"));
        touch(folder.path().join("341/00007.png"));
        touch(folder.path().join("left/9/00001.jpg"));
        touch(folder.path().join("notes/readme.txt"));
        fs::create_dir(folder.path().join("empty")).unwrap();
        let all = collect(&[folder.path().to_owned()], InputKind::Crops).unwrap();
        assert_eq!(ids(&all), ["341", "empty", "left/9"]);
        assert_eq!(all[0].bytes, 2);
        assert_eq!(
            ids(&collect(&[folder.path().join("341")], InputKind::Crops).unwrap()),
            ["341"]
        );
    }

    #[test]
    fn ids_stay_inside_the_run_folder() {
        for name in ["", "/etc/passwd", "../up", "a/../../b", "."] {
            assert!(VideoId::try_from(name.to_owned()).is_err(), "{name}");
        }
    }
}
