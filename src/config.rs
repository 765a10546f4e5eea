//! The pipeline file: every number that shapes a prediction, with its unit, in one TOML file.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::batch::BatchSize;
use crate::face::shot::ShotSettings;
use crate::face::track::TrackerSettings;
use crate::face::{AlignmentSettings, DetectorSettings};
use crate::labels::PerTask;
use crate::model::Precision;
use crate::postprocess::PostprocessSettings;
use crate::video::VideoSettings;

/// The settings of a pipeline file, one section per module. A setting that is left out has the default of its section.
///
/// ```
/// use abaw::config::Pipeline;
///
/// let text = "[detector]\nevery = 5\n[model]\nweights = \"mine.safetensors\"";
/// let pipeline = Pipeline::parse(text, "recipes".as_ref())?;
/// assert_eq!(pipeline.detector.every.get(), 5);
/// assert_eq!(pipeline.model.weights, Some("recipes/mine.safetensors".into()));
/// assert_eq!(pipeline.shots, Pipeline::default().shots);
/// assert!(Pipeline::parse("[detector]\nevry = 5", "recipes".as_ref()).is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pipeline {
    /// Limits for videos: which are refused, and when reading is given up.
    pub video: VideoSettings,
    /// Face detection.
    pub detector: DetectorSettings,
    /// Shot cuts.
    pub shots: ShotSettings,
    /// Tracking of faces over frames.
    pub tracker: TrackerSettings,
    /// Alignment of faces to crops.
    pub alignment: AlignmentSettings,
    /// The networks.
    pub model: ModelSettings,
    /// From raw to final predictions.
    pub postprocess: PostprocessSettings,
}

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
    /// Number format of the networks' arithmetic.
    pub precision: Precision,
    /// Faces a forward pass of DDAMFN takes at once.
    pub batch: BatchSize,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            weights: None,
            member: Vec::new(),
            detector_weights: None,
            precision: Precision::F32,
            batch: BatchSize::Auto,
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
}

/// Pictures and faces in a batch. On a CPU few are fastest, as they stay in its caches; on a GPU a pass of few takes as
/// long as one of many, and 64 pictures of 720p take 2 GiB on the way to the detector's size.
fn suitable_batches(device_kind: &str, memory: Option<usize>) -> (usize, usize) {
    const GIB: usize = 1 << 30;
    match (device_kind, memory) {
        ("cpu", _) => (4, 16),
        (_, Some(bytes)) if bytes >= 20 * GIB => (64, 256),
        (_, Some(bytes)) if bytes < 7 * GIB => (8, 32),
        _ => (32, 128),
    }
}

/// A pipeline file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("pipeline file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The file system's reason.
        source: std::io::Error,
    },
    /// A setting is unknown or not valid.
    #[error("pipeline file {}: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line where there is one.
        reason: String,
    },
}

impl Pipeline {
    /// Reads a pipeline file. Unknown keys are refused.
    ///
    /// # Errors
    /// [`ConfigError`] with the file, and the line where there is one.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let invalid = |reason: String| ConfigError::Invalid {
            path: path.to_owned(),
            reason,
        };
        Self::parse(&text, path.parent().unwrap_or(Path::new("."))).map_err(invalid)
    }

    /// As [`Pipeline::read`] of a file with the content `text` in `folder`.
    ///
    /// # Errors
    /// What is wrong, with the line where there is one.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, String> {
        let mut pipeline: Pipeline = toml::from_str(text).map_err(|error| error.to_string())?;
        for weights in [&mut pipeline.model.weights, &mut pipeline.model.detector_weights] {
            *weights = weights.take().map(|file| folder.join(file));
        }
        for member in &mut pipeline.model.member {
            member.weights = folder.join(&member.weights);
        }
        for member in &mut pipeline.postprocess.blend.member {
            member.run = member.run.take().map(|run| folder.join(run));
            if member.content.is_some() {
                return Err("[[postprocess.blend.member]] content is not for pipeline files".to_owned());
            }
        }
        pipeline.check()?;
        Ok(pipeline)
    }

    /// Puts numbers in place of sizes of batches that are `"auto"`: those of a device kind, with so many bytes of memory if
    /// that is known. Outputs differ by rounding between sizes, so a plan holds them.
    pub fn fix_batches(&mut self, device_kind: &str, memory: Option<usize>) {
        let (frames, faces) = suitable_batches(device_kind, memory);
        let fixed = |size: BatchSize, suitable| BatchSize::of(size.or(suitable)).unwrap_or(size);
        self.detector.batch = fixed(self.detector.batch, frames);
        self.model.batch = fixed(self.model.batch, faces);
    }

    /// Checks all values.
    fn check(&self) -> Result<(), String> {
        let sections = [
            ("detector", self.detector.check()),
            ("shots", self.shots.check()),
            ("tracker", self.tracker.check()),
        ];
        for (section, checked) in sections {
            checked.map_err(|error| format!("[{section}] {error}"))?;
        }
        let blend = self.postprocess.blend.check();
        blend.map_err(|error| format!("[postprocess.blend] {error}"))?;
        if self.model.weights.is_some() && !self.model.member.is_empty() {
            return Err("[model] has weights and members; name one network or several".to_owned());
        }
        for member in &self.model.member {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_can_be_used() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
        let mut recipes = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Those for training are recipes of another kind.
            if name.ends_with(".toml") && !name.starts_with("train-") {
                let pipeline = Pipeline::read(&path).unwrap();
                pipeline.postprocess.resolve(None).unwrap();
                // Also a preset that is only offered.
                for name in pipeline.postprocess.preset.keys() {
                    let presets = vec![name.clone()];
                    let with = PostprocessSettings {
                        presets,
                        ..pipeline.postprocess.clone()
                    };
                    assert_ne!(with.resolve(None).unwrap(), Default::default(), "{name}");
                }
                recipes += 1;
            }
        }
        assert!(recipes >= 5);
    }

    #[test]
    fn networks_are_one_or_several_and_each_has_a_weight() {
        let folder = tempfile::tempdir().unwrap();
        let read = |model: &str| {
            let path = folder.path().join("pipeline.toml");
            std::fs::write(&path, format!("[model]\n{model}")).unwrap();
            Pipeline::read(&path).map(|pipeline| pipeline.model.networks())
        };
        let one = read("weights = \"all.safetensors\"").unwrap();
        assert_eq!(one[0].weights, folder.path().join("all.safetensors"));
        assert_eq!(one[0].weights_per_task(), PerTask::all(1.0));
        let two = "[[model.member]]\nweights = \"va.safetensors\"\nvalence_arousal = 1.0\n\
                   [[model.member]]\nweights = \"rest.safetensors\"\nexpression = 0.5\naction_units = 2\n";
        let networks = read(two).unwrap();
        assert_eq!(networks[0].weights_per_task().expression, 0.0);
        assert_eq!(networks[1].weights_per_task().action_units, 2.0);
        assert!(read(&format!("weights = \"all.safetensors\"\n{two}")).is_err());
        assert!(read("[[model.member]]\nweights = \"a.safetensors\"\n").is_err());
        assert!(read("[[model.member]]\nweights = \"a.safetensors\"\nexpression = -1.0\n").is_err());
    }
}
