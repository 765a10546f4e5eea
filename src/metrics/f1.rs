//! F1 of the expressions and of the action units, streamed.

use crate::labels::{ACTION_UNITS, EXPRESSIONS, Expression};

/// How often one class was found, missed, and seen where it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct F1Counts {
    pub true_positives: u64,
    pub false_positives: u64,
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

/// The counts of every expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExpressionTally {
    classes: [F1Counts; EXPRESSIONS],
    frames: u64,
    unanswered: u64,
}

impl ExpressionTally {
    /// Counts one annotated frame; no prediction counts as a class of its own, so as a miss.
    pub fn add(&mut self, label: Expression, prediction: Option<Expression>) {
        self.frames += 1;
        self.unanswered += u64::from(prediction.is_none());
        for (counts, class) in self.classes.iter_mut().zip(Expression::ALL) {
            counts.add(label == class, prediction == Some(class));
        }
    }

    /// Adds the frames of another tally.
    pub fn merge(&mut self, other: &Self) {
        for (counts, more) in self.classes.iter_mut().zip(&other.classes) {
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

    /// F1 of each expression in class order, 0 where undefined.
    pub fn f1(&self) -> [f64; EXPRESSIONS] {
        self.classes.map(|counts| counts.f1().unwrap_or(0.0))
    }

    /// The mean F1 of all 8; `None` without any prediction.
    pub fn score(&self) -> Option<f64> {
        let sum: f64 = self.f1().iter().sum();
        (self.frames > self.unanswered).then(|| sum / EXPRESSIONS as f64)
    }

    /// The mean F1 of the expressions that occur in labels or predictions (scikit-learn's macro F1);
    /// `None` if none does.
    pub fn macro_of_occurring(&self) -> Option<f64> {
        let defined: Vec<f64> = self.classes.iter().filter_map(F1Counts::f1).collect();
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
