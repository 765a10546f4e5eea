//! The layers that the network is made of: convolution, batch normalisation, PReLU, linear.
//!
//! Every layer is built from a [`Path`] whose name is PyTorch's, with parameters that are zero
//! until weights are loaded. A layer can be [prepared](ConvBn::prepare) for inference: batch
//! normalisation folded into the convolution before it, other precision, other memory layout.

use std::ops::Deref;

use tch::nn::Path;
use tch::{Device, Kind, TchError, Tensor, utils};

use super::elementwise;
use super::excitation::Excitation;
use super::inference_form::InferenceForm;

/// Momentum and epsilon of every batch normalisation: PyTorch's defaults, which DDAMFN uses.
const MOMENTUM: f64 = 0.1;
const EPSILON: f64 = 1e-5;

/// Whether batch normalisation uses the statistics of the batch (and updates the running ones)
/// or the running statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Training,
    Inference,
}

/// A tensor that belongs to a layer. A clone shares the storage.
#[derive(Debug)]
pub(super) struct Parameter(Tensor);

impl Parameter {
    /// A trainable parameter of zeros, known to the path's store by name.
    pub(super) fn trainable(path: &Path, name: &str, shape: &[i64]) -> Result<Self, TchError> {
        let zeros = Tensor::f_zeros(shape, (path.kind(), path.device()))?;
        Ok(Self(path.add(name, zeros, true)))
    }

    /// A parameter that no gradient reaches.
    fn statistic(path: &Path, name: &str, shape: &[i64]) -> Result<Self, TchError> {
        let zeros = Tensor::f_zeros(shape, (path.kind(), path.device()))?;
        Ok(Self(path.add(name, zeros, false)))
    }

    /// A tensor that no store knows.
    pub(super) fn fixed(tensor: Tensor) -> Self {
        Self(tensor)
    }

