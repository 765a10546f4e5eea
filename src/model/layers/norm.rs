//! Batch normalisation, and the convolution before it, into which it can be folded.

use tch::nn::Path;
use tch::{Kind, TchError, Tensor};

use super::conv::{Conv, ConvSpec};
use super::parameter::Parameter;
use crate::model::excitation::Excitation;
use crate::model::inference_form::InferenceForm;

/// Momentum and epsilon of every batch normalisation: PyTorch's defaults, which DDAMFN and RetinaFace use.
const MOMENTUM: f64 = 0.1;
const EPSILON: f64 = 1e-5;

/// Whether batch normalisation uses the statistics of the batch (and updates the running ones)
/// or the running statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Statistics of the batch; the running ones are updated.
    Training,
    /// The running statistics.
    Inference,
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

/// Convolution and batch normalisation (DDAMFN's "linear block"), which folding makes one.
#[derive(Debug, Clone)]
pub struct ConvBn {
    conv: Conv,
    /// `None` once folded.
    norm: Option<BatchNorm>,
}

impl From<Conv> for ConvBn {
    fn from(conv: Conv) -> Self {
        Self { conv, norm: None }
    }
}

impl ConvBn {
    /// With parameters at `path.conv` and `path.bn`.
    pub fn new(path: &Path, spec: ConvSpec) -> Result<Self, TchError> {
        Self::named(path, "conv", "bn", spec)
    }

    /// With parameters below the two names.
    pub fn named(path: &Path, conv: &str, norm: &str, spec: ConvSpec) -> Result<Self, TchError> {
        Ok(Self {
            conv: Conv::new(&(path / conv), spec)?,
            norm: Some(BatchNorm::new(&(path / norm), spec.outputs)?),
        })
    }

    /// A convolution with bias, into which the batch normalisation has been folded already; or that never had one.
    pub fn folded(path: &Path, spec: ConvSpec) -> Result<Self, TchError> {
        Ok(Self {
            conv: Conv::new(path, spec.with_bias())?,
            norm: None,
        })
    }

    /// The convolution alone; `None` unless it is folded.
    pub fn as_conv(&self) -> Option<&Conv> {
        self.norm.is_none().then_some(&self.conv)
    }

    /// `[N, inputs, H, W]` to `[N, outputs, H', W']`.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let x = self.conv.forward(x)?;
        match &self.norm {
            Some(norm) => norm.forward(&x, mode),
            None => Ok(x),
        }
    }

    pub fn prepare(&mut self, form: InferenceForm) -> Result<(), TchError> {
        if form.folded {
            self.fold()?;
        }
        self.conv.prepare(form)?;
        self.norm.as_mut().map_or(Ok(()), |norm| norm.prepare(form))
    }

    /// This layer, folded, and two convolutions after it as one; `None` if any lacks a bias.
    pub fn excitation(&self, rows: &Conv, columns: &Conv) -> Result<Option<Excitation>, TchError> {
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
        self.conv.weight = Parameter::fixed(weight.f_to_kind(kind)?);
        self.conv.bias = Some(Parameter::fixed(bias.f_to_kind(kind)?));
        Ok(())
    }
}
