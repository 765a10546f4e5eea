//! The number format of a network's arithmetic.

use std::fmt;

use clap::ValueEnum;
use clap::builder::PossibleValue;
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

/// The precision that a user asks for: one, or `auto`: the one that is faster on this CPU. A plan holds which.
///
/// ```
/// use abaw::model::{Precision, PrecisionChoice};
///
/// assert_eq!(PrecisionChoice::Auto.or(Precision::F32), Precision::F32);
/// assert_eq!(PrecisionChoice::Of(Precision::Bf16).or(Precision::F32), Precision::Bf16);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PrecisionChoice {
    /// By [`PrecisionTrial`](super::PrecisionTrial).
    Auto,
    /// This one.
    Of(Precision),
}

impl PrecisionChoice {
    /// The precision, where `auto` stands for another one.
    pub fn or(self, auto: Precision) -> Precision {
        match self {
            Self::Auto => auto,
            Self::Of(precision) => precision,
        }
    }
}

impl clap::ValueEnum for PrecisionChoice {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Auto,
            Self::Of(Precision::F32),
            Self::Of(Precision::Bf16),
            Self::Of(Precision::Tf32),
            Self::Of(Precision::F16),
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Auto => Some(
                PossibleValue::new("auto")
                    .help("CPU only: f32, or bf16 where it takes a tenth less time; measured once a machine"),
            ),
            Self::Of(precision) => precision.to_possible_value(),
        }
    }
}

impl TryFrom<String> for PrecisionChoice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::from_str(&text, false)
            .map_err(|_| format!("unknown precision `{text}`: use auto, f32, bf16, tf32 or f16"))
    }
}

impl From<PrecisionChoice> for String {
    fn from(choice: PrecisionChoice) -> Self {
        match choice {
            PrecisionChoice::Auto => "auto".to_owned(),
            PrecisionChoice::Of(precision) => precision.to_string(),
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
