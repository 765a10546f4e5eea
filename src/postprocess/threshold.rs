//! Which action units are active: a threshold on each probability.

use crate::labels::ACTION_UNITS;
use serde::{Deserialize, Serialize};

/// The probabilities, each in [0, 1], from which on an action unit counts as active; ABAW order. In
/// settings an array of 12.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "[f64; ACTION_UNITS]", into = "[f64; ACTION_UNITS]")]
pub struct Thresholds([f64; ACTION_UNITS]);

impl Thresholds {
    /// The thresholds of the 12 action units; `None` if one lies outside [0, 1].
    pub fn new(thresholds: [f64; ACTION_UNITS]) -> Option<Self> {
        thresholds
            .iter()
            .all(|threshold| (0.0..=1.0).contains(threshold))
            .then_some(Self(thresholds))
    }

    /// The 12 numbers.
    pub fn values(&self) -> [f64; ACTION_UNITS] {
        self.0
    }

    /// `probability >= threshold` for each that has a probability. Compared in single precision, in which probabilities are
    /// stored, so that a stored 0.47 reaches a threshold of 0.47.
    pub fn decide(&self, probabilities: &[Option<f32>; ACTION_UNITS]) -> [Option<bool>; ACTION_UNITS] {
        std::array::from_fn(|unit| Some(probabilities[unit]? >= self.0[unit] as f32))
    }
}

impl Default for Thresholds {
    /// 0.5 for each: weights without thresholds of their own.
    fn default() -> Self {
        Self([0.5; ACTION_UNITS])
    }
}

impl TryFrom<[f64; ACTION_UNITS]> for Thresholds {
    type Error = &'static str;

    fn try_from(thresholds: [f64; ACTION_UNITS]) -> Result<Self, Self::Error> {
        Self::new(thresholds).ok_or("a threshold lies between 0 and 1")
    }
}

impl From<Thresholds> for [f64; ACTION_UNITS] {
    fn from(thresholds: Thresholds) -> Self {
        thresholds.0
    }
}
