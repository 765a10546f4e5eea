//! Convolutions with their batch normalisation folded in, read from a weight file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tch::{Device, Kind, TchError, Tensor};

use super::detector::DetectorError;
use super::layers::{Parameter, channels_last};

/// PyTorch's default, which RetinaFace keeps.
const BATCH_NORM_EPSILON: f64 = 1e-5;

/// The tensors of a weight file by their PyTorch names.
pub struct Weights {
    path: PathBuf,
    tensors: HashMap<String, Tensor>,
    device: Device,
}

impl Weights {
    /// Reads a `.safetensors` file.
    ///
    /// # Errors
    /// [`DetectorError::Unreadable`] if the file is missing or damaged.
    pub fn read(path: &Path, device: Device) -> Result<Self, DetectorError> {
        let tensors = Tensor::read_safetensors(path).map_err(|source| DetectorError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            tensors: tensors.into_iter().collect(),
            device,
        })
    }

    fn holds(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The tensor `name` in float32, which must have this shape.
    fn tensor(&self, name: &str, shape: &[i64]) -> Result<Tensor, DetectorError> {
        let misfit = |problem| DetectorError::Misfit {
            path: self.path.clone(),
            problem,
        };
        let tensor = self
            .tensors
            .get(name)
            .ok_or_else(|| misfit(format!("`{name}` is missing")))?;
        if tensor.size() != shape {
            return Err(misfit(format!(
                "`{name}` has shape {:?}, not {shape:?}",
                tensor.size()
            )));
        }
        Ok(tensor.f_to_kind(Kind::Float)?)
    }
}

/// A convolution with bias, padded so that stride 1 keeps the size; weights in channels_last. A clone shares them.
#[derive(Debug, Clone)]
pub struct Convolution {
    weight: Parameter,
    bias: Parameter,
    stride: i64,
    groups: i64,
}

impl Convolution {
    /// Reads a convolution over all of its `from` input channels: `name.weight` with `name.bias`, or
    /// with the batch normalisation that follows it.
    pub fn full(
        weights: &Weights,
        name: &str,
        (from, to): (i64, i64),
        kernel: i64,
        stride: i64,
    ) -> Result<Self, DetectorError> {
        Self::read(weights, name, [to, from, kernel, kernel], stride, 1)
    }

    /// Reads a 3x3 convolution of each channel by itself.
    pub fn depthwise(
        weights: &Weights,
        name: &str,
        channels: i64,
        stride: i64,
    ) -> Result<Self, DetectorError> {
        Self::read(weights, name, [channels, 1, 3, 3], stride, channels)
    }

    fn read(
        weights: &Weights,
        name: &str,
        shape: [i64; 4],
        stride: i64,
        groups: i64,
    ) -> Result<Self, DetectorError> {
        let weight = weights.tensor(&format!("{name}.weight"), &shape)?;
        let (weight, bias) = match batch_norm_name(weights, name) {
            Some(norm) => fold_batch_norm(weights, &norm, &weight)?,
            None => (weight, weights.tensor(&format!("{name}.bias"), &shape[..1])?),
        };
        Ok(Self {
            weight: Parameter::fixed(channels_last(&weight)?.f_to_device(weights.device)?),
            bias: Parameter::fixed(bias.f_to_device(weights.device)?),
            stride,
            groups,
        })
    }

    /// This convolution and another of the same input, kernel and stride as one; the other's output
    /// channels come after this one's.
    pub fn beside(&self, other: &Self) -> Result<Self, TchError> {
        Ok(Self {
            weight: Parameter::fixed(channels_last(&Tensor::f_cat(
                &[&*self.weight, &*other.weight],
                0,
            )?)?),
            bias: Parameter::fixed(Tensor::f_cat(&[&*self.bias, &*other.bias], 0)?),
            stride: self.stride,
            groups: self.groups,
        })
    }

    /// `[N, from, H, W]` to `[N, to, H / stride, W / stride]`, sizes rounded up.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        let padding = [self.weight.size()[2] / 2; 2];
        let stride = [self.stride; 2];
        let bias = Some(&*self.bias);
        match self.weight.device() {
            // Left to itself libtorch gives 1x1 kernels to a slower routine when it has one thread, so
            // that speed and the last digits would depend on the number of threads.
            Device::Cpu => {
                input.f_mkldnn_convolution(&self.weight, bias, padding, stride, [1, 1], self.groups)
            }
            _ => input.f_conv2d(&self.weight, bias, stride, padding, [1, 1], self.groups),
        }
    }
}

/// The batch normalisation after the convolution `name`, if there is one. It has the next number:
/// `body.stage1.0.1` comes after `body.stage1.0.0`.
fn batch_norm_name(weights: &Weights, name: &str) -> Option<String> {
    let (block, number) = name.rsplit_once('.')?;
    let norm = format!("{block}.{}", number.parse::<u32>().ok()? + 1);
    weights.holds(&format!("{norm}.running_var")).then_some(norm)
}

/// Weight and bias of a convolution that does what `weight` and the batch normalisation `norm` after it
/// do in evaluation mode.
fn fold_batch_norm(
    weights: &Weights,
    norm: &str,
    weight: &Tensor,
) -> Result<(Tensor, Tensor), DetectorError> {
    let channels = [weight.size()[0]];
    let part = |part: &str| -> Result<Tensor, DetectorError> {
        Ok(weights
            .tensor(&format!("{norm}.{part}"), &channels)?
            .f_to_kind(Kind::Double)?)
    };
    let gain = part("weight")? / (part("running_var")? + BATCH_NORM_EPSILON).sqrt();
    let bias = part("bias")? - part("running_mean")? * &gain;
    let weight = weight.f_to_kind(Kind::Double)? * gain.view([-1, 1, 1, 1]);
    Ok((weight.f_to_kind(Kind::Float)?, bias.f_to_kind(Kind::Float)?))
}
