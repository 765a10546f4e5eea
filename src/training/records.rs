//! `metrics.jsonl`: one line for each finished epoch.

use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::curves::EpochScores;
use super::error::TrainingError;
use super::loss_values::LossValues;
use super::write::write;
use crate::metrics::Scores;
use crate::path_error::PathError;

/// A finished epoch: a line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// 1-based, over all phases.
    pub epoch: usize,
    /// 1-based.
    pub phase: usize,
    /// The learning rate at its last step.
    pub learning_rate: f64,
    /// Images trained on, those drawn twice counted twice.
    pub images: usize,
    /// Means over the steps.
    pub losses: LossValues,
    /// Scores on the validation set, with one mask for each task.
    pub validation: Scores,
    /// The share of validation images whose expression is right; `None` without expressions.
    pub accuracy: Option<f64>,
    /// Seconds spent in training steps, without the time spent waiting for images.
    pub seconds: f64,
    /// `images` divided by `seconds`.
    pub images_per_second: f64,
}

impl EpochRecord {
    /// What is drawn of it.
    pub(super) fn scores(&self) -> EpochScores<'_> {
        EpochScores {
            number: self.epoch,
            losses: &self.losses,
            validation: &self.validation,
            accuracy: self.accuracy,
        }
    }
}

/// Reads the records of the first `epochs` epochs; none if there is no file.
///
/// # Errors
/// A file that cannot be read or a line that is no record.
pub fn read<R: DeserializeOwned>(path: &Path, epochs: usize) -> Result<Vec<R>, TrainingError> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read.map_err(PathError::at(path))?,
    };
    let record = |line: &str| {
        serde_json::from_str(line).map_err(|error| TrainingError::Checkpoint {
            path: path.to_owned(),
            reason: error.to_string(),
        })
    };
    text.lines().take(epochs).map(record).collect()
}

/// Replaces the file by one that holds these records.
///
/// # Errors
/// A file that cannot be written.
pub fn replace<R: Serialize>(path: &Path, records: &[R]) -> Result<(), TrainingError> {
    let mut text = Vec::new();
    for record in records {
        let line = serde_json::to_string(record).map_err(|error| PathError::at(path)(error.into()))?;
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
    }
    write(path, &text)
}
