//! The mixed depthwise bottleneck: expand, depthwise kernels of several sizes, coordinate
//! attention, project.

use tch::nn::Path;
use tch::{TchError, Tensor};

use super::coordinate_attention::CoordinateAttention;
use super::inference_form::InferenceForm;
use super::layers::{Conv, ConvBn, ConvBnPrelu, ConvSpec, Mode};

/// Depthwise kernels: the side of each and the number of channels that it is applied to.
pub(super) type Kernels = &'static [(i64, i64)];

/// The sizes of a bottleneck. Its expanded channels are the sum of the kernels' channels.
#[derive(Debug, Clone, Copy)]
pub(super) struct BottleneckShape {
    pub inputs: i64,
    pub outputs: i64,
    pub kernels: Kernels,
    pub stride: i64,
}

/// Depthwise convolutions of several sizes, each on its share of the channels.
///
/// Checkpoints hold a `bn` and a `prelu` beside these convolutions that the original never
/// applies.
#[derive(Debug, Clone)]
struct MixedDepthwise {
    kernels: Kernels,
    convolutions: Vec<Conv>,
}

impl MixedDepthwise {
    fn new(path: &Path, kernels: Kernels, stride: i64) -> Result<Self, TchError> {
        let path = path / "mixed_depthwise_conv";
        let convolution = |(i, &(side, channels)): (usize, &(i64, i64))| {
            Conv::new(&(&path / i), ConvSpec::depthwise(channels, side).stride(stride))
        };
        let convolutions: Result<_, _> = kernels.iter().enumerate().map(convolution).collect();
        Ok(Self {
            kernels,
            convolutions: convolutions?,
        })
    }

    /// The number of channels of each kernel.
    fn shares(&self) -> Vec<i64> {
        self.kernels.iter().map(|&(_, channels)| channels).collect()
    }

    /// From a map for each kernel to another.
    fn forward(&self, shares: &[Tensor]) -> Result<Vec<Tensor>, TchError> {
        let convolve = |(conv, share): (&Conv, &Tensor)| conv.forward(share);
        self.convolutions.iter().zip(shares).map(convolve).collect()
    }

    fn prepare(&mut self, form: InferenceForm) -> Result<(), TchError> {
        self.convolutions
            .iter_mut()
            .try_for_each(|conv| conv.prepare(form))
    }
}

/// A mixed depthwise bottleneck without the residual connection, which is the backbone's.
#[derive(Debug, Clone)]
pub(super) struct MixedDepthwiseBottleneck {
    expand: ConvBnPrelu,
    depthwise: MixedDepthwise,
    attention: CoordinateAttention,
    project: ConvBn,
}

impl MixedDepthwiseBottleneck {
    pub(super) fn new(path: &Path, shape: BottleneckShape) -> Result<Self, TchError> {
        let expanded = shape.kernels.iter().map(|&(_, channels)| channels).sum();
        Ok(Self {
            expand: ConvBnPrelu::new(&(path / "conv"), ConvSpec::pointwise(shape.inputs, expanded))?,
            depthwise: MixedDepthwise::new(&(path / "conv_dw"), shape.kernels, shape.stride)?,
            attention: CoordinateAttention::new(&(path / "CA"), expanded)?,
            project: ConvBn::new(&(path / "project"), ConvSpec::pointwise(expanded, shape.outputs))?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let shares = self.expand.forward_apart(x, &self.depthwise.shares(), mode)?;
        let maps = self.depthwise.forward(&shares)?;
        let x = self.attention.forward(&maps, mode)?;
        self.project.forward(&x, mode)
    }

    pub(super) fn prepare(&mut self, form: InferenceForm) -> Result<(), TchError> {
        self.expand.prepare(form)?;
        self.depthwise.prepare(form)?;
        self.attention.prepare(form)?;
        self.project.prepare(form)
    }
}
