//! The settings for blending several runs.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::labels::PerTask;

/// The `[postprocess.blend]` table of a pipeline file: final numbers from several finished runs over the
/// same videos, as the weighted mean of their raw ones. The rows, their boxes and raw columns stay those
/// of the run that is post-processed.
///
/// ```toml
/// [[postprocess.blend.member]]        # this run itself, which has no `run`
/// valence_arousal = 1.0
///
/// [[postprocess.blend.member]]
/// run = "../runs/other"               # beside the pipeline file
/// valence_arousal = 2.0
/// expression = 1.0
/// action_units = 1.0
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BlendSettings {
    /// Boxes of two runs are of one face if their intersection over union is at least this, in (0, 1].
    pub overlap: f32,
    /// The runs, each with its weights; none: nothing is blended.
    pub member: Vec<BlendMember>,
}

/// One run of several, and its weight in each task. A task that is left out has the weight 0.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BlendMember {
    /// Folder of a finished run, a relative path counts from the pipeline file; left out: this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<PathBuf>,
    /// Weight in valence and arousal, at least 0.
    pub valence_arousal: f64,
    /// Weight in the expressions, at least 0.
    pub expression: f64,
    /// Weight in the action units, at least 0.
    pub action_units: f64,
    /// Hash of what the folder held when the plan was made: written by the program, never by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

impl Default for BlendSettings {
    fn default() -> Self {
        Self {
            overlap: 0.5,
            member: Vec::new(),
        }
    }
}

impl BlendMember {
    /// The weights by task.
    pub fn weights_per_task(&self) -> PerTask<f64> {
        PerTask {
            valence_arousal: self.valence_arousal,
            expression: self.expression,
            action_units: self.action_units,
        }
    }
}

impl BlendSettings {
    /// True if nothing is blended.
    pub fn is_empty(&self) -> bool {
        self.member.is_empty()
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// One sentence about the first value that is not valid.
    pub fn check(&self) -> Result<(), String> {
        if !(self.overlap > 0.0 && self.overlap <= 1.0) {
            return Err(format!(
                "overlap must be above 0 and at most 1, not {}",
                self.overlap
            ));
        }
        if self.is_empty() {
            return Ok(());
        }
        let own = self.member.iter().filter(|member| member.run.is_none()).count();
        if own != 1 || self.member.len() < 2 {
            return Err(
                "member: name one without `run`, for the run itself, and each other run in one of its own"
                    .to_owned(),
            );
        }
        for member in &self.member {
            let BlendMember {
                valence_arousal,
                expression,
                action_units,
                ..
            } = *member;
            let weights = [valence_arousal, expression, action_units];
            let valid = weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0);
            let all_zero = weights.iter().all(|weight| *weight == 0.0);
            if !valid || (all_zero && member.run.is_some()) {
                let name = member
                    .run
                    .as_ref()
                    .map_or("this run".to_owned(), |run| run.display().to_string());
                return Err(format!(
                    "member {name}: valence_arousal, expression and action_units must be at least 0, and one of them \
                     more for another run"
                ));
            }
        }
        Ok(())
    }
}