    /// Changes number format and, for convolution weights, memory layout.
    fn prepare(&mut self, form: InferenceForm) -> Result<(), TchError> {
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
pub(super) fn channels_last(tensor: &Tensor) -> Result<Tensor, TchError> {
    tensor
        .f_permute([0, 2, 3, 1])?
        .f_contiguous()?
        .f_permute([0, 3, 1, 2])
}

/// What a convolution does; its weights come from a path.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConvSpec {
    inputs: i64,
    outputs: i64,
    kernel: [i64; 2],
    stride: i64,
    padding: i64,
    groups: i64,
    bias: bool,
}

impl ConvSpec {
    /// A square kernel over all channels, padded so that stride 1 keeps the size; no bias.
    pub(super) fn full(inputs: i64, outputs: i64, size: i64) -> Self {
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
    pub(super) fn pointwise(inputs: i64, outputs: i64) -> Self {
        Self::full(inputs, outputs, 1)
    }

    /// A square kernel for each channel, padded so that stride 1 keeps the size; no bias.
    pub(super) fn depthwise(channels: i64, size: i64) -> Self {
        Self {
            groups: channels,
            ..Self::full(channels, channels, size)
        }
    }

    /// A kernel for each channel that lies within the map: no padding, no bias. A kernel as large
    /// as the map is a pool with learned weights.
    pub(super) fn learned_pool(channels: i64, kernel: [i64; 2]) -> Self {
        Self {
            kernel,
            padding: 0,
            ..Self::depthwise(channels, 1)
        }
    }

    pub(super) fn stride(self, stride: i64) -> Self {
        Self { stride, ..self }
    }

    pub(super) fn with_bias(self) -> Self {
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
pub(super) struct Conv {
    shape: ConvSpec,
    weight: Parameter,
    bias: Option<Parameter>,
    /// Calls oneDNN itself. torch would take a slower kernel for 1x1 on one thread and fewer than
    /// 16 crops, so that time and rounding hung on the size of the batch.
    onednn: bool,
}

impl Conv {
    pub(super) fn new(path: &Path, shape: ConvSpec) -> Result<Self, TchError> {
        let [height, width] = shape.kernel;
        let weights = [shape.outputs, shape.inputs / shape.groups, height, width];
        Ok(Self {
            shape,
            weight: Parameter::trainable(path, "weight", &weights)?,
            bias: shape
                .bias
                .then(|| Parameter::trainable(path, "bias", &[shape.outputs]))
                .transpose()?,
            onednn: false,
        })
    }

    /// `[N, inputs, H, W]` of any floating kind to `[N, outputs, H', W']` of the weights' kind; of
    /// `bf16` where the map is and the weights are `f32`: so they learn in mixed precision.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (weight, bias) = (&self.weight, self.bias.as_deref());
        if (x.kind(), weight.kind()) != (Kind::BFloat16, Kind::Float) {
            return self.convolve(&x.f_to_kind(weight.kind())?, weight, bias);
        }
        if x.device() == Device::Cpu && self.shape.learns_faster_in_f32() {
            let wide = self.convolve(&x.f_to_kind(Kind::Float)?, weight, bias)?;
            return wide.f_to_kind(Kind::BFloat16);
        }
        let bias = bias.map(|bias| bias.f_to_kind(Kind::BFloat16)).transpose()?;
        self.convolve(x, &weight.f_to_kind(Kind::BFloat16)?, bias.as_ref())
    }

    fn convolve(&self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor, TchError> {
        let ConvSpec { groups, .. } = self.shape;
        let (stride, padding, dilation) = ([self.shape.stride; 2], [self.shape.padding; 2], [1, 1]);
        match self.onednn {
            true => x.f_mkldnn_convolution(weight, bias, padding, stride, dilation, groups),
            false => x.f_conv2d(weight, bias, stride, padding, dilation, groups),
        }
    }

    pub(super) fn prepare(&mut self, form: InferenceForm) -> Result<(), TchError> {
        self.onednn = form.folded && form.device == Device::Cpu && utils::has_mkldnn();
        self.weight.prepare(form)?;
        self.bias.as_mut().map_or(Ok(()), |bias| bias.prepare(form))
    }
}

/// Batch normalisation over `[N, C, H, W]`.
#[derive(Debug, Clone)]
struct BatchNorm {
    weight: Parameter,
    bias: Parameter,
    running_mean: Parameter,
    running_var: Parameter,
}

impl BatchNorm {
    fn new(path: &Path, channels: i64) -> Result<Self, TchError> {
        Ok(Self {
            weight: Parameter::trainable(path, "weight", &[channels])?,
            bias: Parameter::trainable(path, "bias", &[channels])?,
            running_mean: Parameter::statistic(path, "running_mean", &[channels])?,
            running_var: Parameter::statistic(path, "running_var", &[channels])?,
        })
    }

    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        x.f_batch_norm(
            Some(&*self.weight),
            Some(&*self.bias),
            Some(&*self.running_mean),
            Some(&*self.running_var),
            mode == Mode::Training,
            MOMENTUM,
            EPSILON,
            true,
        )
    }

    fn prepare(&mut self, form: InferenceForm) -> Result<(), TchError> {
        for parameter in [
            &mut self.weight,
            &mut self.bias,
            &mut self.running_mean,
            &mut self.running_var,
        ] {
            parameter.prepare(form)?;
        }
        Ok(())
    }
}

/// Convolution and batch normalisation (the paper's "linear block"), which folding makes one.
#[derive(Debug, Clone)]
pub(super) struct ConvBn {
    conv: Conv,
    /// `None` once folded.
    norm: Option<BatchNorm>,
}

impl ConvBn {
    /// With parameters at `path.conv` and `path.bn`.
    pub(super) fn new(path: &Path, shape: ConvSpec) -> Result<Self, TchError> {
        Self::named(path, "conv", "bn", shape)
    }

    /// With parameters below the two names.
    pub(super) fn named(path: &Path, conv: &str, norm: &str, shape: ConvSpec) -> Result<Self, TchError> {
        Ok(Self {
            conv: Conv::new(&(path / conv), shape)?,
            norm: Some(BatchNorm::new(&(path / norm), shape.outputs)?),
        })
    }

    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let x = self.conv.forward(x)?;
        match &self.norm {
            Some(norm) => norm.forward(&x, mode),
            None => Ok(x),
        }
    }

    pub(super) fn prepare(&mut self, form: InferenceForm) -> Result<(), TchError> {
        if form.folded {
            self.fold()?;
        }
        self.conv.prepare(form)?;
        self.norm.as_mut().map_or(Ok(()), |norm| norm.prepare(form))
    }

    /// This layer, folded, and two convolutions after it as one; `None` if any lacks a bias.
    pub(super) fn excitation(&self, rows: &Conv, columns: &Conv) -> Result<Option<Excitation>, TchError> {
        let mut folded = self.clone();
        folded.fold()?;
        let parts = |conv: &Conv| {
            conv.bias
                .as_ref()
                .map(|bias| (conv.weight.shallow_clone(), bias.shallow_clone()))
        };
        let (Some(squeeze), Some(rows), Some(columns)) = (parts(&folded.conv), parts(rows), parts(columns))
        else {
            return Ok(None);
        };
        Excitation::new(
            (&squeeze.0, &squeeze.1),
            (&rows.0, &rows.1),
            (&columns.0, &columns.1),
        )
        .map(Some)
    }

    /// `gain * (conv(x) + bias - mean) + shift` is a convolution with weights `gain * w` and bias
    /// `gain * (bias - mean) + shift`, where `gain = weight / sqrt(var + eps)`. Computed in double,
    /// so that folding costs no more than one rounding.
    fn fold(&mut self) -> Result<(), TchError> {
        let Some(norm) = self.norm.take() else {
            return Ok(());
        };
        let kind = self.conv.weight.kind();
        let double = |tensor: &Tensor| tensor.f_detach()?.f_to_kind(Kind::Double);
        let spread = double(&norm.running_var)?.f_add_scalar(EPSILON)?.f_sqrt()?;
        let gain = double(&norm.weight)?.f_div(&spread)?;
        let weight = double(&self.conv.weight)?.f_mul(&gain.f_view([-1, 1, 1, 1])?)?;
        let mut shift = double(&norm.running_mean)?.f_neg()?;
        if let Some(bias) = &self.conv.bias {
            shift = shift.f_add(&double(bias)?)?;
        }
        let bias = shift.f_mul(&gain)?.f_add(&double(&norm.bias)?)?;
        self.conv.weight = Parameter(weight.f_to_kind(kind)?);
        self.conv.bias = Some(Parameter(bias.f_to_kind(kind)?));
        Ok(())
    }
}

/// Convolution, batch normalisation and PReLU with a slope for each channel.
#[derive(Debug, Clone)]
pub(super) struct ConvBnPrelu {
    linear: ConvBn,
    slope: Parameter,
    one_pass: bool,
}

impl ConvBnPrelu {
    pub(super) fn new(path: &Path, shape: ConvSpec) -> Result<Self, TchError> {
        Ok(Self {
            linear: ConvBn::new(path, shape)?,
            slope: Parameter::trainable(&(path / "prelu"), "weight", &[shape.outputs])?,
            one_pass: false,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let x = self.linear.forward(x, mode)?;
        match mode {
            Mode::Training => prelu_to_train(&x, &self.slope),
            Mode::Inference if self.one_pass => elementwise::prelu(x, &self.slope),
            Mode::Inference => x.f_prelu(&self.slope),
        }
    }

    /// The output cut into shares of so many channels.
    pub(super) fn forward_apart(
        &self,
        x: &Tensor,
        shares: &[i64],
        mode: Mode,
    ) -> Result<Vec<Tensor>, TchError> {
        match mode == Mode::Inference && self.one_pass {
            true => elementwise::prelu_apart(&self.linear.forward(x, mode)?, &self.slope, shares),
            false => self.forward(x, mode)?.f_split_with_sizes(shares, 1),
        }
    }

    pub(super) fn prepare(&mut self, form: InferenceForm) -> Result<(), TchError> {
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

/// A fully connected layer with bias.
#[derive(Debug, Clone)]
pub(super) struct Linear {
    weight: Parameter,
    bias: Parameter,
}

impl Linear {
    pub(super) fn new(path: &Path, inputs: i64, outputs: i64) -> Result<Self, TchError> {
        Ok(Self {
            weight: Parameter::trainable(path, "weight", &[outputs, inputs])?,
            bias: Parameter::trainable(path, "bias", &[outputs])?,
        })
    }

    /// `[N, inputs]` of any floating kind to `[N, outputs]` of the weights' kind.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_to_kind(self.weight.kind())?
            .f_linear(&self.weight, Some(&*self.bias))
    }
}
