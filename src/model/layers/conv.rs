//! Convolution.

use tch::nn::Path;
use tch::{Device, Kind, TchError, Tensor, utils};

use super::parameter::Parameter;
use crate::model::inference_form::InferenceForm;

/// What a convolution does; its weights come from a path.
#[derive(Debug, Clone, Copy)]
pub struct ConvSpec {
    inputs: i64,
    pub(super) outputs: i64,
    kernel: [i64; 2],
    stride: i64,
    padding: i64,
    groups: i64,
    pub(super) bias: bool,
}

impl ConvSpec {
    /// A square kernel over all channels, padded so that stride 1 keeps the size; no bias.
    pub fn full(inputs: i64, outputs: i64, size: i64) -> Self {
        Self {
            inputs,
            outputs,
            kernel: [size, size],
            stride: 1,
            padding: size / 2,
            groups: 1,
            bias: false,
        }
    }

    /// 1x1.
    pub fn pointwise(inputs: i64, outputs: i64) -> Self {
        Self::full(inputs, outputs, 1)
    }

    /// A square kernel for each channel, padded so that stride 1 keeps the size; no bias.
    pub fn depthwise(channels: i64, size: i64) -> Self {
        Self {
            groups: channels,
            ..Self::full(channels, channels, size)
        }
    }

    /// A kernel for each channel that lies within the map: no padding, no bias. A kernel as large
    /// as the map is a pool with learned weights.
    pub fn learned_pool(channels: i64, kernel: [i64; 2]) -> Self {
        Self {
            kernel,
            padding: 0,
            ..Self::depthwise(channels, 1)
        }
    }

    pub fn stride(self, stride: i64) -> Self {
        Self { stride, ..self }
    }

    /// Without padding: only where the whole kernel lies within the map.
    pub fn unpadded(self) -> Self {
        Self { padding: 0, ..self }
    }

    pub fn with_bias(self) -> Self {
        Self { bias: true, ..self }
    }

    /// oneDNN is slow at the gradient of these kernels in `bf16` (`docs/benchmarks.md`).
    fn learns_faster_in_f32(self) -> bool {
        let [height, width] = self.kernel;
        self.groups > 1 && (height.max(width) > 3 || self.stride > 1)
    }
}

/// A convolution.
#[derive(Debug, Clone)]
pub struct Conv {
    pub(super) spec: ConvSpec,
    pub(super) weight: Parameter,
    pub(super) bias: Option<Parameter>,
    routine: Routine,
}

/// What computes a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Routine {
    /// libtorch's choice.
    Libtorch,
    /// oneDNN itself. libtorch would take a slower kernel for 1x1 on one thread and fewer than 16 pictures, so that
    /// time and rounding would depend on the size of the batch.
    OneDnn,
}

impl Conv {
    pub fn new(path: &Path, spec: ConvSpec) -> Result<Self, TchError> {
        let [height, width] = spec.kernel;
        let weights = [spec.outputs, spec.inputs / spec.groups, height, width];
        Ok(Self {
            spec,
            weight: Parameter::trainable(path, "weight", &weights)?,
            bias: spec
                .bias
                .then(|| Parameter::trainable(path, "bias", &[spec.outputs]))
                .transpose()?,
            routine: Routine::Libtorch,
        })
    }

    /// Convolutions of the same input, kernel and stride as one, whose output channels follow each
    /// other; `None` if any lacks a bias, or there is none.
    pub fn joined(parts: &[&Self]) -> Result<Option<Self>, TchError> {
        let Some(first) = parts.first() else {
            return Ok(None);
        };
        let biases: Option<Vec<&Tensor>> = parts.iter().map(|part| part.bias.as_deref()).collect();
        let Some(biases) = biases else {
            return Ok(None);
        };
        let weights: Vec<&Tensor> = parts.iter().map(|part| &*part.weight).collect();
        Ok(Some(Self {
            spec: ConvSpec {
                outputs: parts.iter().map(|part| part.spec.outputs).sum(),
                ..first.spec
            },
            weight: Parameter::fixed(Tensor::f_cat(&weights, 0)?),
            bias: Some(Parameter::fixed(Tensor::f_cat(&biases, 0)?)),
            routine: first.routine,
        }))
    }

    /// `[N, inputs, H, W]` of any floating kind to `[N, outputs, H', W']` of the weights' kind; of
    /// `bf16` where the map is and the weights are `f32`: so they learn in mixed precision.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (weight, bias) = (&self.weight, self.bias.as_deref());
        if (x.kind(), weight.kind()) != (Kind::BFloat16, Kind::Float) {
            return self.convolve(&x.f_to_kind(weight.kind())?, weight, bias);
        }
        if x.device() == Device::Cpu && self.spec.learns_faster_in_f32() {
            let wide = self.convolve(&x.f_to_kind(Kind::Float)?, weight, bias)?;
            return wide.f_to_kind(Kind::BFloat16);
        }
        let bias = bias.map(|bias| bias.f_to_kind(Kind::BFloat16)).transpose()?;
        self.convolve(x, &weight.f_to_kind(Kind::BFloat16)?, bias.as_ref())
    }

    fn convolve(&self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor, TchError> {
        let ConvSpec { groups, .. } = self.spec;
        let (stride, padding, dilation) = ([self.spec.stride; 2], [self.spec.padding; 2], [1, 1]);
        match self.routine {
            Routine::OneDnn => x.f_mkldnn_convolution(weight, bias, padding, stride, dilation, groups),
            Routine::Libtorch => x.f_conv2d(weight, bias, stride, padding, dilation, groups),
        }
    }

    pub fn prepare(&mut self, form: InferenceForm) -> Result<(), TchError> {
        self.routine = match form.device {
            Device::Cpu if form.folded && utils::has_mkldnn() => Routine::OneDnn,
            _ => Routine::Libtorch,
        };
        self.weight.prepare(form)?;
        self.bias.as_mut().map_or(Ok(()), |bias| bias.prepare(form))
    }
}
