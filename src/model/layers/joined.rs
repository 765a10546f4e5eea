//! Convolutions of one input that are run as one.

use tch::{TchError, Tensor};

use super::conv::Conv;
use super::norm::{ConvBn, Mode};
use crate::model::inference_form::InferenceForm;

/// Convolutions of the same input, kernel and stride. Their output channels follow each other. One convolution
/// with all output channels is faster than several: folding makes one.
#[derive(Debug, Clone)]
pub struct Joined {
    /// One once folded.
    parts: Vec<ConvBn>,
}

impl Joined {
    /// The convolutions in the order of their output channels, at least one.
    pub fn new(parts: Vec<ConvBn>) -> Self {
        Self { parts }
    }

    /// `[N, inputs, H, W]` to `[N, outputs of all, H', W']`.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        if let [one] = &self.parts[..] {
            return one.forward(x, mode);
        }
        let outputs: Result<Vec<Tensor>, TchError> =
            self.parts.iter().map(|part| part.forward(x, mode)).collect();
        Tensor::f_cat(&outputs?, 1)
    }

    /// Brings the weights into a form for inference.
    pub fn prepare(&mut self, form: InferenceForm) -> Result<(), TchError> {
        for part in &mut self.parts {
            part.prepare(form)?;
        }
        let folded: Option<Vec<&Conv>> = self.parts.iter().map(ConvBn::as_conv).collect();
        if let Some(mut joined) = folded.map(|parts| Conv::joined(&parts)).transpose()?.flatten() {
            joined.prepare(form)?;
            self.parts = vec![joined.into()];
        }
        Ok(())
    }
}
