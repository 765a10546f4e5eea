//! The file of a temporal network: `.safetensors` with what must be known to use it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::network::TemporalNetwork;
use crate::model::NamedTensors;
use crate::model::weights::{NumberFormat, WeightsError, read_tensors, write_tensors};

/// The value of the metadata's key `architecture`.
const ARCHITECTURE: &str = "temporal convolution network";
/// Version of the metadata that this program writes and reads.
const FORMAT_VERSION: &str = "1";

/// What must be known of a temporal network besides its numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemporalCard {
    /// Frames between the three that each block sees.
    pub dilations: Vec<u32>,
    /// sha256 of the networks whose features and outputs it was trained on, in the order of the run's plan.
    pub networks: Vec<String>,
    /// Names of the videos that it was trained on: on these it is never scored.
    pub trained_on: Vec<String>,
    /// Names of the videos that chose its epoch.
    pub chosen_on: Vec<String>,
    /// Where the weights come from, in words.
    pub source: String,
    /// Under which licence, if known.
    pub licence: Option<String>,
}

impl TemporalCard {
    /// Whether the network was trained on a video. Ids begin at the input folder, so one of the same video in another run
    /// may be longer or shorter: `v` and `train/v` count as one video.
    pub fn was_trained_on(&self, video: &str) -> bool {
        self.trained_on.iter().any(|name| is_same_video(name, video))
    }

    /// Whether a video chose the epoch of the network, likewise.
    pub fn was_chosen_on(&self, video: &str) -> bool {
        self.chosen_on.iter().any(|name| is_same_video(name, video))
    }

    fn to_metadata(&self) -> BTreeMap<String, String> {
        let fields = [
            ("format_version", Some(FORMAT_VERSION.to_owned())),
            ("architecture", Some(ARCHITECTURE.to_owned())),
            ("dilations", Some(json!(self.dilations).to_string())),
            ("networks", Some(json!(self.networks).to_string())),
            ("trained_on", Some(json!(self.trained_on).to_string())),
            ("chosen_on", Some(json!(self.chosen_on).to_string())),
            ("source", Some(self.source.clone())),
            ("licence", self.licence.clone()),
        ];
        fields
            .into_iter()
            .filter_map(|(key, text)| Some((key.to_owned(), text?)))
            .collect()
    }

    fn from_metadata(metadata: &HashMap<String, String>) -> Result<Self, String> {
        if metadata.get("architecture").map(String::as_str) != Some(ARCHITECTURE) {
            return Err("no network that `abaw train` made of a recipe with [temporal]".to_owned());
        }
        match metadata.get("format_version").map(String::as_str) {
            Some(FORMAT_VERSION) => {}
            other => {
                return Err(format!(
                    "format_version {}, but this program knows {FORMAT_VERSION} only",
                    other.unwrap_or_default()
                ));
            }
        }
        let mut fields = serde_json::Map::new();
        for (key, text) in metadata {
            let value = match key.as_str() {
                "source" | "licence" => Value::from(text.as_str()),
                "dilations" | "networks" | "trained_on" | "chosen_on" => {
                    serde_json::from_str(text).map_err(|error| format!("{key}: {error}"))?
                }
                _ => continue,
            };
            fields.insert(key.clone(), value);
        }
        serde_json::from_value(fields.into()).map_err(|error| error.to_string())
    }
}

/// Whether one name is the other, or what follows a slash in it.
fn is_same_video(a: &str, b: &str) -> bool {
    let ends_in = |long: &str, short: &str| {
        long.strip_suffix(short)
            .is_some_and(|head| head.is_empty() || head.ends_with('/'))
    };
    ends_in(a, b) || ends_in(b, a)
}

/// A file is no temporal network.
#[derive(Debug, thiserror::Error)]
pub enum TemporalWeightsError {
    /// It cannot be read or written, or is no `.safetensors`.
    #[error(transparent)]
    File(#[from] WeightsError),
    /// Its card or its tensors are not those of a temporal network.
    #[error("{}: not usable as a temporal network: {reason}", path.display())]
    NotTemporal {
        /// The file.
        path: PathBuf,
        /// Why, in words.
        reason: String,
    },
}

/// The weights of a temporal network and its card.
#[derive(Debug)]
pub struct TemporalWeights {
    /// By name, see [`TemporalNetwork::new`].
    pub tensors: NamedTensors,
    /// What is known of them besides their numbers.
    pub card: TemporalCard,
}

impl TemporalWeights {
    /// Whether a file holds a temporal network, as far as its metadata tell; one that cannot be read holds none.
    pub fn is_one(path: &Path) -> bool {
        let metadata = read_tensors(path)
            .map(|(_, metadata)| metadata)
            .unwrap_or_default();
        metadata.get("architecture").map(String::as_str) == Some(ARCHITECTURE)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// A file that cannot be read, or is none of a temporal network.
    pub fn load(path: &Path) -> Result<(TemporalNetwork, TemporalCard), TemporalWeightsError> {
        let (tensors, metadata) = read_tensors(path)?;
        let not_temporal = |reason: String| TemporalWeightsError::NotTemporal {
            path: path.to_owned(),
            reason,
        };
        let card = TemporalCard::from_metadata(&metadata).map_err(not_temporal)?;
        let network = TemporalNetwork::new(&tensors, &card.dilations).map_err(not_temporal)?;
        Ok((network, card))
    }

    /// Writes a file; it appears whole or not at all.
    ///
    /// # Errors
    /// The file system's.
    pub fn save(&self, path: &Path) -> Result<(), TemporalWeightsError> {
        let metadata = self.card.to_metadata();
        Ok(write_tensors(path, &self.tensors, &metadata, NumberFormat::F32)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_video_is_the_same_in_runs_over_other_folders() {
        for (a, b, same) in [
            ("v1", "v1", true),
            ("train/v1", "v1", true),
            ("v1", "batch/train/v1", true),
            ("xv1", "v1", false),
            ("a/v1", "b/v1", false),
            ("v1", "v1/x", false),
        ] {
            assert_eq!(is_same_video(a, b), same, "{a} {b}");
        }
    }
}
