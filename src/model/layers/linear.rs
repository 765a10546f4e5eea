//! Fully connected layer.

use tch::nn::Path;
use tch::{TchError, Tensor};

use super::parameter::Parameter;

/// A fully connected layer with bias.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Parameter,
    bias: Parameter,
}

impl Linear {
    pub fn new(path: &Path, inputs: i64, outputs: i64) -> Result<Self, TchError> {
        Ok(Self {
            weight: Parameter::trainable(path, "weight", &[outputs, inputs])?,
            bias: Parameter::trainable(path, "bias", &[outputs])?,
        })
    }

    /// `[N, inputs]` of any floating kind to `[N, outputs]` of the weights' kind.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_to_kind(self.weight.kind())?
            .f_linear(&self.weight, Some(&*self.bias))
    }
}
