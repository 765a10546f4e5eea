//! `[model]` of the pipeline file: which networks run, and how.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Precision, PrecisionChoice};
use crate::auto_number::AutoNumber;
use crate::labels::PerTask;

/// Which networks run, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSettings {
    /// DDAMFN weights, `.safetensors`; a relative path counts from the pipeline file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// Several networks in place of `weights`: one a task, or blended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub member: Vec<MemberSettings>,
    /// RetinaFace weights, `.safetensors`; the project's own if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detector_weights: Option<PathBuf>,
    /// Weights of the network that tells people apart, `.safetensors`; the project's own if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_weights: Option<PathBuf>,
    /// Number format of the networks' arithmetic.
    pub precision: PrecisionChoice,
    /// Faces a forward pass of DDAMFN takes at once.
    pub batch: AutoNumber,
    /// Whether the feature of every face is written to `RUN/features/`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub features: bool,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            weights: None,
            member: Vec::new(),
            detector_weights: None,
            identity_weights: None,
            precision: PrecisionChoice::Of(Precision::F32),
            batch: AutoNumber::Auto,
            features: false,
        }
    }
}

/// One network of several, `[[model.member]]`: its weights, and how much it counts in each task
/// beside the others. 0, or a task left out: it does not count there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberSettings {
    /// DDAMFN weights, `.safetensors`; a relative path counts from the pipeline file.
    pub weights: PathBuf,
    /// Its weight for valence and arousal.
    #[serde(default)]
    pub valence_arousal: f64,
    /// Its weight for expressions.
    #[serde(default)]
    pub expression: f64,
    /// Its weight for action units.
    #[serde(default)]
    pub action_units: f64,
}

impl MemberSettings {
    /// How much the network counts.
    pub fn weights_per_task(&self) -> PerTask<f64> {
        PerTask {
            valence_arousal: self.valence_arousal,
            expression: self.expression,
            action_units: self.action_units,
        }
    }
}

impl ModelSettings {
    /// The networks that annotate, each with its weights per task; none without trained weights.
    pub fn networks(&self) -> Vec<MemberSettings> {
        let only = self.weights.iter().map(|weights| MemberSettings {
            weights: weights.clone(),
            valence_arousal: 1.0,
            expression: 1.0,
            action_units: 1.0,
        });
        only.chain(self.member.iter().cloned()).collect()
    }

    /// Checks all values.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn check(&self) -> Result<(), String> {
        if self.weights.is_some() && !self.member.is_empty() {
            return Err("[model] has weights and members; name one network or several".to_owned());
        }
        for member in &self.member {
            let weights = [member.valence_arousal, member.expression, member.action_units];
            let valid = weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0);
            if !valid || weights.iter().all(|weight| *weight == 0.0) {
                return Err(format!(
                    "[[model.member]] {}: valence_arousal, expression and action_units must be at least 0, and one of \
                     them more",
                    member.weights.display()
                ));
            }
        }
        Ok(())
    }
}
