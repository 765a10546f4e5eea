//! The settings for a temporal network.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The `[postprocess.temporal]` table of a pipeline file: a network over the features and raw outputs of a person's
/// frames. Its outputs are smoothed and cut in place of the raw ones; raw columns stay as they are.
///
/// ```toml
/// [postprocess.temporal]
/// weights = "../runs/temporal/best.safetensors"     # beside the pipeline file
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TemporalSettings {
    /// The weights, of `abaw train` with a recipe that has `[temporal]`; left out: no network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// sha256 of the weights when the plan was made: written by the program, never by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

impl TemporalSettings {
    /// True if there is no network.
    pub fn is_empty(&self) -> bool {
        self.weights.is_none()
    }
}
