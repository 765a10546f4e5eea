//! The losses of training steps as numbers.

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor};

use super::device_reads::read_scalars;
use super::loss::Losses;

/// The losses of a step, or their mean over steps. A task without a valid label is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct LossValues {
    /// The weighted sum of the others, which is minimised.
    pub total: f64,
    /// `1 - (CCC of valence + CCC of arousal) / 2`.
    pub valence_arousal: Option<f64>,
    /// Cross-entropy.
    pub expression: Option<f64>,
    /// Binary cross-entropy.
    pub action_units: Option<f64>,
    /// The attention loss (arXiv 2407.12390), not yet weighted; `None` for a network without attention maps.
    pub attention: Option<f64>,
}

impl LossValues {
    /// The losses of a step and their weighted sum as numbers, in one copy from the device.
    ///
    /// # Errors
    /// libtorch's.
    pub fn of(total: &Tensor, losses: &Losses) -> Result<Self, TchError> {
        let parts = [
            &losses.attention,
            &losses.valence_arousal,
            &losses.expression,
            &losses.action_units,
        ];
        let scalars = [total].into_iter().chain(parts.into_iter().flatten());
        let mut numbers = read_scalars(scalars)?.into_iter();
        let mut next = || numbers.next().unwrap_or(f64::NAN);
        let total = next();
        let [attention, valence_arousal, expression, action_units] =
            parts.map(|loss| loss.as_ref().map(|_| next()));
        Ok(Self {
            total,
            valence_arousal,
            expression,
            action_units,
            attention,
        })
    }

    /// The weighted mean; that of a task is over the values that have it.
    pub fn mean(values: impl Iterator<Item = (LossValues, f64)> + Clone) -> LossValues {
        let mean = |of: &dyn Fn(&LossValues) -> Option<f64>| {
            let (mut sum, mut weights) = (0.0, 0.0);
            for (values, weight) in values.clone() {
                if let Some(value) = of(&values) {
                    sum += value * weight;
                    weights += weight;
                }
            }
            (weights > 0.0).then(|| sum / weights)
        };
        LossValues {
            total: mean(&|values| Some(values.total)).unwrap_or_default(),
            valence_arousal: mean(&|values| values.valence_arousal),
            expression: mean(&|values| values.expression),
            action_units: mean(&|values| values.action_units),
            attention: mean(&|values| values.attention),
        }
    }
}
