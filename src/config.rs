//! The pipeline file: every number that shapes a prediction, with its unit, in one TOML file.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::auto_number::AutoNumber;
use crate::face::shot::ShotSettings;
use crate::face::track::TrackerSettings;
use crate::face::{AlignmentSettings, DetectorSettings, QualityLimits};
use crate::model::ModelSettings;
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
    /// What makes a look at a face usable.
    pub quality: QualityLimits,
    /// From raw to final predictions.
    pub postprocess: PostprocessSettings,
}

/// On a CPU the detector looks at each n-th frame as a whole: a face that comes is found within 0.2 seconds. A GPU has
/// time for all.
const WHOLE_EVERY: usize = 5;

/// Pictures and faces in a batch. On a CPU few are fastest, as they stay in its caches; where most looks are around faces, the
/// others are one by one, since a batch of them would keep four times as many frames waiting. On a GPU a pass of few takes as
/// long as one of many, and 64 pictures of 720p take 2 GiB on the way to the detector's size.
fn suitable_batches(device_kind: &str, memory: Option<usize>, whole_every: usize) -> (usize, usize) {
    const GIB: usize = 1 << 30;
    match (device_kind, memory) {
        ("cpu", _) if whole_every > 1 => (1, 16),
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
    /// A name that is neither a recipe of the program nor a file.
    #[error("--pipeline {}: neither a recipe ({recipes}) nor a file", path.display())]
    Unknown {
        /// What was asked for.
        path: PathBuf,
        /// The names of the recipes.
        recipes: String,
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
        let model = &mut pipeline.model;
        for weights in [
            &mut model.weights,
            &mut model.detector_weights,
            &mut model.identity_weights,
        ] {
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
        let temporal = &mut pipeline.postprocess.temporal;
        temporal.weights = temporal.weights.take().map(|weights| folder.join(weights));
        if temporal.content.is_some() {
            return Err("[postprocess.temporal] content is not for pipeline files".to_owned());
        }
        pipeline.check()?;
        Ok(pipeline)
    }

    /// As [`Pipeline::parse`], with other values for some keys, which may be deep: `detector.every`.
    ///
    /// # Errors
    /// As [`Pipeline::parse`]; a key below one that has no keys.
    pub fn parse_with(text: &str, folder: &Path, changes: &[(String, toml::Value)]) -> Result<Self, String> {
        if changes.is_empty() {
            return Self::parse(text, folder);
        }
        let mut table: toml::Table = toml::from_str(text).map_err(|error| error.to_string())?;
        for (key, value) in changes {
            let (sections, name) = key.rsplit_once('.').unwrap_or(("", key));
            let mut section = &mut table;
            for part in sections.split('.').filter(|part| !part.is_empty()) {
                let below = section
                    .entry(part)
                    .or_insert_with(|| toml::Value::Table(toml::Table::new()));
                section = below
                    .as_table_mut()
                    .ok_or_else(|| format!("{key}: `{part}` has no keys"))?;
            }
            section.insert(name.to_owned(), value.clone());
        }
        let text = toml::to_string(&table).map_err(|error| error.to_string())?;
        Self::parse(&text, folder)
    }

    /// Puts numbers in place of those that are `"auto"`: what suits a device kind, with so many bytes of memory if that is
    /// known. Outputs differ between them, batches by rounding, so a plan holds them.
    pub fn fix_numbers(&mut self, device_kind: &str, memory: Option<usize>) {
        let fixed = |number: AutoNumber, suitable| AutoNumber::of(number.or(suitable)).unwrap_or(number);
        let whole_every = if device_kind == "cpu" { WHOLE_EVERY } else { 1 };
        self.detector.whole_every = fixed(self.detector.whole_every, whole_every);
        let (frames, faces) = suitable_batches(device_kind, memory, self.detector.whole_every.or(1));
        self.detector.batch = fixed(self.detector.batch, frames);
        self.model.batch = fixed(self.model.batch, faces);
    }

    /// Checks all values.
    fn check(&self) -> Result<(), String> {
        let sections = [
            ("detector", self.detector.check()),
            ("shots", self.shots.check()),
            ("tracker", self.tracker.check()),
            ("quality", self.quality.check()),
        ];
        for (section, checked) in sections {
            checked.map_err(|error| format!("[{section}] {error}"))?;
        }
        let blend = self.postprocess.blend.check();
        blend.map_err(|error| format!("[postprocess.blend] {error}"))?;
        if !self.postprocess.blend.is_empty() && !self.postprocess.temporal.is_empty() {
            return Err(
                "[postprocess] blend and temporal both replace the raw numbers: keep one of them".to_owned(),
            );
        }
        self.model.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::PerTask;

    #[test]
    fn single_keys_can_be_changed() {
        let changed = |key: &str, value: toml::Value| {
            let change = [(key.to_owned(), value)];
            Pipeline::parse_with("[detector]\nevery = 2\nlong_side = 320\n", Path::new(""), &change)
        };
        let every = changed("detector.every", 3.into()).unwrap().detector;
        assert_eq!((every.every.get(), every.long_side), (3, 320));
        assert_eq!(
            changed("tracker.motion.speed", 2.0.into())
                .unwrap()
                .tracker
                .motion
                .speed,
            2.0
        );
        assert!(
            changed("detector.evry", 3.into())
                .unwrap_err()
                .contains("unknown field `evry`")
        );
        assert!(
            changed("detector.every.x", 3.into())
                .unwrap_err()
                .contains("`every` has no keys")
        );
        assert!(changed("detector.every", 0.into()).is_err());
    }

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
