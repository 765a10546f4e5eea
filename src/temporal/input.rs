//! The numbers of a face that a temporal network sees, on the scale of its training data.

use half::f16;

use crate::labels::{ACTION_UNITS, Affect, EXPRESSIONS};
use crate::model::FEATURE;

/// Outputs for a frame: valence, arousal, eight expressions, twelve action units.
pub const OUTPUTS: usize = 2 + EXPRESSIONS + ACTION_UNITS;
/// Numbers of a face: its feature, then the raw outputs.
pub const NUMBERS: usize = FEATURE + OUTPUTS;
/// Inputs of the network: the numbers on their scale, and 1 where a face was seen.
pub const INPUTS: usize = NUMBERS + 1;

/// The numbers of a face in a frame.
pub type FaceNumbers = [f32; NUMBERS];

/// A face's feature, then its raw valence, arousal, expressions and action units; 0 where there is no output. `None`
/// if one of them is not finite: such a face counts as not seen.
pub fn face_numbers(feature: &[f16; FEATURE], raw: &Affect) -> Option<FaceNumbers> {
    let mut numbers = [0.0; NUMBERS];
    let (of_feature, outputs) = numbers.split_at_mut(FEATURE);
    for (number, half) in of_feature.iter_mut().zip(feature) {
        *number = half.to_f32();
    }
    let (point, outputs) = outputs.split_at_mut(2);
    let (expression, action_units) = outputs.split_at_mut(EXPRESSIONS);
    if let Some(raw) = raw.valence_arousal {
        point.copy_from_slice(&[raw.valence, raw.arousal]);
    }
    if let Some(raw) = raw.expression {
        expression.copy_from_slice(&raw);
    }
    for (unit, raw) in action_units.iter_mut().zip(raw.action_units) {
        *unit = raw.unwrap_or_default();
    }
    numbers.iter().all(|number| number.is_finite()).then_some(numbers)
}

/// The scale of the inputs: mean 0 and standard deviation 1 over the faces of the training data.
#[derive(Debug, Clone, PartialEq)]
pub struct InputScale {
    /// [`NUMBERS`] means.
    pub mean: Vec<f32>,
    /// [`NUMBERS`] factors: 1 over the standard deviation.
    pub factor: Vec<f32>,
}

impl InputScale {
    /// Writes the [`INPUTS`] inputs of a frame; without a face all are 0.
    pub fn write(&self, face: Option<&FaceNumbers>, inputs: &mut [f32]) {
        inputs.fill(0.0);
        let Some(face) = face else { return };
        let scales = self.mean.iter().zip(&self.factor);
        for ((input, number), (mean, factor)) in inputs.iter_mut().zip(face).zip(scales) {
            *input = (number - mean) * factor;
        }
        inputs[NUMBERS] = 1.0;
    }
}
