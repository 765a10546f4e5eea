//! Convolution, batch normalisation and PReLU.

use tch::nn::Path;
use tch::{TchError, Tensor};

use super::conv::ConvSpec;
use super::norm::{ConvBn, Mode};
use super::parameter::Parameter;
use crate::model::elementwise;
use crate::model::inference_form::InferenceForm;

/// Convolution, batch normalisation and PReLU with a slope for each channel.
#[derive(Debug, Clone)]
pub struct ConvBnPrelu {
    linear: ConvBn,
    slope: Parameter,
    one_pass: bool,
}

impl ConvBnPrelu {
    pub fn new(path: &Path, spec: ConvSpec) -> Result<Self, TchError> {
        Ok(Self {
            linear: ConvBn::new(path, spec)?,
            slope: Parameter::trainable(&(path / "prelu"), "weight", &[spec.outputs])?,
            one_pass: false,
        })
    }

    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let x = self.linear.forward(x, mode)?;
        match mode {
            Mode::Training => prelu_to_train(&x, &self.slope),
            Mode::Inference if self.one_pass => elementwise::prelu(x, &self.slope),
            Mode::Inference => x.f_prelu(&self.slope),
        }
    }

    /// The output cut into shares of so many channels.
    pub fn forward_apart(&self, x: &Tensor, shares: &[i64], mode: Mode) -> Result<Vec<Tensor>, TchError> {
        match mode == Mode::Inference && self.one_pass {
            true => elementwise::prelu_apart(&self.linear.forward(x, mode)?, &self.slope, shares),
            false => self.forward(x, mode)?.f_split_with_sizes(shares, 1),
        }
    }

    pub fn prepare(&mut self, form: InferenceForm) -> Result<(), TchError> {
        self.one_pass = form.in_one_pass();
        self.linear.prepare(form)?;
        self.slope.prepare(form)
    }
}

/// PReLU as the blend `relu(x) + slope * (x - relu(x))`. Its backward pass runs through kernels that use
/// vector instructions, which that of `prelu` does not: it takes half the time (`docs/benchmarks.md`).
fn prelu_to_train(x: &Tensor, slope: &Tensor) -> Result<Tensor, TchError> {
    let slope = slope.f_view([1, -1, 1, 1])?.f_to_kind(x.kind())?;
    x.f_relu()?.f_lerp_tensor(x, &slope)
}
