//! The layout of a run's folder.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::input::VideoId;
use crate::publish::{UNFINISHED_PREFIX, publish_json};

/// `RUN`: the plan, a table or a failure a video, and the summary.
#[derive(Debug, Clone)]
pub struct RunFolder {
    root: PathBuf,
}

/// Why an input has no table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The input's path.
    pub input: String,
    pub stage: Stage,
    /// One sentence: what, where, what to do.
    pub error: String,
    pub when: Timestamp,
}

/// A part of the work on a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    Decode,
    Detect,
    Track,
    Infer,
    Postprocess,
    Write,
}

impl Stage {
    /// All stages in the order in which a frame meets them.
    pub const ALL: [Stage; 6] = [
        Stage::Decode,
        Stage::Detect,
        Stage::Track,
        Stage::Infer,
        Stage::Postprocess,
        Stage::Write,
    ];

    /// The name in `run.json`.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Decode => "decode",
            Stage::Detect => "detect",
            Stage::Track => "track",
            Stage::Infer => "infer",
            Stage::Postprocess => "postprocess",
            Stage::Write => "write",
        }
    }
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

    /// `RUN/frames`.
    pub fn tables(&self) -> PathBuf {
        self.root.join("frames")
    }

    /// `RUN/frames/<id>.parquet`.
    pub fn table(&self, id: &VideoId) -> PathBuf {
        self.tables().join(format!("{id}.parquet"))
    }

    /// `RUN/failures/<id>.json`.
    pub fn failure(&self, id: &VideoId) -> PathBuf {
        self.root.join("failures").join(format!("{id}.json"))
    }

    /// Records why an input failed.
    pub fn record_failure(&self, id: &VideoId, failure: &Failure) -> io::Result<()> {
        publish_json(&self.failure(id), failure)
    }

    /// The recorded failure of an input, if there is one that can be read.
    pub fn read_failure(&self, id: &VideoId) -> Option<Failure> {
        let text = std::fs::read(self.failure(id)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Forgets a failure, after a later attempt succeeded.
    pub fn forget_failure(&self, id: &VideoId) -> io::Result<()> {
        match std::fs::remove_file(self.failure(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Makes the folder and proves that files can be written to it.
    ///
    /// # Errors
    /// The file system's reason why not.
    pub fn prepare(&self) -> io::Result<()> {
        std::fs::create_dir_all(self.tables())?;
        tempfile::Builder::new()
            .prefix(UNFINISHED_PREFIX)
            .tempfile_in(&self.root)?;
        Ok(())
    }
}
