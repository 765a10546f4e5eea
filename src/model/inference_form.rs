//! How a network is run: device, number format, memory layout, folding.

use std::fmt;

use tch::{Device, utils};

use super::error::ModelError;
use super::precision::Precision;

/// How a network is run. Prints as the words that the table's footer records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InferenceForm {
    /// Where it runs.
    pub device: Device,
    /// The number format.
    pub precision: Precision,
    /// Batch normalisation is folded into the convolutions.
    pub folded: bool,
    /// Maps lie in memory with their channels last.
    pub channels_last: bool,
}

impl InferenceForm {
    /// The fastest form: folded; on a CPU channels last. On a GPU cuDNN takes 100 ms and more to plan each depthwise
    /// convolution over channels that are last, and is no faster afterwards (`docs/benchmarks.md`).
    pub fn fast(device: Device, precision: Precision) -> Self {
        Self {
            device,
            precision,
            folded: true,
            channels_last: !device.is_cuda(),
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
