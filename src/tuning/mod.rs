//! Finds smoothing and thresholds on labelled predictions, and estimates their gain on new videos.
//!
//! Settings are judged by cross-validation over videos: those found on the other folds are scored on the fold left out.
//! A setting is kept only if that gain is positive. To estimate the gain of all kept settings together, the whole
//! procedure (search and decision) is repeated without each fold in turn.

mod calibration;
mod candidate_tallies;
mod thresholds;
mod validation;

pub use calibration::{Calibration, Gain, SmoothingTrial, ThresholdTrial};
pub use thresholds::{STEPS, ThresholdCounts, threshold_at, thresholds_at};

use crate::frame::FrameIndex;
use crate::labels::{ActionUnit, PerTask};
use crate::metrics::{Annotation, TaskTallies};
use crate::postprocess::{FillGap, Kernel, PostprocessError, Series, Window};
use candidate_tallies::{CandidateChoice, CandidateTallies};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use thresholds::HALF;
use validation::{Comparison, Findings, SCORES, Sample, cross_validate, merged_tallies};

/// Why tuning is impossible.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TuningError {
    /// Fewer than 3 folds.
    #[error("tuning needs at least 3 folds, not {0}")]
    TooFewFolds(usize),
    /// Fewer labelled videos than folds.
    #[error("{videos} labelled videos do not fill {folds} folds, of which there must be at least 3")]
    TooFewVideos {
        /// Labelled videos.
        videos: usize,
        /// The folds asked for.
        folds: usize,
    },
    /// A candidate cannot be applied to a series.
    #[error(transparent)]
    Postprocess(#[from] PostprocessError),
}

/// One face's predictions and labels.
#[derive(Debug, Clone)]
pub struct LabelledVideo {
    video: String,
    series: Series,
    /// The longest gap that is filled by post-processing.
    gap: FillGap,
    labels: Vec<(usize, Annotation)>,
}

impl LabelledVideo {
    /// `video` is the name of the file: two people in one video share it, and are never in different
    /// folds. Labelled frames that the series lacks become gaps; a frame labelled twice counts twice.
    pub fn new(video: String, series: Series, gap: FillGap, labels: Vec<(FrameIndex, Annotation)>) -> Self {
        let series = series.with_gaps_at(labels.iter().map(|(frame, _)| *frame));
        let labels = labels
            .into_iter()
            .filter(|(_, label)| *label != Annotation::default())
            .filter_map(|(frame, label)| Some((series.position(frame)?, label)))
            .collect();
        Self {
            video,
            series,
            gap,
            labels,
        }
    }
}

/// How many videos have labels; two people of one video count once.
pub fn count_labelled(videos: &[LabelledVideo]) -> usize {
    let labelled = videos.iter().filter(|video| !video.labels.is_empty());
    labelled.map(|video| &video.video).collect::<BTreeSet<_>>().len()
}

/// How to tune.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TuningSettings {
    /// Groups of videos, at least 3.
    pub folds: usize,
    /// The seed of folds and bootstrap.
    pub seed: u64,
    /// Draws of the bootstrap behind each interval.
    pub draws: usize,
    /// The kernels to try beside no smoothing; of equals the first is taken.
    pub candidates: PerTask<Vec<Kernel>>,
}

impl Default for TuningSettings {
    /// 5 folds, 1000 draws; for every task boxes of 3 to 100 frames on either side, and HSEmotion's kernel
    /// for sparse lists with 5 to 50 entries.
    fn default() -> Self {
        let boxes = [3, 5, 10, 25, 50, 100].map(|frames| Kernel::Box {
            half_width: Window::Frames(frames),
        });
        let sparse = [5, 10, 25, 50].map(|entries| Kernel::FrameDistance { sigma: 1e5, entries });
        let candidates: Vec<Kernel> = boxes.into_iter().chain(sparse).collect();
        Self {
            folds: 5,
            seed: 1,
            draws: 1000,
            candidates: PerTask::all(candidates),
        }
    }
}

