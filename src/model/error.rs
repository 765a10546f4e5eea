//! What can go wrong with a network.

use std::fmt;

use tch::TchError;
use thiserror::Error;

use super::precision::Precision;
use super::torchscript::TorchScriptError;
use crate::error_chain::first_line;

/// Why a network is not built or does not run. Each prints as one line.
#[derive(Debug, Error)]
pub enum ModelError {
    /// The tensors are of no network known here.
    #[error("not a DDAMFN network: {0}")]
    UnknownArchitecture(String),
    /// The tensors do not fill the network that they should.
    #[error("the weights do not fit the {architecture}: {}", mismatch(.missing, .misshapen))]
    WeightsDoNotFit {
        /// The network in words.
        architecture: String,
        /// Parameters that no tensor was given for, in order of name.
        missing: Vec<String>,
        /// Tensors of another shape than their parameter, in order of name.
        misshapen: Vec<Misshapen>,
    },
    /// A picture of another size than the network's input.
    #[error("a face crop is {width}x{height} pixels, the network takes 112x112")]
    CropSize {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// A face that was not cut out as a network takes it.
    #[error(
        "a face was not cut out in the form that a network takes: a bug in this program, please report it"
    )]
    NoCrop,
    /// A precision that the device cannot compute in.
    #[error("precision {0} needs a CUDA device; on the CPU use f32 or bf16")]
    NeedsCuda(Precision),
    /// The network gave NaN or infinity.
    #[error(
        "the network's {output} of crop {crop} of the batch is not a number: damaged weights or an overflow"
    )]
    NotFinite {
        /// Position in the batch, 0-based.
        crop: usize,
        /// The task whose output it is.
        output: NotFinite,
    },
    /// A TorchScript network.
    #[error(transparent)]
    TorchScript(#[from] TorchScriptError),
    /// libtorch refused an operation: out of memory, a lost device, ...
    #[error("libtorch: {}", first_line(.0))]
    Torch(#[from] TchError),
    /// CUDA's runtime failed.
    #[error(transparent)]
    Cuda(#[from] crate::cuda::CudaError),
}

/// The output that was not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotFinite {
    /// Valence and arousal.
    ValenceArousal,
    /// The expressions.
    Expression,
    /// The action units.
    ActionUnits,
    /// The feature.
    Feature,
}

impl fmt::Display for NotFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotFinite::ValenceArousal => "valence/arousal",
            NotFinite::Expression => "expression",
            NotFinite::ActionUnits => "action unit",
            NotFinite::Feature => "feature",
        })
    }
}

/// A tensor whose shape is not its parameter's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misshapen {
    /// PyTorch's name.
    pub name: String,
    /// The shape that the network needs.
    pub expected: Vec<i64>,
    /// The shape that was given.
    pub found: Vec<i64>,
}

impl fmt::Display for Misshapen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is {:?} instead of {:?}",
            self.name, self.found, self.expected
        )
    }
}

fn mismatch(missing: &[String], misshapen: &[Misshapen]) -> String {
    let mut parts = Vec::new();
    if !missing.is_empty() {
        parts.push(format!("missing {}", missing.join(", ")));
    }
    if !misshapen.is_empty() {
        let shapes: Vec<String> = misshapen.iter().map(Misshapen::to_string).collect();
        parts.push(format!("misshapen {}", shapes.join(", ")));
    }
    parts.join("; ")
}
