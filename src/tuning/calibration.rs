//! The result of tuning, as written in `calibration.toml` and in the metadata of weights.

use crate::labels::PerTask;
use crate::metrics::Interval;
use crate::postprocess::{Kernel, Preset, Thresholds};
use serde::{Deserialize, Serialize};

/// The settings that improve scores on held-out videos, with their gains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// The date of the tuning, in the caller's format.
    pub date: String,
    /// Labelled videos.
    pub videos: usize,
    /// Labelled frames of each task.
    pub frames: PerTask<u64>,
    /// Groups of videos in the cross-validation.
    pub folds: usize,
    /// The seed of the folds and of the bootstrap.
    pub seed: u64,
    /// The threshold of each action unit, 0.5 where tuning gains nothing on held-out videos; absent if it gains for no unit.
    pub thresholds: Option<Thresholds>,
    /// The kernel of each task; absent where smoothing gains nothing on held-out videos.
    pub smoothing: PerTask<Option<Kernel>>,
    /// P with all that was kept, against no smoothing and thresholds of 0.5. Here the decision what to
    /// keep is cross-validated too, so this is what to expect on new videos.
    pub total: Gain,
    /// The best smoothing of each task that has labels and predictions, kept or not. The gain is in VA,
    /// mean F1 of the expressions, mean F1 of the action units (with tuned thresholds on both sides).
    pub smoothing_trials: PerTask<Option<SmoothingTrial>>,
    /// The best threshold of each action unit, ABAW order; the gain is in its F1 against 0.5, both with the
    /// smoothing that was kept. Empty without labels or predictions.
    pub threshold_trials: Vec<ThresholdTrial>,
}

impl Calibration {
    /// The settings to use.
    pub fn preset(&self) -> Preset {
        Preset {
            smoothing: self.smoothing,
            thresholds: self.thresholds,
        }
    }

    /// The settings in the text of a calibration file, or in that of a weights' card: either a result of
    /// [`tune`](super::tune), or thresholds and smoothing alone, as in a preset.
    ///
    /// # Errors
    /// Text that is neither.
    pub fn preset_of(text: &str) -> Result<Preset, toml::de::Error> {
        let table: toml::Table = toml::from_str(text)?;
        if table.contains_key("folds") {
            toml::from_str::<Calibration>(text).map(|calibration| calibration.preset())
        } else {
            toml::from_str(text)
        }
    }
}

/// The gain in a score by a setting.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gain {
    /// On the videos it was tuned on; biased upwards.
    pub tuning: f64,
    /// On videos it was not tuned on: each fold is scored with the settings found on the other folds, all pooled.
    pub held_out: f64,
    /// The 95 % interval of `held_out`, from the bootstrap over videos.
    pub interval: Interval,
}

/// The smoothing of one task that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmoothingTrial {
    /// The best candidate on all videos.
    pub best: Kernel,
    /// In the score of the task.
    pub gain: Gain,
    /// Whether the held-out gain is positive, and so the setting used.
    pub kept: bool,
}

/// The threshold of one action unit that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThresholdTrial {
    /// `AU1`, `AU2`, ...
    pub unit: String,
    /// The best on all videos.
    pub best: f64,
    /// In the unit's F1.
    pub gain: Gain,
    /// Whether the held-out gain is positive, and so the setting used.
    pub kept: bool,
}
