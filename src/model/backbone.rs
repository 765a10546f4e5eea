//! The backbone: MixedFeatureNet, from a 112x112 crop to 512 maps of 7x7.

use tch::nn::Path;
use tch::{TchError, Tensor};

use super::error::ModelError;
use super::inference_form::InferenceForm;
use super::layers::{ConvBnPrelu, ConvSpec, Mode};
use super::mixed_depthwise::{BottleneckShape, MixedDepthwiseBottleneck};

/// Channels of the backbone's output.
pub(super) const FEATURE_CHANNELS: i64 = 512;
/// Height and width of the backbone's output.
pub(super) const FEATURE_SIDE: i64 = 7;

/// A stage of the backbone: `features.{i}` in a checkpoint.
#[derive(Debug, Clone)]
enum Stage {
    /// A convolution with batch normalisation and PReLU.
    Convolution(ConvBnPrelu),
    /// A bottleneck that halves the map's sides.
    Reduction(Box<MixedDepthwiseBottleneck>),
    /// Bottlenecks that each add to their input.
    Residuals(Vec<MixedDepthwiseBottleneck>),
}

impl Stage {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        match self {
            Stage::Convolution(convolution) => convolution.forward(x, mode),
            Stage::Reduction(bottleneck) => bottleneck.forward(x, mode),
            Stage::Residuals(bottlenecks) => {
                let mut x = x.shallow_clone();
                for bottleneck in bottlenecks {
                    x = bottleneck.forward(&x, mode)?.f_add_(&x)?;
                }
                Ok(x)
            }
        }
    }

    fn prepare(&mut self, form: InferenceForm) -> Result<(), TchError> {
        match self {
            Stage::Convolution(convolution) => convolution.prepare(form),
            Stage::Reduction(bottleneck) => bottleneck.prepare(form),
            Stage::Residuals(bottlenecks) => bottlenecks
                .iter_mut()
                .try_for_each(|bottleneck| bottleneck.prepare(form)),
        }
    }
}

/// MixedFeatureNet as DDAMFN uses it.
#[derive(Debug, Clone)]
pub struct Backbone {
    stages: Vec<Stage>,
}

impl Backbone {
    /// `path` is that of `features`.
    pub(super) fn new(path: &Path) -> Result<Self, TchError> {
        let convolution = |i: i64, shape| Ok(Stage::Convolution(ConvBnPrelu::new(&(path / i), shape)?));
        let reduction = |i: i64, inputs, outputs, kernels| {
            let shape = BottleneckShape {
                inputs,
                outputs,
                kernels,
                stride: 2,
            };
            let bottleneck = MixedDepthwiseBottleneck::new(&(path / i), shape)?;
            Ok(Stage::Reduction(Box::new(bottleneck)))
        };
        let residuals = |i: i64, count: i64, channels, kernels| {
            let shape = BottleneckShape {
                inputs: channels,
                outputs: channels,
                kernels,
                stride: 1,
            };
            let path = path / i / "model";
            let blocks: Result<_, TchError> = (0..count)
                .map(|block| MixedDepthwiseBottleneck::new(&(&path / block), shape))
                .collect();
            blocks.map(Stage::Residuals)
        };
        let stages: Result<Vec<Stage>, TchError> = [
            convolution(0, ConvSpec::full(3, 64, 3).stride(2)),
            convolution(1, ConvSpec::depthwise(64, 3)),
            reduction(2, 64, 64, &[(3, 64), (5, 32), (7, 32)]),
            residuals(3, 9, 64, &[(3, 96), (5, 32)]),
            reduction(4, 64, 128, &[(3, 128), (5, 64), (7, 64)]),
            residuals(5, 16, 128, &[(3, 192), (5, 64)]),
            reduction(6, 128, 256, &[(3, 256), (5, 256), (7, 256), (9, 256)]),
            residuals(7, 6, 256, &[(3, 172), (5, 170), (7, 170)]),
            convolution(8, ConvSpec::pointwise(256, FEATURE_CHANNELS)),
        ]
        .into_iter()
        .collect();
        Ok(Self { stages: stages? })
    }

    /// Crops `[N, 3, 112, 112]`, normalised, to features `[N, 512, 7, 7]`.
    pub(super) fn forward(&self, crops: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let mut x = crops.shallow_clone();
        for stage in &self.stages {
            x = stage.forward(&x, mode)?;
        }
        Ok(x)
    }

    /// The output of every stage, in inference mode: to compare with other implementations.
    pub fn stage_outputs(&self, crops: &Tensor) -> Result<Vec<Tensor>, ModelError> {
        let mut outputs: Vec<Tensor> = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            let x = stage.forward(outputs.last().unwrap_or(crops), Mode::Inference)?;
            outputs.push(x);
        }
        Ok(outputs)
    }

    pub(super) fn prepare(&mut self, form: InferenceForm) -> Result<(), TchError> {
        self.stages.iter_mut().try_for_each(|stage| stage.prepare(form))
    }
}
