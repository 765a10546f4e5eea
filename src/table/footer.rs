//! How a table was made, as JSON in the Parquet footer.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use crate::frame::FrameIndex;
use crate::labels::{Expression, ExtraUnit};

/// The footer's key.
pub const FOOTER_KEY: &str = "abaw";
/// The key of [`StageSeconds`], apart from the footer so that two runs differ only here.
pub const SECONDS_KEY: &str = "abaw.seconds";

/// Seconds of work spent on a video, by stage.
pub type StageSeconds = BTreeMap<String, f64>;

/// How a table was made: enough to know what its numbers mean and to make it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Footer {
    /// Versions of the program and of the libraries that shape the numbers, by name.
    pub versions: BTreeMap<String, String>,
    /// Every setting that shapes a number.
    pub settings: serde_json::Value,
    /// sha256 of the settings.
    pub settings_hash: String,
    /// sha256 of the settings that the raw columns depend on: all but post-processing.
    pub raw_settings_hash: String,
    /// The weights of the detector, then of each network that annotates.
    pub weights: Vec<WeightsRecord>,
    /// Device kind, precision and form in which the networks ran.
    pub inference: String,
    /// Post-processing as applied: thresholds, smoothing.
    pub postprocess: serde_json::Value,
    /// Facts of the stream: frames a second, size, damage.
    pub stream: serde_json::Value,
    /// First frames of shots, 1-based, but for the video's first.
    pub cuts: Vec<u32>,
    /// Size of the input file in bytes; for crops the number of images.
    pub input_bytes: u64,
    /// When the input file was last changed; `None` for crops, and in tables of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_modified: Option<Timestamp>,
    /// Sizes of the table.
    pub counts: Counts,
}

impl Footer {
    /// The action units beside ABAW's twelve that a network of the run has an output for, by their numbers.
    pub fn extra_units(&self) -> Vec<ExtraUnit> {
        extra_units(&self.weights)
    }

    /// Whether the table's times are those of the file's clock: it did not jump while the video was read.
    pub fn has_steady_clock(&self) -> bool {
        self.stream["damage"]["clock_jumps"].as_u64().unwrap_or(0) == 0
    }

    /// Where the shots of the video begin and how long a frame lasts, as far as the footer tells.
    pub fn timing(&self) -> Timing {
        Timing {
            cuts: self.cuts.iter().copied().filter_map(FrameIndex::new).collect(),
            frame_rate: self.stream["fps"].as_f64(),
        }
    }
}

/// What post-processing needs to know of a video besides its rows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Timing {
    /// First frames of shots, ascending, without the first frame of the video.
    pub cuts: Vec<FrameIndex>,
    /// Frames per second; `None` if unknown, as for crops.
    pub frame_rate: Option<f64>,
}

/// The weights of one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightsRecord {
    /// What the network is for: `detector` or `affect`.
    pub role: String,
    /// `trained`, or `untrained` for a seeded initialisation whose numbers mean nothing.
    pub weights: String,
    /// File name, or the seed of the initialisation.
    pub source: String,
    /// sha256 of the file; null without one.
    pub sha256: Option<String>,
    /// Tasks for which the network has no output or a weight of 0, in words: unless another network has an output
    /// there, the columns are null. The key in files is `silent_tasks`.
    #[serde(rename = "silent_tasks", default, skip_serializing_if = "Vec::is_empty")]
    pub missing_tasks: Vec<String>,
    /// Action units beside ABAW's twelve that the network has an output for: tables have columns for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_units: Vec<ExtraUnit>,
    /// Expressions that the network seldom tells right, by its card.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weak_expressions: Vec<Expression>,
}

impl WeightsRecord {
    /// The value of `weights` for weights from training.
    pub const TRAINED: &str = "trained";
    /// The value of `weights` for a seeded initialisation.
    pub const UNTRAINED: &str = "untrained";

    /// False for a seeded initialisation, whose predictions mean nothing.
    pub fn is_trained(&self) -> bool {
        self.weights != Self::UNTRAINED
    }
}

/// The expressions that one of these networks seldom tells right, in class order.
pub fn weak_expressions(weights: &[WeightsRecord]) -> Vec<Expression> {
    let weak = |class: &Expression| {
        weights
            .iter()
            .any(|record| record.weak_expressions.contains(class))
    };
    Expression::ALL.into_iter().filter(weak).collect()
}

/// An expression's name, with "(weak)" behind it if it is one of these.
pub fn name_with_weakness(class: Expression, weak: &[Expression]) -> String {
    match weak.contains(&class) {
        true => format!("{} (weak)", class.name()),
        false => class.name().to_owned(),
    }
}

/// The action units beside ABAW's twelve that one of these networks has an output for, by their numbers.
pub fn extra_units(weights: &[WeightsRecord]) -> Vec<ExtraUnit> {
    let units = weights
        .iter()
        .flat_map(|record| record.extra_units.iter().copied());
    let units: BTreeSet<ExtraUnit> = units.collect();
    units.into_iter().collect()
}

/// Sizes of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Frames of the video.
    pub frames: u64,
    /// Frames in which at least one face was detected or tracked.
    pub frames_with_face: u64,
    /// Different persons.
    pub persons: u64,
}