/// Tunes everything that has labels and predictions. `date` is copied to the result.
///
/// # Errors
/// Fewer than 3 folds, fewer labelled videos than folds, candidates in seconds on a series without a
/// frame rate.
pub fn tune(
    videos: &[LabelledVideo],
    settings: &TuningSettings,
    date: &str,
) -> Result<Calibration, TuningError> {
    if settings.folds < 3 {
        return Err(TuningError::TooFewFolds(settings.folds));
    }
    let candidates = with_none_first(&settings.candidates);
    let mut tallies: BTreeMap<&str, CandidateTallies> = BTreeMap::new();
    for video in videos.iter().filter(|video| !video.labels.is_empty()) {
        tallies
            .entry(&video.video)
            .or_insert_with(|| CandidateTallies::none(&candidates))
            .count(video, &candidates)?;
    }
    if tallies.len() < settings.folds {
        return Err(TuningError::TooFewVideos {
            videos: tallies.len(),
            folds: settings.folds,
        });
    }
    let folds = assign_folds(tallies.len(), settings.folds, settings.seed);
    let samples: Vec<Sample> = tallies
        .values()
        .zip(folds)
        .map(|(tallies, fold)| Sample { tallies, fold })
        .collect();
    Ok(calibration(&samples, &candidates, settings, date))
}

/// Puts "no smoothing" first in each list of candidates.
fn with_none_first(candidates: &PerTask<Vec<Kernel>>) -> PerTask<Vec<Kernel>> {
    candidates
        .as_ref()
        .map(|kernels| [&[Kernel::None {}], &kernels[..]].concat())
}

/// The fold of each video: folds differ by one video at most, and are drawn at random.
fn assign_folds(videos: usize, folds: usize, seed: u64) -> Vec<usize> {
    let mut assigned: Vec<usize> = (0..videos).map(|video| video % folds).collect();
    assigned.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    assigned
}

/// The settings found, with their gains.
fn calibration(
    samples: &[Sample],
    candidates: &PerTask<Vec<Kernel>>,
    settings: &TuningSettings,
    date: &str,
) -> Calibration {
    let raw = merged_tallies(samples).under(&CandidateChoice::RAW);
    let found = Findings::on(samples);
    let total = cross_validate(samples, |samples| Findings::on(samples).kept);
    let total = Comparison::new(samples, &total, |_| CandidateChoice::RAW, |kept| *kept);

    let (best, kept) = (found.best, found.kept);
    let smoothing = best.smoothing.zip(kept.smoothing).zip(candidates.as_ref());
    let threshold_trial = |unit: ActionUnit| {
        let (best, kept) = (best.thresholds[unit.index()], kept.thresholds[unit.index()]);
        let f1 = |tallies: &TaskTallies| Some(tallies.action_units.f1()[unit.index()]);
        ThresholdTrial {
            unit: unit.name(),
            best: threshold_at(best),
            gain: found.thresholds.gain(f1, settings.draws, settings.seed),
            kept: best == kept && best != HALF[unit.index()],
        }
    };
    Calibration {
        date: date.to_owned(),
        videos: samples.len(),
        frames: PerTask {
            valence_arousal: raw.valence_arousal.frames(),
            expression: raw.expression.frames(),
            action_units: raw.action_units.frames(),
        },
        folds: settings.folds,
        seed: settings.seed,
        thresholds: (kept.thresholds != HALF).then(|| thresholds_at(&kept.thresholds)),
        smoothing: smoothing.map(|((_, kept), kernels)| (kept > 0).then(|| kernels[kept])),
        total: total.gain(|tallies| tallies.scores().p, settings.draws, settings.seed),
        smoothing_trials: SCORES.zip(smoothing).map(|(score, ((best, kept), kernels))| {
            score(&raw).map(|_| SmoothingTrial {
                best: kernels[best],
                gain: found.smoothing.gain(score, settings.draws, settings.seed),
                kept: kept > 0,
            })
        }),
        threshold_trials: match raw.action_units.score() {
            Some(_) => ActionUnit::ALL.map(threshold_trial).to_vec(),
            None => Vec::new(),
        },
    }
}
