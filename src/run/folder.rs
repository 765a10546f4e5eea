//! The layout of a run's folder.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::input::VideoId;
use super::stage::Stage;
use crate::hash::hexadecimal;
use crate::path_error::PathError;
use crate::publish::{UNFINISHED_PREFIX, publish_json};

/// The folder of a run: the plan, a table or a failure for each input, and the summary.
///
/// ```
/// use std::path::Path;
///
/// use abaw::run::{RunFolder, VideoId};
///
/// let run = RunFolder::new("runs/mine");
/// let id = VideoId::try_from("day1/12".to_owned())?;
/// assert_eq!(run.plan(), Path::new("runs/mine/plan.json"));
/// assert_eq!(run.table(&id), Path::new("runs/mine/frames/day1/12.parquet"));
/// # Ok::<(), abaw::run::InputError>(())
/// ```
#[derive(Debug, Clone)]
pub struct RunFolder {
    root: PathBuf,
}

/// Why an input has no table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The path of the input.
    pub input: String,
    /// The stage in which it failed.
    pub stage: Stage,
    /// One sentence: what, where, what to do.
    pub error: String,
    /// When it failed.
    pub when: Timestamp,
}

impl RunFolder {
    /// The run at a path, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `RUN/plan.json`.
    pub fn plan(&self) -> PathBuf {
        self.root.join("plan.json")
    }

    /// `RUN/run.json`.
    pub fn summary(&self) -> PathBuf {
        self.root.join("run.json")
    }

    /// `RUN/summary.csv`: a row for each video and person, written by `abaw summary`.
    pub fn persons(&self) -> PathBuf {
        self.root.join("summary.csv")
    }

    /// `RUN/frames`.
    pub fn tables(&self) -> PathBuf {
        self.root.join("frames")
    }

    /// `RUN/frames/<id>.parquet`; names that are too long for a file are cut, as described at [`file_name`].
    pub fn table(&self, id: &VideoId) -> PathBuf {
        self.tables().join(file_name(id, ".parquet"))
    }

    /// `RUN/features/<id>.parquet`, cut likewise.
    pub fn features(&self, id: &VideoId) -> PathBuf {
        self.root.join("features").join(file_name(id, ".parquet"))
    }

    /// `RUN/failures/<id>.json`, cut likewise.
    pub fn failure(&self, id: &VideoId) -> PathBuf {
        self.failures().join(file_name(id, ".json"))
    }

    fn failures(&self) -> PathBuf {
        self.root.join("failures")
    }

    /// Records that an input at `path` failed just now, and returns the record. If it cannot be written, its `error`
    /// mentions that.
    pub fn fail(&self, id: &VideoId, path: &Path, stage: Stage, error: String) -> Failure {
        let mut failure = Failure {
            input: path.display().to_string(),
            stage,
            error,
            when: Timestamp::now(),
        };
        if let Err(error) = self.record_failure(id, &failure) {
            failure.error += &format!(" (and this could not be recorded: {error})");
        }
        failure
    }

    /// Writes the failure of an input.
    ///
    /// # Errors
    /// The file system's.
    pub fn record_failure(&self, id: &VideoId, failure: &Failure) -> io::Result<()> {
        publish_json(&self.failure(id), failure)
    }

    /// The recorded failure of an input, if there is one that can be read.
    pub fn read_failure(&self, id: &VideoId) -> Option<Failure> {
        let text = std::fs::read(self.failure(id)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Deletes the failure of an input, if there is one, after a later attempt succeeded.
    ///
    /// # Errors
    /// The file system's.
    pub fn forget_failure(&self, id: &VideoId) -> io::Result<()> {
        match std::fs::remove_file(self.failure(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Makes the folder and checks that files can be written to it, before anything is computed: a file of
    /// [`LEAST_ROOM`] bytes in each of its folders.
    ///
    /// # Errors
    /// The file system's reason why not, with the folder.
    pub fn prepare(&self) -> Result<(), PathError> {
        for folder in [self.root.clone(), self.tables(), self.failures()] {
            std::fs::create_dir_all(&folder).map_err(PathError::at(&folder))?;
            let tried = tempfile::Builder::new()
                .prefix(UNFINISHED_PREFIX)
                .tempfile_in(&folder);
            let written = tried.and_then(|mut file| {
                file.write_all(&vec![1; LEAST_ROOM])?;
                file.as_file().sync_data()
            });
            written.map_err(PathError::at(&folder))?;
        }
        Ok(())
    }
}

/// Bytes that must be free in a run's folder before it is begun: the tables of some minutes of video.
const LEAST_ROOM: usize = 1 << 20;

/// Bytes of a file's or folder's name at most, on nearly every file system.
const LONGEST_NAME: usize = 255;

/// An id as a path. A part that would be longer than [`LONGEST_NAME`], with its ending, is cut and gets a `~` and the
/// first 16 digits of its sha256.
fn file_name(id: &VideoId, ending: &str) -> PathBuf {
    let (folders, name) = id.as_str().rsplit_once('/').unwrap_or(("", id.as_str()));
    let mut path: PathBuf = folders.split('/').map(|folder| cut(folder, "")).collect();
    path.push(cut(name, ending));
    path
}

fn cut(name: &str, ending: &str) -> String {
    if name.len() + ending.len() <= LONGEST_NAME {
        return format!("{name}{ending}");
    }
    let digits = &hexadecimal(&Sha256::digest(name))[..16];
    let longest = LONGEST_NAME - ending.len() - digits.len() - 1;
    let kept = (0..=longest)
        .rev()
        .find(|&at| name.is_char_boundary(at))
        .unwrap_or(0);
    format!("{}~{digits}{ending}", &name[..kept])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_ids_are_paths_as_they_are() {
        let id = VideoId::try_from("batch1/a.b".to_owned()).unwrap();
        assert_eq!(
            RunFolder::new("run").table(&id),
            Path::new("run/frames/batch1/a.b.parquet")
        );
        assert_eq!(
            RunFolder::new("run").failure(&id),
            Path::new("run/failures/batch1/a.b.json")
        );
    }

    proptest! {
        #[test]
        fn long_names_fit_and_stay_apart(folder in "[aü]{0,300}", name in "[aü]{240,400}") {
            let id = |last: &str| VideoId::try_from(format!("f{folder}/{name}{last}")).unwrap();
            let (one, other) = (file_name(&id("x"), ".parquet"), file_name(&id("y"), ".parquet"));
            for part in one.iter() {
                prop_assert!(part.len() <= LONGEST_NAME);
            }
            prop_assert_ne!(&one, &other);
            prop_assert_eq!(one.parent(), other.parent());
            prop_assert!(one.to_str().unwrap().ends_with(".parquet"));
        }
    }
}
