//! How a network is run: device, number format, memory layout, folding.

use std::fmt;

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, utils};

use super::error::ModelError;

/// The number format that backbone and attention heads compute in. The layers after the embedding
/// always use `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    #[default]
    F32,
    /// Three digits: with the weights of `models/` valence, arousal and probabilities err by 0.001, hardly
    /// ever by more than 0.02 (`docs/benchmarks.md`). Weights that were never trained let what is rounded grow.
    Bf16,
    /// CUDA only: convolutions and matrix products round their inputs to 10 bits of mantissa.
    Tf32,
    /// CUDA only.
    F16,
}

impl Precision {
    /// The tensors' kind.
    pub fn kind(self) -> Kind {
        match self {
            Precision::F32 | Precision::Tf32 => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
            Precision::F16 => Kind::Half,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::Tf32 => "tf32",
            Precision::F16 => "f16",
        })
    }
}

/// How a network is run. Prints as the words that the table's footer records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InferenceForm {
    pub device: Device,
    pub precision: Precision,
    /// Batch normalisation is folded into the convolutions.
    pub folded: bool,
    /// Maps lie in memory with their channels last.
    pub channels_last: bool,
}

impl InferenceForm {
    /// The fastest form: folded, channels last.
    pub fn fast(device: Device, precision: Precision) -> Self {
        Self {
            device,
            precision,
            folded: true,
            channels_last: true,
        }
    }

    /// Whether element-wise work is done by [`elementwise`](super::elementwise), which needs a CPU and channels last.
    pub(super) fn in_one_pass(self) -> bool {
        self.device == Device::Cpu && self.folded && self.channels_last && utils::has_mkldnn()
    }

    /// Refuses a precision that the device cannot compute in.
    ///
    /// # Errors
    /// [`ModelError::NeedsCuda`].
    pub fn check(self) -> Result<(), ModelError> {
        match self.precision {
            Precision::F16 | Precision::Tf32 if !self.device.is_cuda() => {
                Err(ModelError::NeedsCuda(self.precision))
            }
            _ => Ok(()),
        }
    }

    /// The form that PyTorch runs the original in: `f32`, as the weights are.
    pub fn plain(device: Device) -> Self {
        Self {
            device,
            precision: Precision::F32,
            folded: false,
            channels_last: false,
        }
    }
}

impl fmt::Display for InferenceForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.device {
            Device::Cuda(n) => write!(f, "cuda:{n}")?,
            _ => f.write_str("cpu")?,
        }
        write!(f, ", {}", self.precision)?;
        if self.folded {
            f.write_str(", folded batch normalisation")?;
        }
        if self.channels_last {
            f.write_str(", channels last")?;
        }
        Ok(())
    }
}
