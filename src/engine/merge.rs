//! The end of a run: every input is accounted for, and `run.json` says how it went.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::input::VideoId;
use super::plan::{Plan, PlanError};
use super::run_folder::{Failure, RunFolder};
use crate::publish::{publish_json, sweep};
use crate::table::{self, Footer, StageSeconds, WeightsRecord};

/// `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    pub abaw: String,
    pub finished: Timestamp,
    pub versions: BTreeMap<String, String>,
    pub settings_hash: String,
    pub weights: Vec<WeightsRecord>,
    pub inference: String,
    pub totals: Totals,
    pub videos: Vec<VideoSummary>,
}

/// Sums over all videos of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Totals {
    pub videos: u64,
    pub done: u64,
    pub failed: u64,
    pub frames: u64,
    pub frames_with_face: u64,
    pub persons: u64,
    /// Seconds of work by stage, over all threads and machines.
    pub seconds: StageSeconds,
    /// From start to end on the clock, of the attempt that finished the run; null for shards.
    pub wall_seconds: Option<f64>,
    /// Frames that this attempt annotated over its wall seconds; null where it had none left to do.
    pub frames_per_second: Option<f64>,
}

/// How one video went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VideoSummary {
    pub id: VideoId,
    pub status: Status,
    pub frames: u64,
    pub frames_with_face: u64,
    pub persons: u64,
    /// What the decoder met; empty for a failed video.
    pub damage: serde_json::Value,
    pub seconds: StageSeconds,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<Failure>,
}

/// Whether a video has a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Done,
    Failed,
}

/// A run cannot be closed.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(
        "{} of {total} inputs have neither a table nor a recorded failure, {} first; do shard {} again",
        missing.len(), missing[0], join(shards)
    )]
    Incomplete {
        total: usize,
        missing: Vec<VideoId>,
        shards: BTreeSet<u32>,
    },
    #[error("{}: {source}", path.display())]
    File {
        path: std::path::PathBuf,
        source: std::io::Error,
    },
}

fn join(shards: &BTreeSet<u32>) -> String {
    let numbers: Vec<String> = shards.iter().map(u32::to_string).collect();
    numbers.join(", ")
}

/// How fast one process did the whole run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Seconds from start to end on the clock.
    pub wall_seconds: f64,
    /// Frames annotated in that time; those of earlier attempts do not count.
    pub frames: u64,
}

/// Checks that each input of the plan has a table or a recorded failure, publishes `run.json`, and
/// deletes what killed processes left unfinished. Doing it twice does no harm.
///
/// # Errors
/// [`MergeError::Incomplete`] naming what is missing and the shards to run again.
pub fn merge(run: &RunFolder, pace: Option<Pace>) -> Result<RunSummary, MergeError> {
    let plan = Plan::read(&run.plan())?;
    let mut summary = RunSummary {
        abaw: plan.abaw.clone(),
        finished: Timestamp::now(),
        versions: BTreeMap::new(),
        settings_hash: plan.settings_hash.clone(),
        weights: plan.weights.clone(),
        inference: String::new(),
        totals: Totals::default(),
        videos: Vec::with_capacity(plan.inputs.len()),
    };
    let mut missing = Vec::new();
    let mut shards = BTreeSet::new();
    for input in &plan.inputs {
        let of_this_plan =
            |footer: &Footer| footer.settings_hash == plan.settings_hash && footer.weights == plan.weights;
        let table = table::read_footer(&run.table(&input.id)).ok();
        if let Some((footer, seconds)) = table.filter(|(footer, _)| of_this_plan(footer)) {
            summary.videos.push(VideoSummary {
                id: input.id.clone(),
                status: Status::Done,
                frames: footer.counts.frames,
                frames_with_face: footer.counts.frames_with_face,
                persons: footer.counts.persons,
                damage: footer.stream["damage"].clone(),
                seconds,
                failure: None,
            });
            summary.versions = footer.versions;
            summary.inference = footer.inference;
        } else if let Some(failure) = run.read_failure(&input.id) {
            summary.videos.push(VideoSummary {
                id: input.id.clone(),
                status: Status::Failed,
                frames: 0,
                frames_with_face: 0,
                persons: 0,
                damage: serde_json::json!({}),
                seconds: StageSeconds::new(),
                failure: Some(failure),
            });
        } else {
            missing.push(input.id.clone());
            shards.insert(input.shard);
        }
    }
    if !missing.is_empty() {
        return Err(MergeError::Incomplete {
            total: plan.inputs.len(),
            missing,
            shards,
        });
    }
    sweep(run.root());
    summary.totals = totals(&summary.videos, pace);
    let path = run.summary();
    publish_json(&path, &summary).map_err(|source| MergeError::File { path, source })?;
    Ok(summary)
}

fn totals(videos: &[VideoSummary], pace: Option<Pace>) -> Totals {
    let mut totals = Totals {
        videos: videos.len() as u64,
        wall_seconds: pace.map(|pace| pace.wall_seconds),
        frames_per_second: pace
            .filter(|pace| pace.wall_seconds > 0.0 && pace.frames > 0)
            .map(|pace| pace.frames as f64 / pace.wall_seconds),
        ..Totals::default()
    };
    for video in videos {
        match video.status {
            Status::Done => totals.done += 1,
            Status::Failed => totals.failed += 1,
        }
        totals.frames += video.frames;
        totals.frames_with_face += video.frames_with_face;
        totals.persons += video.persons;
        for (stage, seconds) in &video.seconds {
            *totals.seconds.entry(stage.clone()).or_default() += seconds;
        }
    }
    totals
}
