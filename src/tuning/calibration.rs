//! What tuning finds, as it stands in `calibration.toml` and in the metadata of weights.

use crate::labels::PerTask;
use crate::metrics::Interval;
use crate::postprocess::{Kernel, Preset, Thresholds};
use serde::{Deserialize, Serialize};

/// The settings that hold on new videos, and what speaks for them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// When it was found, as the caller writes dates.
    pub date: String,
    /// Labelled videos.
    pub videos: usize,
    /// Labelled frames a task.
    pub frames: PerTask<u64>,
    /// Groups of videos in the cross-validation.
    pub folds: usize,
    /// What the folds and the bootstrap were drawn with.
    pub seed: u64,
    /// The threshold of each action unit, 0.5 where tuning does not hold; absent if it holds for none.
    pub thresholds: Option<Thresholds>,
    /// The kernel of each task; absent where smoothing does not hold.
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
    /// What is to be used.
    pub fn preset(&self) -> Preset {
        Preset {
            smoothing: self.smoothing,
            thresholds: self.thresholds,
        }
    }

    /// What is to be used of a calibration file's text, or of that in the card of weights: either what
    /// [`tune`](super::tune) found, or thresholds and smoothing alone, as in a preset.
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

/// What a setting gains.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gain {
    /// On the videos it was tuned on: too good.
    pub tuning: f64,
    /// On videos it was not tuned on: each fold is scored with what the other folds say, all pooled.
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
    pub gain: Gain,
    /// Whether the held-out gain is positive, and so the setting used.
    pub kept: bool,
}
