//! A layer's tensors.

use std::ops::Deref;

use tch::nn::Path;
use tch::{TchError, Tensor};

use crate::model::inference_form::InferenceForm;

/// A tensor that belongs to a layer. A clone shares the storage.
#[derive(Debug)]
pub struct Parameter(Tensor);

impl Parameter {
    /// A trainable parameter of zeros, known to the path's store by name.
    pub fn trainable(path: &Path, name: &str, shape: &[i64]) -> Result<Self, TchError> {
        let zeros = Tensor::f_zeros(shape, (path.kind(), path.device()))?;
        Ok(Self(path.add(name, zeros, true)))
    }

    /// A parameter that no gradient reaches.
    pub fn statistic(path: &Path, name: &str, shape: &[i64]) -> Result<Self, TchError> {
        let zeros = Tensor::f_zeros(shape, (path.kind(), path.device()))?;
        Ok(Self(path.add(name, zeros, false)))
    }

    /// A tensor that no store knows.
    pub fn fixed(tensor: Tensor) -> Self {
        Self(tensor)
    }

    /// Changes number format and, for convolution weights, memory layout.
    pub fn prepare(&mut self, form: InferenceForm) -> Result<(), TchError> {
        let mut tensor = self.0.f_detach()?.f_to_kind(form.precision.kind())?;
        if form.channels_last && tensor.dim() == 4 {
            tensor = channels_last(&tensor)?;
        }
        self.0 = tensor;
        Ok(())
    }
}

impl Clone for Parameter {
    fn clone(&self) -> Self {
        Self(self.0.shallow_clone())
    }
}

impl Deref for Parameter {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        &self.0
    }
}

/// The same `[N, C, H, W]` tensor with its channels innermost in memory.
pub fn channels_last(tensor: &Tensor) -> Result<Tensor, TchError> {
    tensor
        .f_permute([0, 2, 3, 1])?
        .f_contiguous()?
        .f_permute([0, 3, 1, 2])
}
