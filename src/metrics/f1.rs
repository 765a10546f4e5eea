//! F1 of the expressions and of the action units, streamed.

use crate::labels::{ACTION_UNITS, EXPRESSIONS, Expression};

/// Frames of one class: right, wrong and missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct F1Counts {
    /// Labelled and predicted.
    pub true_positives: u64,
    /// Predicted, not labelled.
    pub false_positives: u64,
    /// Labelled, not predicted.
    pub false_negatives: u64,
}

impl F1Counts {
    fn add(&mut self, label: bool, prediction: bool) {
        self.true_positives += u64::from(label && prediction);
        self.false_positives += u64::from(!label && prediction);
        self.false_negatives += u64::from(label && !prediction);
    }

    /// Adds the frames of another.
    pub fn merge(&mut self, other: &Self) {
        self.true_positives += other.true_positives;
        self.false_positives += other.false_positives;
        self.false_negatives += other.false_negatives;
    }

    /// `2 TP / (2 TP + FP + FN)`; `None` for 0/0: neither in labels nor in predictions.
    pub fn f1(&self) -> Option<f64> {
        let both = 2 * self.true_positives;
        let all = both + self.false_positives + self.false_negatives;
        (all > 0).then(|| both as f64 / all as f64)
    }
}

/// The confusion matrix of the expressions, in frames: `[label][prediction]`, class order; the last
/// column counts those without a prediction.
pub type Confusion = [[u64; EXPRESSIONS + 1]; EXPRESSIONS];

/// The counts of every expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExpressionTally {
    confusion: Confusion,
}

impl ExpressionTally {
    /// Counts one annotated frame; no prediction counts as a class of its own, so as a miss.
    pub fn add(&mut self, label: Expression, prediction: Option<Expression>) {
        let column = prediction.map_or(EXPRESSIONS, Expression::index);
        self.confusion[label.index()][column] += 1;
    }

    /// Adds the frames of another tally.
    pub fn merge(&mut self, other: &Self) {
        let counts = self.confusion.as_flattened_mut().iter_mut();
        for (count, more) in counts.zip(other.confusion.as_flattened()) {
            *count += more;
        }
    }

    /// The confusion matrix.
    pub fn confusion(&self) -> &Confusion {
        &self.confusion
    }

    /// Annotated frames.
    pub fn frames(&self) -> u64 {
        self.confusion.as_flattened().iter().sum()
    }

    /// Annotated frames without a prediction.
    pub fn unanswered(&self) -> u64 {
        self.confusion.iter().map(|row| row[EXPRESSIONS]).sum()
    }

    fn counts(&self, class: usize) -> F1Counts {
        let true_positives = self.confusion[class][class];
        let labelled: u64 = self.confusion[class].iter().sum();
        let predicted: u64 = self.confusion.iter().map(|row| row[class]).sum();
        F1Counts {
            true_positives,
            false_positives: predicted - true_positives,
            false_negatives: labelled - true_positives,
        }
    }

    /// F1 of each expression in class order, 0 where undefined.
    pub fn f1(&self) -> [f64; EXPRESSIONS] {
        std::array::from_fn(|class| self.counts(class).f1().unwrap_or(0.0))
    }

    /// The mean F1 of all 8; `None` without any prediction.
    pub fn score(&self) -> Option<f64> {
        let sum: f64 = self.f1().iter().sum();
        (self.frames() > self.unanswered()).then(|| sum / EXPRESSIONS as f64)
    }

    /// The mean F1 of the expressions that occur in labels or predictions (scikit-learn's macro F1);
    /// `None` if none does.
    pub fn macro_of_occurring(&self) -> Option<f64> {
        let defined: Vec<f64> = (0..EXPRESSIONS)
            .filter_map(|class| self.counts(class).f1())
            .collect();
        (!defined.is_empty()).then(|| defined.iter().sum::<f64>() / defined.len() as f64)
    }
}

/// The counts of every active action unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ActionUnitTally {
    units: [F1Counts; ACTION_UNITS],
    frames: u64,
    unanswered: u64,
}

impl ActionUnitTally {
    /// A tally of counts made elsewhere, over `frames` annotated frames of which `unanswered` lack a
    /// prediction.
    pub fn from_counts(units: [F1Counts; ACTION_UNITS], frames: u64, unanswered: u64) -> Self {
        Self {
            units,
            frames,
            unanswered,
        }
    }

    /// Counts one annotated frame; no prediction counts as no active unit.
    pub fn add(&mut self, label: [bool; ACTION_UNITS], prediction: Option<[bool; ACTION_UNITS]>) {
        self.frames += 1;
        self.unanswered += u64::from(prediction.is_none());
        let prediction = prediction.unwrap_or_default();
        for (unit, counts) in self.units.iter_mut().enumerate() {
            counts.add(label[unit], prediction[unit]);
        }
    }

    /// Adds the frames of another tally.
    pub fn merge(&mut self, other: &Self) {
        for (counts, more) in self.units.iter_mut().zip(&other.units) {
            counts.merge(more);
        }
        self.frames += other.frames;
        self.unanswered += other.unanswered;
    }

    /// Annotated frames.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Annotated frames without a prediction.
    pub fn unanswered(&self) -> u64 {
        self.unanswered
    }

    /// F1 of each active unit in ABAW order, 0 where undefined.
    pub fn f1(&self) -> [f64; ACTION_UNITS] {
        self.units.map(|counts| counts.f1().unwrap_or(0.0))
    }

    /// The mean F1 of all 12; `None` without any prediction.
    pub fn score(&self) -> Option<f64> {
        let sum: f64 = self.f1().iter().sum();
        (self.frames > self.unanswered).then(|| sum / ACTION_UNITS as f64)
    }
}
