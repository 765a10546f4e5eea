//! Post-processing: from raw to final predictions, by gap filling, smoothing and thresholds.
//!
//! ```text
//! raw rows -> (blend or temporal network) -> Series -> fill -> smooth -> decide -> FinalAffect
//! ```
//!
//! All of it is cheap and can be repeated on a raw table. A kernel over list entries ([`Kernel::FrameDistance`]) smooths
//! before gaps are filled, so that it runs over predictions only. A gap that is not filled ([`FillGap`]) ends a stretch:
//! nothing is smoothed across it.

mod blend_settings;
mod fill;
mod rows;
mod series;
mod settings;
mod smooth;
mod temporal_settings;
mod threshold;

pub use blend_settings::{BlendMember, BlendSettings};
pub use fill::{FillGap, fill_gaps};
pub use rows::{postprocess_rows, raw_predictions, series_of};
pub use series::Series;
pub use settings::{PostprocessSettings, Preset};
pub use smooth::{Kernel, ShotKernel, Window};
pub use temporal_settings::TemporalSettings;
pub use threshold::Thresholds;

use crate::frame::FrameIndex;
use crate::labels::{ACTION_UNITS, Affect, EXPRESSIONS, Expression, FinalAffect, PerTask, ValenceArousal};
use crate::table::Row;
use serde::{Deserialize, Serialize};
use std::ops::Range;

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
#[serde(default)]
pub struct Postprocess {
    /// One kernel per task.
    pub smoothing: PerTask<Kernel>,
    /// One threshold per action unit.
    pub thresholds: Thresholds,
    /// If true, nothing is filled or smoothed across a shot cut.
    pub stop_at_cuts: bool,
    /// The longest gap that is filled.
    pub fill_gap_s: FillGap,
    /// If true, a face whose look is not usable counts as not seen.
    pub only_usable: bool,
}

impl Postprocess {
    /// Whether a row shows a face that counts.
    pub fn sees(&self, row: &Row) -> bool {
        row.sighting.is_face() && !(self.only_usable && row.usable == Some(false))
    }

    /// Fills the gaps of a series, smooths it and applies the thresholds; one result per entry. Entries in gaps that are
    /// not filled have no values.
    ///
    /// # Errors
    /// A window in seconds on a series without a frame rate.
    pub fn apply(&self, series: &Series) -> Result<Vec<FinalAffect>, PostprocessError> {
        let mut finals = vec![FinalAffect::default(); series.frames().len()];
        let gap = self.fill_gap_s;
        if let Some(curve) = valence_arousal(series, self.smoothing.valence_arousal, gap)? {
            for (row, point) in finals.iter_mut().zip(curve) {
                row.affect.valence_arousal = point;
            }
        }
        if let Some(curve) = expression(series, self.smoothing.expression, gap)? {
            for (row, probabilities) in finals.iter_mut().zip(curve) {
                row.affect.expression = probabilities;
                row.expression = probabilities.as_ref().map(Expression::most_probable);
            }
        }
        let kernel = self.smoothing.action_units;
        if series.values().iter().flatten().all(has_all_or_no_units) {
            for (row, probabilities) in finals
                .iter_mut()
                .zip(action_units(series, kernel, gap)?.into_iter().flatten())
            {
                row.affect.action_units = each(probabilities);
            }
        } else {
            for unit in 0..ACTION_UNITS {
                let curve = one_unit(series, kernel, gap, |affect| affect.action_units[unit])?;
                for (row, probability) in finals.iter_mut().zip(curve.into_iter().flatten()) {
                    row.affect.action_units[unit] = probability;
                }
            }
        }
        for row in &mut finals {
            row.action_units = self.thresholds.decide(&row.affect.action_units);
        }
        self.apply_to_extra_units(series, &mut finals)?;
        Ok(finals)
    }

    /// Extra units are smoothed as the others are; their threshold is [`EXTRA_UNIT_THRESHOLD`].
    fn apply_to_extra_units(
        &self,
        series: &Series,
        finals: &mut [FinalAffect],
    ) -> Result<(), PostprocessError> {
        let units = series
            .values()
            .iter()
            .flatten()
            .map(|affect| affect.extra_units.len())
            .max();
        let Some(units) = units.filter(|&units| units > 0) else {
            return Ok(());
        };
        for row in &mut *finals {
            row.affect.extra_units = vec![None; units].into();
        }
        for unit in 0..units {
            let of_unit = |affect: &Affect| affect.extra_units.get(unit).copied().flatten();
            let curve = one_unit(series, self.smoothing.action_units, self.fill_gap_s, of_unit)?;
            for (row, probability) in finals.iter_mut().zip(curve.into_iter().flatten()) {
                row.affect.extra_units[unit] = probability;
            }
        }
        for row in finals {
            let present = |probability: &Option<f32>| Some((*probability)? >= EXTRA_UNIT_THRESHOLD);
            row.extra_units = row.affect.extra_units.iter().map(present).collect();
        }
        Ok(())
    }
}

/// The probability from which on an action unit counts as present that ABAW has no threshold for.
pub const EXTRA_UNIT_THRESHOLD: f32 = 0.5;

fn has_all_or_no_units(affect: &Affect) -> bool {
    let mut units = affect.action_units.iter();
    units.clone().all(Option::is_some) || units.all(Option::is_none)
}

fn each(probabilities: Option<[f32; ACTION_UNITS]>) -> [Option<f32>; ACTION_UNITS] {
    probabilities.map_or([None; ACTION_UNITS], |probabilities| probabilities.map(Some))
}

/// A task's final values of every entry, `None` in a gap that is not filled.
pub type Curve<T> = Vec<Option<T>>;

