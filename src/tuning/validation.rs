//! Cross-validation over videos: the gain of a setting on videos it was not tuned on, and the settings that are kept.

use super::Gain;
use super::candidate_tallies::{CandidateChoice, CandidateTallies, Fit};
use super::thresholds::HALF;
use crate::labels::PerTask;
use crate::metrics::{Interval, TaskTallies, interval};

/// A labelled video and its fold.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    pub tallies: &'a CandidateTallies,
    pub fold: usize,
}

/// Computes a score of tallies; an undefined one counts as 0 in a gain.
pub type Score = fn(&TaskTallies) -> Option<f64>;

/// The score of each task.
pub const SCORES: PerTask<Score> = PerTask {
    valence_arousal: |tallies| tallies.valence_arousal.score(),
    expression: |tallies| tallies.expression.score(),
    action_units: |tallies| tallies.action_units.score(),
};

/// The result of a procedure on all samples, and for each sample its result on the other folds.
#[derive(Debug, Clone)]
pub struct CrossValidated<T> {
    pub on_all: T,
    /// One a sample; equal within a fold.
    pub unseen: Vec<T>,
}

/// Runs the procedure on all samples, and again without each fold.
pub fn cross_validate<T: Copy>(samples: &[Sample], procedure: impl Fn(&[Sample]) -> T) -> CrossValidated<T> {
    let on_all = procedure(samples);
    let folds = samples.iter().map(|sample| sample.fold + 1).max().unwrap_or(0);
    let without: Vec<T> = (0..folds)
        .map(|fold| {
            let others: Vec<Sample> = samples
                .iter()
                .filter(|sample| sample.fold != fold)
                .copied()
                .collect();
            procedure(&others)
        })
        .collect();
    CrossValidated {
        on_all,
        unseen: samples.iter().map(|sample| without[sample.fold]).collect(),
    }
}

/// The tallies of samples without a setting and with it.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// All samples, with the setting tuned on them.
    tuning: [TaskTallies; 2],
    /// Each sample, with the setting tuned on the other folds.
    held_out: Vec<[TaskTallies; 2]>,
}

impl Comparison {
    /// Compares the choices that `without` and `with` make of a procedure's results.
    pub fn new<T>(
        samples: &[Sample],
        found: &CrossValidated<T>,
        without: impl Fn(&T) -> CandidateChoice,
        with: impl Fn(&T) -> CandidateChoice,
    ) -> Self {
        let under = |sample: &Sample, found: &T| {
            [without(found), with(found)].map(|choice| sample.tallies.under(&choice))
        };
        let tuning: Vec<_> = samples
            .iter()
            .map(|sample| under(sample, &found.on_all))
            .collect();
        let held_out = samples
            .iter()
            .zip(&found.unseen)
            .map(|(sample, found)| under(sample, found));
        Self {
            tuning: merged(&tuning),
            held_out: held_out.collect(),
        }
    }

    /// The held-out gain in a score.
    pub fn held_out(&self, score: impl Fn(&TaskTallies) -> Option<f64>) -> f64 {
        difference(&merged(&self.held_out), score)
    }

    /// The gain in a score, on the tuning videos and held out, with its interval.
    pub fn gain(&self, score: impl Fn(&TaskTallies) -> Option<f64>, draws: usize, seed: u64) -> Gain {
        let held_out = self.held_out(&score);
        let drawn = |videos: &[usize]| {
            let drawn = merged(videos.iter().map(|&video| &self.held_out[video]));
            Some(difference(&drawn, &score))
        };
        Gain {
            tuning: difference(&self.tuning, &score),
            held_out,
            // Without any draw the interval is the number itself.
            interval: interval(self.held_out.len(), draws, seed, drawn).unwrap_or(Interval {
                low: held_out,
                high: held_out,
            }),
        }
    }
}

fn merged<'a>(pairs: impl IntoIterator<Item = &'a [TaskTallies; 2]>) -> [TaskTallies; 2] {
    let mut sum = [TaskTallies::default(); 2];
    for [without, with] in pairs {
        sum[0].merge(without);
        sum[1].merge(with);
    }
    sum
}

fn difference([without, with]: &[TaskTallies; 2], score: impl Fn(&TaskTallies) -> Option<f64>) -> f64 {
    score(with).unwrap_or(0.0) - score(without).unwrap_or(0.0)
}

/// The tallies of all samples together; there must be one.
pub fn merged_tallies(samples: &[Sample]) -> CandidateTallies {
    let mut whole = samples[0].tallies.clone();
    for sample in &samples[1..] {
        whole.merge(sample.tallies);
    }
    whole
}

/// The best settings on a set of samples, and those that are kept.
#[derive(Debug, Clone)]
pub struct Findings {
    /// The best smoothing on all samples, and the best thresholds with the smoothing that is kept.
    pub best: CandidateChoice,
    /// The best smoothing of every task against none, with tuned thresholds on both sides.
    pub smoothing: Comparison,
    /// The best thresholds with the smoothing that is kept, against 0.5 with the same.
    pub thresholds: Comparison,
    /// Every setting whose held-out gain is positive; nothing in place of the others.
    pub kept: CandidateChoice,
}

impl Findings {
    pub fn on(samples: &[Sample]) -> Self {
        let fits = cross_validate(samples, |samples| Fit::of(&merged_tallies(samples)));
        let smoothing = Comparison::new(samples, &fits, Fit::unsmoothed, |fit| fit.best);
        let best_smoothing = fits.on_all.best.smoothing;
        let kept_smoothing =
            SCORES.zip(best_smoothing).map(
                |(score, place)| {
                    if smoothing.held_out(score) > 0.0 { place } else { 0 }
                },
            );

        let tuned = |fit: &Fit| {
            if kept_smoothing.action_units > 0 {
                fit.best
            } else {
                fit.unsmoothed()
            }
        };
        let at_half = |fit: &Fit| CandidateChoice {
            thresholds: HALF,
            ..tuned(fit)
        };
        let thresholds = Comparison::new(samples, &fits, at_half, tuned);
        let best_thresholds = tuned(&fits.on_all).thresholds;
        let kept_thresholds = std::array::from_fn(|unit| {
            let holds = thresholds.held_out(|tallies| Some(tallies.action_units.f1()[unit])) > 0.0;
            if holds { best_thresholds[unit] } else { HALF[unit] }
        });

        Self {
            smoothing,
            thresholds,
            best: CandidateChoice {
                smoothing: best_smoothing,
                thresholds: best_thresholds,
            },
            kept: CandidateChoice {
                smoothing: kept_smoothing,
                thresholds: kept_thresholds,
            },
        }
    }
}
