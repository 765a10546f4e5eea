//! Post-processing: from raw to final predictions, by gap filling, smoothing and thresholds.
//!
//! ```text
//! raw rows -> (blend) -> Series -> fill -> smooth -> decide -> FinalAffect
//! ```
//!
//! All of it is cheap and can be repeated on a raw table. A kernel over list entries ([`Kernel::FrameDistance`]) smooths
//! before gaps are filled, so that it runs over predictions only.

mod blend_settings;
mod fill;
mod rows;
mod series;
mod settings;
mod smooth;
mod threshold;

pub use blend_settings::{BlendMember, BlendSettings};
pub use fill::fill_gaps;
pub use rows::{postprocess_rows, raw_predictions};
pub use series::Series;
pub use settings::{PostprocessSettings, Preset};
pub use smooth::{Kernel, ShotKernel, Window};
pub use threshold::Thresholds;

use crate::frame::FrameIndex;
use crate::labels::{ACTION_UNITS, Affect, EXPRESSIONS, Expression, FinalAffect, PerTask, ValenceArousal};
use serde::{Deserialize, Serialize};

/// A series or the settings are not valid.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PostprocessError {
    /// A series needs one prediction per frame.
    #[error("a series has {frames} frame numbers and {values} predictions")]
    LengthsDiffer {
        /// Number of frames.
        frames: usize,
        /// Number of predictions.
        values: usize,
    },
    /// Frame numbers repeat or decrease.
    #[error("frame numbers must increase, but {next} follows {frame}")]
    FramesNotIncreasing {
        /// A frame.
        frame: FrameIndex,
        /// The one listed after it.
        next: FrameIndex,
    },
    /// A window in seconds for a video of unknown frame rate.
    #[error("a window of {0} needs the frame rate of the video, which is not known: give it in frames")]
    NoFrameRate(Window),
    /// A preset is used that does not exist.
    #[error("no preset is called `{name}`; known: {known}")]
    UnknownPreset {
        /// The name.
        name: String,
        /// The names that exist, joined by commas.
        known: String,
    },
}

/// Post-processing with its settings resolved: one kernel per task, one threshold per action unit.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Postprocess {
    /// One kernel per task.
    pub smoothing: PerTask<Kernel>,
    /// One threshold per action unit.
    pub thresholds: Thresholds,
    /// If true, nothing is filled or smoothed across a shot cut.
    pub stop_at_cuts: bool,
}

impl Postprocess {
    /// Fills the gaps of a series, smooths it and applies the thresholds; one result per entry.
    ///
    /// # Errors
    /// A window in seconds on a series without a frame rate.
    pub fn apply(&self, series: &Series) -> Result<Vec<FinalAffect>, PostprocessError> {
        let mut finals = vec![FinalAffect::default(); series.frames().len()];
        if let Some(curve) = valence_arousal(series, self.smoothing.valence_arousal)? {
            for (row, point) in finals.iter_mut().zip(curve) {
                row.affect.valence_arousal = Some(point);
            }
        }
        if let Some(curve) = expression(series, self.smoothing.expression)? {
            for (row, probabilities) in finals.iter_mut().zip(curve) {
                row.affect.expression = Some(probabilities);
                row.expression = Some(Expression::most_probable(&probabilities));
            }
        }
        if let Some(curve) = action_units(series, self.smoothing.action_units)? {
            for (row, probabilities) in finals.iter_mut().zip(curve) {
                row.affect.action_units = Some(probabilities);
                row.action_units = Some(self.thresholds.decide(&probabilities));
            }
        }
        Ok(finals)
    }
}

/// Final valence and arousal of every entry; `None` if the series predicts none.
///
/// # Errors
/// A window in seconds on a series without a frame rate.
pub fn valence_arousal(
    series: &Series,
    kernel: Kernel,
) -> Result<Option<Vec<ValenceArousal>>, PostprocessError> {
    let curve = curve(series, kernel, |affect| {
        affect.valence_arousal.map(|point| [point.valence, point.arousal])
    })?;
    Ok(curve.map(|rows| {
        rows.into_iter()
            .map(|row| {
                let [valence, arousal] = row.map(|value| value.clamp(-1.0, 1.0) as f32);
                ValenceArousal { valence, arousal }
            })
            .collect()
    }))
}

/// Final probabilities of the expressions of every entry, sum 1; `None` if the series predicts none.
///
/// # Errors
/// A window in seconds on a series without a frame rate.
pub fn expression(
    series: &Series,
    kernel: Kernel,
) -> Result<Option<Vec<[f32; EXPRESSIONS]>>, PostprocessError> {
    let curve = curve(series, kernel, |affect| {
        affect
            .expression
            .filter(|probabilities| probabilities.iter().sum::<f32>() > 0.0)
    })?;
    Ok(curve.map(|rows| rows.into_iter().map(distribution).collect()))
}

/// Final probabilities of the action units of every entry; `None` if the series predicts none.
///
/// # Errors
/// A window in seconds on a series without a frame rate.
pub fn action_units(
    series: &Series,
    kernel: Kernel,
) -> Result<Option<Vec<[f32; ACTION_UNITS]>>, PostprocessError> {
    let curve = curve(series, kernel, |affect| affect.action_units)?;
    Ok(curve.map(|rows| {
        rows.into_iter()
            .map(|row| row.map(|probability| probability.clamp(0.0, 1.0) as f32))
            .collect()
    }))
}

/// One task's numbers, filled and smoothed. A prediction with a number that is not finite counts as
/// none: a single NaN would otherwise spread over its whole window.
fn curve<const N: usize>(
    series: &Series,
    kernel: Kernel,
    task: impl Fn(&Affect) -> Option<[f32; N]>,
) -> Result<Option<Vec<[f64; N]>>, PostprocessError> {
    let kernel = kernel.in_frames(series.frame_rate())?;
    let mut given: Vec<Option<[f64; N]>> = series
        .values()
        .iter()
        .map(|value| value.as_ref().and_then(&task))
        .map(|row| row.map(|row| row.map(f64::from)))
        .map(|row| row.filter(|row| row.iter().all(|number| number.is_finite())))
        .collect();

    if kernel.wants_gaps_filled() {
        let Some(mut filled) = fill_gaps(series.frames(), &given, series.shots()) else {
            return Ok(None);
        };
        for shot in series.shots() {
            let smooth = kernel.smooth(&series.frames()[shot.clone()], &filled[shot.clone()]);
            filled[shot].copy_from_slice(&smooth);
        }
        Ok(Some(filled))
    } else {
        for shot in series.shots() {
            let entries: Vec<usize> = shot.filter(|&entry| given[entry].is_some()).collect();
            let frames: Vec<FrameIndex> = entries.iter().map(|&entry| series.frames()[entry]).collect();
            let rows: Vec<[f64; N]> = entries.iter().filter_map(|&entry| given[entry]).collect();
            for (entry, row) in entries.into_iter().zip(kernel.smooth(&frames, &rows)) {
                given[entry] = Some(row);
            }
        }
        Ok(fill_gaps(series.frames(), &given, series.shots()))
    }
}

/// Makes smoothed probabilities sum to 1. Rows that already do are kept to the bit, so that a
/// series which is not smoothed keeps the network's own numbers.
fn distribution(row: [f64; EXPRESSIONS]) -> [f32; EXPRESSIONS] {
    const ROUNDING: f64 = 5e-7;
    let row = row.map(|probability| probability.max(0.0));
    let sum: f64 = row.iter().sum();
    if (sum - 1.0).abs() <= ROUNDING {
        row.map(|probability| probability as f32)
    } else {
        row.map(|probability| (probability / sum) as f32)
    }
}
