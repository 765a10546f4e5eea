//! The end of a run: every input has a table or a failure, and `run.json` sums them up.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::file_state::FileState;
use super::folder::{Failure, RunFolder};
use super::input::{VideoId, read_each};
use super::plan::{Plan, PlanError, PlannedInput, TableState};
use crate::path_error::PathError;
use crate::publish::{publish_json, sweep};
use crate::table::{self, StageSeconds, WeightsRecord};

/// `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Version of the program that made the plan.
    pub abaw: String,
    /// When the summary was made.
    pub finished: Timestamp,
    /// Versions of the program and of the libraries that shape the numbers, by name; empty without any table.
    pub versions: BTreeMap<String, String>,
    /// sha256 of the settings.
    pub settings_hash: String,
    /// The weights of the detector, then of each network that annotates.
    pub weights: Vec<WeightsRecord>,
    /// Device kind, precision and form in which the networks ran; empty without any table.
    pub inference: String,
    /// Sums over all videos.
    pub totals: Totals,
    /// All inputs in the order of the plan.
    pub videos: Vec<VideoSummary>,
}

/// Sums over all videos of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Inputs of the run.
    pub videos: u64,
    /// Inputs with a table.
    pub done: u64,
    /// Inputs with a failure.
    pub failed: u64,
    /// Frames of all tables.
    pub frames: u64,
    /// Frames with at least one face.
    pub frames_with_face: u64,
    /// Persons, each counted once per video.
    pub persons: u64,
    /// Seconds of work by stage, over all threads and machines.
    pub seconds: StageSeconds,
    /// From start to end on the clock, of the attempt that finished the run; null for shards.
    pub wall_seconds: Option<f64>,
    /// Frames that this attempt annotated over its wall seconds; null where it had none left to do.
    pub frames_per_second: Option<f64>,
}

/// The result of one video.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VideoSummary {
    /// Its name in the run.
    pub id: VideoId,
    /// Whether it has a table.
    pub status: Status,
    /// Frames of the table, 0 without one.
    pub frames: u64,
    /// Frames with at least one face.
    pub frames_with_face: u64,
    /// Different persons.
    pub persons: u64,
    /// Damage that the decoder found; empty for a failed video.
    pub damage: serde_json::Value,
    /// Seconds of work by stage.
    pub seconds: StageSeconds,
    /// Why there is no table.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<Failure>,
}

/// Whether a video has a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It has one.
    Done,
    /// It has none, and a failure is recorded.
    Failed,
}

/// `run.json` cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// The plan cannot be read.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Some inputs are not done.
    #[error(
        "{} of {total} inputs have neither a table nor a recorded failure of their file as it is now (first: {}{}); do \
         their shards again (on Slurm --array={}), then merge again",
        missing.len(), missing[0], changed_files(changed), ranges(shards)
    )]
    Incomplete {
        /// Number of inputs.
        total: usize,
        /// Inputs without a table or a failure.
        missing: Vec<VideoId>,
        /// Those of them whose file was replaced after it was annotated.
        changed: Vec<VideoId>,
        /// The shards of these inputs.
        shards: BTreeSet<u32>,
    },
    /// `run.json` cannot be written.
    #[error(transparent)]
    File(#[from] PathError),
}

fn changed_files(changed: &[VideoId]) -> String {
    match changed {
        [] => String::new(),
        [first, ..] => format!(
            "; {} were replaced after they were annotated, first: {first}",
            changed.len()
        ),
    }
}

/// Numbers as Slurm takes them: `3,7-9`.
fn ranges(numbers: &BTreeSet<u32>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let texts = ranges.into_iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    texts.collect::<Vec<_>>().join(",")
}

/// The speed of one process that did the whole run.
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
    let (mut missing, mut changed) = (Vec::new(), Vec::new());
    let mut shards = BTreeSet::new();
    let outcomes = read_each(&plan.inputs, |input| outcome(run, &plan, input));
    for (input, outcome) in plan.inputs.iter().zip(outcomes) {
        match outcome {
            Ok(video) => summary.videos.push(video),
            Err(reason) => {
                if reason == Missing::Changed {
                    changed.push(input.id.clone());
                }
                missing.push(input.id.clone());
                shards.insert(input.shard);
            }
        }
    }
    if !missing.is_empty() {
        return Err(MergeError::Incomplete {
            total: plan.inputs.len(),
            missing,
            changed,
            shards,
        });
    }
    sweep(run.root());
    let mut done = summary.videos.iter().filter(|video| video.status == Status::Done);
    if let Some(Ok((footer, _))) = done.next().map(|video| table::read_footer(&run.table(&video.id))) {
        summary.versions = footer.versions;
        summary.inference = footer.inference;
    }
    summary.totals = totals(&summary.videos, pace);
    let path = run.summary();
    publish_json(&path, &summary).map_err(PathError::at(path))?;
    Ok(summary)
}

/// Why an input has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// It has not been annotated.
    NotDone,
    /// Its file was replaced after it was annotated.
    Changed,
}

/// The result of an input, if it has a table of this plan or a recorded failure.
fn outcome(run: &RunFolder, plan: &Plan, input: &PlannedInput) -> Result<VideoSummary, Missing> {
    let table = table::read_footer(&run.table(&input.id)).ok();
    let has_features = !plan.settings.pipeline.model.features || run.features(&input.id).is_file();
    let state = table.as_ref().map(|(footer, _)| plan.state_of(footer, input));
    if let (Some((footer, seconds)), Some(TableState::Current), true) = (&table, state, has_features) {
        return Ok(VideoSummary {
            id: input.id.clone(),
            status: Status::Done,
            frames: footer.counts.frames,
            frames_with_face: footer.counts.frames_with_face,
            persons: footer.counts.persons,
            damage: footer.stream["damage"].clone(),
            seconds: seconds.clone(),
            failure: None,
        });
    }
    let failure = run.read_failure(&input.id).ok_or_else(|| {
        let has_changed = table.is_some_and(|(footer, _)| plan.has_changed(&footer, input));
        if has_changed {
            Missing::Changed
        } else {
            Missing::NotDone
        }
    })?;
    let now = FileState::within(plan.stall(), &input.path, input.kind);
    if now
        .and_then(|now| now.modified)
        .is_some_and(|modified| modified > failure.when)
    {
        return Err(Missing::Changed);
    }
    Ok(VideoSummary {
        id: input.id.clone(),
        status: Status::Failed,
        frames: 0,
        frames_with_face: 0,
        persons: 0,
        damage: serde_json::json!({}),
        seconds: StageSeconds::new(),
        failure: Some(failure),
    })
}

impl VideoSummary {
    /// Whether the decoder found damage, or images could not be read.
    pub fn is_damaged(&self) -> bool {
        let is_something = |value: &serde_json::Value| match value {
            serde_json::Value::Bool(is) => *is,
            serde_json::Value::Number(number) => number.as_f64() != Some(0.0),
            serde_json::Value::Array(items) => !items.is_empty(),
            _ => false,
        };
        self.damage
            .as_object()
            .is_some_and(|damage| damage.values().any(is_something))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_named_as_slurm_takes_them() {
        let text = |numbers: &[u32]| ranges(&numbers.iter().copied().collect());
        assert_eq!(text(&[3, 7]), "3,7");
        assert_eq!(text(&[0, 1, 2, 5, 8, 9]), "0-2,5,8-9");
    }
}
