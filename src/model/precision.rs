//! The number format of a network's arithmetic.

use std::fmt;

use serde::{Deserialize, Serialize};
use tch::Kind;

/// The number format that backbone and attention heads compute in. The layers after the embedding
/// always use `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits, of which 23 are the mantissa.
    #[default]
    F32,
    /// 16 bits, of which 7 are the mantissa. With the weights of `models/` the mean error of valence, arousal and
    /// probabilities is 0.001, and it is rarely above 0.02 (`docs/benchmarks.md`). With untrained weights rounding
    /// errors grow from layer to layer.
    Bf16,
    /// CUDA only: `f32`, but convolutions and matrix products round their inputs to 10 bits of mantissa.
    Tf32,
    /// CUDA only: 16 bits, of which 10 are the mantissa.
    F16,
}

impl Precision {
    /// Returns the kind of the tensors.
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
