//! The tallies of videos under every candidate setting, made once.

use super::LabelledVideo;
use super::thresholds::{GridSteps, HALF, ThresholdCounts};
use crate::affwild2::{Answers, Origin};
use crate::frame::FrameIndex;
use crate::labels::{Expression, PerTask};
use crate::metrics::{ExpressionTally, TaskTallies, ValenceArousalTally};
use crate::postprocess::{self, Curve, Kernel, PostprocessError};

/// One candidate for every setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CandidateChoice {
    /// An index in each task's list of kernels; 0 is no smoothing.
    pub smoothing: PerTask<usize>,
    /// A step of the grid for each action unit.
    pub thresholds: GridSteps,
}

impl CandidateChoice {
    /// Nothing tuned: no smoothing, thresholds of 0.5.
    pub const RAW: CandidateChoice = CandidateChoice {
        smoothing: PerTask {
            valence_arousal: 0,
            expression: 0,
            action_units: 0,
        },
        thresholds: HALF,
    };
}

/// The tallies of one or several videos, one for each candidate.
#[derive(Debug, Clone)]
pub struct CandidateTallies {
    /// One for each kernel.
    pub valence_arousal: Vec<ValenceArousalTally>,
    /// One for each kernel.
    pub expression: Vec<ExpressionTally>,
    /// One for each kernel, for all thresholds.
    pub action_units: Vec<ThresholdCounts>,
}

impl CandidateTallies {
    /// Tallies of no video.
    pub fn none(candidates: &PerTask<Vec<Kernel>>) -> Self {
        Self {
            valence_arousal: vec![ValenceArousalTally::default(); candidates.valence_arousal.len()],
            expression: vec![ExpressionTally::default(); candidates.expression.len()],
            action_units: vec![ThresholdCounts::default(); candidates.action_units.len()],
        }
    }

    /// Smooths the video with every candidate and counts its labelled frames, each with the answer of a submission.
    ///
    /// # Errors
    /// A candidate in seconds on a series without a frame rate.
    pub fn count(
        &mut self,
        video: &LabelledVideo,
        candidates: &PerTask<Vec<Kernel>>,
    ) -> Result<(), PostprocessError> {
        let LabelledVideo { series, gap, .. } = video;
        let frames = series.frames();
        for (tally, &kernel) in self.valence_arousal.iter_mut().zip(&candidates.valence_arousal) {
            let answers = answers(frames, postprocess::valence_arousal(series, kernel, *gap)?);
            for (entry, label) in &video.labels {
                if let Some(point) = label.valence_arousal {
                    tally.add(point, known(answers.interpolated(frames[*entry])));
                }
            }
        }
        for (tally, &kernel) in self.expression.iter_mut().zip(&candidates.expression) {
            let answers = answers(frames, postprocess::expression(series, kernel, *gap)?);
            for (entry, label) in &video.labels {
                if let Some(class) = label.expression {
                    let probabilities = known(answers.nearest(frames[*entry], Default::default()));
                    tally.add(class, probabilities.as_ref().map(Expression::most_probable));
                }
            }
        }
        for (counts, &kernel) in self.action_units.iter_mut().zip(&candidates.action_units) {
            let answers = answers(frames, postprocess::action_units(series, kernel, *gap)?);
            for (entry, label) in &video.labels {
                if let Some(units) = label.action_units {
                    counts.add(units, known(answers.nearest(frames[*entry], Default::default())));
                }
            }
        }
        Ok(())
    }

    /// Adds the frames of other videos.
    pub fn merge(&mut self, other: &CandidateTallies) {
        for (tally, more) in self.valence_arousal.iter_mut().zip(&other.valence_arousal) {
            tally.merge(more);
        }
        for (tally, more) in self.expression.iter_mut().zip(&other.expression) {
            tally.merge(more);
        }
        for (counts, more) in self.action_units.iter_mut().zip(&other.action_units) {
            counts.merge(more);
        }
    }

    /// The tallies under one choice.
    pub fn under(&self, choice: &CandidateChoice) -> TaskTallies {
        TaskTallies {
            valence_arousal: self.valence_arousal[choice.smoothing.valence_arousal],
            expression: self.expression[choice.smoothing.expression],
            action_units: self.action_units[choice.smoothing.action_units].tally(&choice.thresholds),
        }
    }
}

/// The answers that a submission makes of a curve. In a gap that is not filled they are those of other frames.
fn answers<T: Copy>(frames: &[FrameIndex], curve: Option<Curve<T>>) -> Answers<T> {
    let mut answers = Answers::default();
    for (frame, value) in frames.iter().zip(curve.into_iter().flatten()) {
        answers.push(*frame, value);
    }
    answers
}

/// `None` for the answer of a video without any prediction.
fn known<T>((value, origin): (T, Origin)) -> Option<T> {
    (origin != Origin::Neutral).then_some(value)
}

/// The best of everything on a set of videos.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// The best candidate of each task (the first of equals) and the best thresholds with it. The
    /// candidates of the action units are compared each with its own best thresholds, since
    /// smoothing moves probabilities.
    pub best: CandidateChoice,
    /// The best thresholds without any smoothing.
    pub raw_thresholds: GridSteps,
}

impl Fit {
    pub fn of(tallies: &CandidateTallies) -> Self {
        let thresholds: Vec<GridSteps> = tallies.action_units.iter().map(ThresholdCounts::best).collect();
        let action_units = first_best(
            tallies
                .action_units
                .iter()
                .zip(&thresholds)
                .map(|(counts, steps)| counts.tally(steps).score()),
        );
        Self {
            best: CandidateChoice {
                smoothing: PerTask {
                    valence_arousal: first_best(
                        tallies.valence_arousal.iter().map(ValenceArousalTally::score),
                    ),
                    expression: first_best(tallies.expression.iter().map(ExpressionTally::score)),
                    action_units,
                },
                thresholds: thresholds[action_units],
            },
            raw_thresholds: thresholds[0],
        }
    }

    /// The best choice without any smoothing.
    pub fn unsmoothed(&self) -> CandidateChoice {
        CandidateChoice {
            thresholds: self.raw_thresholds,
            ..CandidateChoice::RAW
        }
    }
}

fn first_best(scores: impl Iterator<Item = Option<f64>>) -> usize {
    let mut best = (0, None);
    for (place, score) in scores.enumerate() {
        // `None`, a task without predictions, is less than any score.
        if score > best.1 {
            best = (place, score);
        }
    }
    best.0
}
