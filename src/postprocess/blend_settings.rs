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
    /// Overlap (intersection over union) from which the boxes of two runs are one face, in (0, 1].
    pub overlap: f32,
    pub member: Vec<BlendMember>,
}

/// One run of several, and how much it counts in each task beside the others. 0, or a task left out: it
/// has no say there.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BlendMember {
    /// Folder of a finished run, a relative path counts from the pipeline file; left out: this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<PathBuf>,
    pub valence_arousal: f64,
    pub expression: f64,
    pub action_units: f64,
    /// What the folder held when it was named: written by the program into the plan, never by hand.
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
    /// How much the run counts.
    pub fn weights_per_task(&self) -> PerTask<f64> {
        PerTask {
            valence_arousal: self.valence_arousal,
            expression: self.expression,
            action_units: self.action_units,
        }
    }
}

impl BlendSettings {
    /// Nothing is blended.
    pub fn is_empty(&self) -> bool {
        self.member.is_empty()
    }

    /// Refuses what no run could be blended by.
    ///
    /// # Errors
    /// One sentence.
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
            let say = [valence_arousal, expression, action_units];
            let sound = say.iter().all(|weight| weight.is_finite() && *weight >= 0.0);
            let silent = say.iter().all(|weight| *weight == 0.0);
            if !sound || (silent && member.run.is_some()) {
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
