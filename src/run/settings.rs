//! The settings of a run, their hashes, and how two of them differ.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::Pipeline;
use crate::face::QualityLimits;
use crate::hash::hash;
use crate::postprocess::{PostprocessSettings, Preset};

/// Everything that shapes the numbers of a run besides inputs and weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSettings {
    /// The pipeline file.
    pub pipeline: Pipeline,
    /// Thresholds and smoothing found for the weights: those that the weights carry, or a file's.
    /// The pipeline's own settings override them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Preset>,
    /// `cpu` or `cuda`.
    pub device_kind: String,
    /// Frames after this one are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_frames: Option<u32>,
}

impl RunSettings {
    /// sha256 of the settings without the paths of weights and blended runs, whose contents have hashes of their own.
    ///
    /// # Errors
    /// Only if the settings cannot be written as JSON.
    pub fn hash(&self) -> Result<String, serde_json::Error> {
        let mut settings = self.clone();
        settings.pipeline.model.weights = None;
        for member in &mut settings.pipeline.model.member {
            member.weights = PathBuf::new();
        }
        settings.pipeline.model.detector_weights = None;
        settings.pipeline.model.identity_weights = None;
        for member in &mut settings.pipeline.postprocess.blend.member {
            // The hash of a blended run's contents is in the settings, too.
            member.run = member.run.take().map(|_| PathBuf::new());
        }
        let temporal = &mut settings.pipeline.postprocess.temporal;
        temporal.weights = temporal.weights.take().map(|_| PathBuf::new());
        hash(&settings)
    }

    /// As [`RunSettings::hash`] without post-processing and the limits of quality: equal where the raw columns are.
    ///
    /// # Errors
    /// Only if the settings cannot be written as JSON.
    pub fn raw_hash(&self) -> Result<String, serde_json::Error> {
        let mut settings = self.clone();
        settings.pipeline.postprocess = PostprocessSettings::default();
        settings.pipeline.quality = QualityLimits::default();
        settings.calibration = None;
        settings.hash()
    }

    /// The settings that differ, as `pipeline.model.batch: 16 -> 4`, sorted by name.
    pub fn changes(&self, new: &RunSettings) -> Vec<String> {
        let tree = |settings: &RunSettings| serde_json::to_value(settings).unwrap_or_default();
        let mut changes = Vec::new();
        collect_changes("", &tree(self), &tree(new), &mut changes);
        changes
    }
}

/// Appends the leaves in which two trees differ. `name`: of the tree, empty for the root.
fn collect_changes(name: &str, old: &Value, new: &Value, changes: &mut Vec<String>) {
    let (Some(old_map), Some(new_map)) = (old.as_object(), new.as_object()) else {
        if old != new {
            changes.push(format!("{name}: {old} -> {new}"));
        }
        return;
    };
    let keys: BTreeSet<&String> = old_map.keys().chain(new_map.keys()).collect();
    for key in keys {
        let below = match name {
            "" => key.clone(),
            _ => format!("{name}.{key}"),
        };
        let value = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
        collect_changes(&below, &value(old_map), &value(new_map), changes);
    }
}