/// Final valence and arousal of every entry; `None` if the series predicts none.
///
/// # Errors
/// A window in seconds on a series without a frame rate.
pub fn valence_arousal(
    series: &Series,
    kernel: Kernel,
    gap: FillGap,
) -> Result<Option<Curve<ValenceArousal>>, PostprocessError> {
    let curve = curve(series, kernel, gap, |affect| {
        affect.valence_arousal.map(|point| [point.valence, point.arousal])
    })?;
    let point = |row: [f64; 2]| {
        let [valence, arousal] = row.map(|value| value.clamp(-1.0, 1.0) as f32);
        ValenceArousal { valence, arousal }
    };
    Ok(curve.map(|rows| rows.into_iter().map(|row| row.map(point)).collect()))
}

/// Final probabilities of the expressions of every entry, sum 1; `None` if the series predicts none.
///
/// # Errors
/// A window in seconds on a series without a frame rate.
pub fn expression(
    series: &Series,
    kernel: Kernel,
    gap: FillGap,
) -> Result<Option<Curve<[f32; EXPRESSIONS]>>, PostprocessError> {
    let curve = curve(series, kernel, gap, |affect| {
        affect
            .expression
            .filter(|probabilities| probabilities.iter().sum::<f32>() > 0.0)
    })?;
    Ok(curve.map(|rows| rows.into_iter().map(|row| row.map(distribution)).collect()))
}

/// Final probabilities of the twelve action units of every entry; `None` if the series predicts none. An entry without
/// some of them counts as a gap.
///
/// # Errors
/// A window in seconds on a series without a frame rate.
pub fn action_units(
    series: &Series,
    kernel: Kernel,
    gap: FillGap,
) -> Result<Option<Curve<[f32; ACTION_UNITS]>>, PostprocessError> {
    let curve = curve(series, kernel, gap, Affect::all_action_units)?;
    let probabilities = |row: [f64; ACTION_UNITS]| row.map(|probability| probability.clamp(0.0, 1.0) as f32);
    Ok(curve.map(|rows| rows.into_iter().map(|row| row.map(probabilities)).collect()))
}

/// Final probabilities of one action unit of every entry; `None` if the series predicts none.
fn one_unit(
    series: &Series,
    kernel: Kernel,
    gap: FillGap,
    unit: impl Fn(&Affect) -> Option<f32>,
) -> Result<Option<Curve<f32>>, PostprocessError> {
    let curve = curve(series, kernel, gap, |affect| {
        unit(affect).map(|probability| [probability])
    })?;
    let probability = |[probability]: [f64; 1]| probability.clamp(0.0, 1.0) as f32;
    Ok(curve.map(|rows| rows.into_iter().map(|row| row.map(probability)).collect()))
}

/// One task's numbers, filled and smoothed; `None` if there are none. A prediction with a number that is not finite
/// counts as none: a single NaN would otherwise spread over its whole window.
fn curve<const N: usize>(
    series: &Series,
    kernel: Kernel,
    gap: FillGap,
    task: impl Fn(&Affect) -> Option<[f32; N]>,
) -> Result<Option<Curve<[f64; N]>>, PostprocessError> {
    let kernel = kernel.in_frames(series.frame_rate())?;
    let given: Vec<Option<[f64; N]>> = series
        .values()
        .iter()
        .map(|value| value.as_ref().and_then(&task))
        .map(|row| row.map(|row| row.map(f64::from)))
        .map(|row| row.filter(|row| row.iter().all(|number| number.is_finite())))
        .collect();
    if given.iter().all(Option::is_none) {
        return Ok(None);
    }
    let shots: Vec<Range<usize>> = series.shots().collect();
    let seconds = match gap {
        FillGap::All => {
            let filled = fill_and_smooth(kernel, series.frames(), &given, &shots);
            return Ok(filled.map(|filled| filled.into_iter().map(Some).collect()));
        }
        FillGap::UpTo(seconds) => seconds,
    };
    let mut curve = vec![None; given.len()];
    for stretch in series.stretches(&given, seconds) {
        let whole = 0..stretch.len();
        let frames = &series.frames()[stretch.clone()];
        let filled = fill_and_smooth(kernel, frames, &given[stretch.clone()], &[whole]);
        for (entry, row) in stretch.zip(filled.into_iter().flatten()) {
            curve[entry] = Some(row);
        }
    }
    Ok(Some(curve))
}

/// All entries filled, and smoothed within each shot; `None` if nothing is given.
fn fill_and_smooth<const N: usize>(
    kernel: ShotKernel,
    frames: &[FrameIndex],
    given: &[Option<[f64; N]>],
    shots: &[Range<usize>],
) -> Option<Vec<[f64; N]>> {
    if kernel.wants_gaps_filled() {
        let mut filled = fill_gaps(frames, given, shots.iter().cloned())?;
        for shot in shots.iter().cloned() {
            let smooth = kernel.smooth(&frames[shot.clone()], &filled[shot.clone()]);
            filled[shot].copy_from_slice(&smooth);
        }
        return Some(filled);
    }
    let mut given = given.to_vec();
    for shot in shots.iter().cloned() {
        let entries: Vec<usize> = shot.filter(|&entry| given[entry].is_some()).collect();
        let of_entries: Vec<FrameIndex> = entries.iter().map(|&entry| frames[entry]).collect();
        let rows: Vec<[f64; N]> = entries.iter().filter_map(|&entry| given[entry]).collect();
        for (entry, row) in entries.into_iter().zip(kernel.smooth(&of_entries, &rows)) {
            given[entry] = Some(row);
        }
    }
    fill_gaps(frames, &given, shots.iter().cloned())
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
