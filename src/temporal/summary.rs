//! What `abaw weights show` prints of a temporal network.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::card::{TemporalCard, TemporalWeights, TemporalWeightsError};
use crate::escape::escape_control;
use crate::model::weights::{WeightsError, sha256};

/// A file of a temporal network in words and numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TemporalSummary {
    /// The file.
    pub path: PathBuf,
    /// Of the whole file, in hexadecimal.
    pub sha256: String,
    /// Of `valence_arousal`, `expression`, `action_units` those that the network has outputs for.
    pub tasks: Vec<&'static str>,
    /// Numbers of a frame between the layers.
    pub channels: usize,
    /// Frames before and after a frame that its outputs depend on.
    pub reach: u32,
    /// What else is known of it.
    #[serde(flatten)]
    pub card: TemporalCard,
}

impl TemporalSummary {
    /// Reads a file of a temporal network.
    ///
    /// # Errors
    /// As [`TemporalWeights::load`].
    pub fn of(path: &Path) -> Result<Self, TemporalWeightsError> {
        let (network, card) = TemporalWeights::load(path)?;
        let unreadable = |source| WeightsError::Io {
            path: path.to_owned(),
            source,
        };
        Ok(Self {
            path: path.to_owned(),
            sha256: sha256(path).map_err(unreadable)?,
            tasks: network.tasks(),
            channels: network.channels(),
            reach: network.reach(),
            card,
        })
    }
}

impl fmt::Display for TemporalSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TemporalCard {
            dilations,
            networks,
            trained_on,
            chosen_on,
            source,
            licence,
        } = &self.card;
        writeln!(
            f,
            "file           {}",
            escape_control(&self.path.display().to_string())
        )?;
        writeln!(f, "sha256         {}", self.sha256)?;
        writeln!(
            f,
            "architecture   temporal convolution network, {} channels, dilations {dilations:?}: {} frames on either side",
            self.channels, self.reach
        )?;
        writeln!(f, "tasks          {}", self.tasks.join(", "))?;
        writeln!(f, "on outputs of  {}", escape_control(&networks.join(", ")))?;
        writeln!(
            f,
            "trained on     {} videos: {}",
            trained_on.len(),
            escape_control(&trained_on.join(", "))
        )?;
        writeln!(
            f,
            "chosen on      {} videos: {}",
            chosen_on.len(),
            escape_control(&chosen_on.join(", "))
        )?;
        writeln!(f, "source         {}", escape_control(source))?;
        writeln!(
            f,
            "licence        {}",
            escape_control(licence.as_deref().unwrap_or("not stated"))
        )
    }
}
