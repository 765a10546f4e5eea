//! The pipeline file: every number that shapes a prediction, with its unit, in one TOML file.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::face::shot::ShotSettings;
use crate::face::track::TrackerSettings;
use crate::face::{AlignmentSettings, DetectorSettings};
use crate::model::Precision;
use crate::postprocess::PostprocessSettings;
use crate::video::VideoSettings;

/// The settings of a run. What a pipeline file leaves out has the default given in its room.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pipeline {
    /// What is refused as a video, and when reading one is given up.
    pub video: VideoSettings,
    pub detector: DetectorSettings,
    pub shots: ShotSettings,
    pub tracker: TrackerSettings,
    pub alignment: AlignmentSettings,
    pub model: ModelSettings,
    pub postprocess: PostprocessSettings,
}

/// Which networks run, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSettings {
    /// DDAMFN weights, `.safetensors`; a relative path counts from the pipeline file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// RetinaFace weights, `.safetensors`; the project's own if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detector_weights: Option<PathBuf>,
    /// Number format of the networks' arithmetic.
    pub precision: Precision,
    /// Faces a forward pass of DDAMFN takes at once.
    pub batch: usize,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            weights: None,
            detector_weights: None,
            precision: Precision::F32,
            batch: 16,
        }
    }
}

/// A pipeline file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("pipeline file {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("pipeline file {}: {reason}", path.display())]
    Invalid { path: PathBuf, reason: String },
}

impl Pipeline {
    /// Reads a pipeline file. Keys that mean nothing are refused.
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
        let mut pipeline: Pipeline = toml::from_str(&text).map_err(|error| invalid(error.to_string()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        for weights in [&mut pipeline.model.weights, &mut pipeline.model.detector_weights] {
            *weights = weights.take().map(|file| folder.join(file));
        }
        pipeline.check().map_err(invalid)?;
        Ok(pipeline)
    }

    /// Refuses values that no run could use.
    fn check(&self) -> Result<(), String> {
        if self.model.batch == 0 {
            return Err("[model] batch must be at least 1".to_owned());
        }
        Ok(())
    }
}

/// The sha256 of a value's JSON, in hexadecimal: equal for equal settings on any machine.
pub fn hash(value: &impl Serialize) -> Result<String, serde_json::Error> {
    // Through `Value`, whose maps are sorted by key.
    let json = serde_json::to_string(&serde_json::to_value(value)?)?;
    Ok(hexadecimal(&Sha256::digest(json.as_bytes())))
}

/// Bytes as lower-case hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
