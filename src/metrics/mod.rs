//! The scores of the ABAW challenge: CCC of valence and arousal, F1 of expressions and action units,
//! their sum P.
//!
//! Frames are pooled over all videos. A [`Tally`] holds what the scores need in a few numbers and can
//! be merged: one for each video serves the whole set, the bootstrap over videos and cross-validation.
//!
//! ```
//! use abaw::labels::Expression;
//! use abaw::metrics::{Annotation, Tally};
//!
//! let class = |expression| Annotation {
//!     expression: Some(expression),
//!     ..Annotation::default()
//! };
//! let mut tally = Tally::default();
//! tally.add(&class(Expression::Fear), &class(Expression::Fear));
//! tally.add(&class(Expression::Anger), &class(Expression::Fear));
//! let scores = tally.report().per_task;
//! // F1 of fear is 2/3, of the other seven 0; P is the mean over all eight.
//! assert_eq!(scores.expression, Some(2.0 / 3.0 / 8.0));
//! assert_eq!(scores.p, Some(2.0 / 3.0 / 8.0));
//! ```

mod bootstrap;
mod concordance;
mod f1;
mod leave_one_out;

pub use bootstrap::{Interval, Intervals, ReportIntervals, interval, intervals};
pub use concordance::{Concordance, ValenceArousalTally};
pub use f1::{ActionUnitTally, Confusion, ExpressionTally, F1Counts};
pub use leave_one_out::{LeftOutVideo, leave_one_out};

use crate::labels::{ACTION_UNITS, EXPRESSIONS, Expression, ValenceArousal};
use serde::{Deserialize, Serialize};

/// A label or a decision for one face in one frame. `None`: not annotated, or not predicted. Action
/// units count only if all 12 are annotated.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Annotation {
    /// Both in [-1, 1].
    pub valence_arousal: Option<ValenceArousal>,
    /// One of eight.
    pub expression: Option<Expression>,
    /// Which units are active, in ABAW order.
    pub action_units: Option<[bool; ACTION_UNITS]>,
}

/// One tally for each task.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct TaskTallies {
    /// Of valence and arousal.
    pub valence_arousal: ValenceArousalTally,
    /// Of the expressions.
    pub expression: ExpressionTally,
    /// Of the action units.
    pub action_units: ActionUnitTally,
}

impl TaskTallies {
    fn add(&mut self, label: &Annotation, prediction: &Annotation) {
        if let Some(point) = label.valence_arousal {
            self.valence_arousal.add(point, prediction.valence_arousal);
        }
        if let Some(class) = label.expression {
            self.expression.add(class, prediction.expression);
        }
        if let Some(units) = label.action_units {
            self.action_units.add(units, prediction.action_units);
        }
    }

    /// Adds the frames of another.
    pub fn merge(&mut self, other: &Self) {
        self.valence_arousal.merge(&other.valence_arousal);
        self.expression.merge(&other.expression);
        self.action_units.merge(&other.action_units);
    }

    /// All frames of several tallies.
    pub fn merged<'a>(tallies: impl IntoIterator<Item = &'a TaskTallies>) -> TaskTallies {
        let mut whole = TaskTallies::default();
        for tally in tallies {
            whole.merge(tally);
        }
        whole
    }

    /// The scores of the frames added so far.
    pub fn scores(&self) -> Scores {
        let ccc_valence = self.valence_arousal.valence().ccc();
        let ccc_arousal = self.valence_arousal.arousal().ccc();
        let va = self.valence_arousal.score();
        let expression = self.expression.score();
        let au = self.action_units.score();
        Scores {
            ccc_valence,
            ccc_arousal,
            va,
            f1_expression: expression.map(|_| self.expression.f1()),
            expression,
            expression_sklearn: expression.and_then(|_| self.expression.macro_of_occurring()),
            f1_au: au.map(|_| self.action_units.f1()),
            au,
            p: [va, expression, au]
                .into_iter()
                .flatten()
                .reduce(|sum, score| sum + score),
            frames: Frames {
                va: self.valence_arousal.frames(),
                expression: self.expression.frames(),
                au: self.action_units.frames(),
            },
            unanswered: Frames {
                va: self.valence_arousal.unanswered(),
                expression: self.expression.unanswered(),
                au: self.action_units.unanswered(),
            },
        }
    }
}

/// A tally of labelled frames: with one mask for each task, and strict.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tally {
    /// Every task on the frames that are annotated for it.
    pub per_task: TaskTallies,
    /// Only the frames that are annotated for all three, as in the paper that introduced the challenge.
    pub strict: TaskTallies,
}

impl Tally {
    /// Counts one frame. A task that is annotated but not predicted counts as a wrong answer: valence and
    /// arousal 0, no expression, no active unit.
    pub fn add(&mut self, label: &Annotation, prediction: &Annotation) {
        self.per_task.add(label, prediction);
        if label.valence_arousal.is_some() && label.expression.is_some() && label.action_units.is_some() {
            self.strict.add(label, prediction);
        }
    }

    /// Adds the frames of another tally.
    pub fn merge(&mut self, other: &Tally) {
        self.per_task.merge(&other.per_task);
        self.strict.merge(&other.strict);
    }

    /// All frames of several tallies.
    pub fn merged<'a>(tallies: impl IntoIterator<Item = &'a Tally>) -> Tally {
        let mut whole = Tally::default();
        for tally in tallies {
            whole.merge(tally);
        }
        whole
    }

    /// Both reports.
    pub fn report(&self) -> Report {
        Report {
            per_task: self.per_task.scores(),
            strict: self.strict.scores(),
        }
    }
}

/// The scores with one mask a task and strict, side by side; as JSON what `abaw evaluate --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// With one mask for each task.
    pub per_task: Scores,
    /// On frames annotated for all three tasks.
    pub strict: Scores,
}

/// The scores of a set of frames. A task without labels, or whose labelled frames all lack a
/// prediction, is `None`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// CCC of valence in [-1, 1]. `None` also for 0/0: labels and predictions constant and equal.
    pub ccc_valence: Option<f64>,
    /// CCC of arousal, as `ccc_valence`.
    pub ccc_arousal: Option<f64>,
    /// The mean of both, an undefined one counted as 0.
    pub va: Option<f64>,
    /// F1 of each expression, class order; 0 for one that occurs neither in labels nor in predictions.
    pub f1_expression: Option<[f64; EXPRESSIONS]>,
    /// Their mean over all 8.
    pub expression: Option<f64>,
    /// Their mean over those that occur in labels or predictions (scikit-learn's macro F1); no part
    /// of the JSON.
    #[serde(skip)]
    pub expression_sklearn: Option<f64>,
    /// F1 of each active unit, ABAW order; 0 where undefined.
    pub f1_au: Option<[f64; ACTION_UNITS]>,
    /// Their mean over all 12.
    pub au: Option<f64>,
    /// P: the sum of `va`, `expression` and `au`; a task that is `None` counts as 0, unless all three are.
    pub p: Option<f64>,
    /// Labelled frames a task.
    pub frames: Frames,
    /// Labelled frames a task that lack a prediction; no part of the JSON.
    #[serde(skip)]
    pub unanswered: Frames,
}

/// Numbers of frames, one a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Frames {
    /// Of valence and arousal.
    pub va: u64,
    /// Of the expressions.
    pub expression: u64,
    /// Of the action units.
    pub au: u64,
}
