//! What `abaw weights show` prints of a TorchScript network.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::stored::StoredNetwork;
use super::{WeightsError, sha256};
use crate::escape::escape_control;
use crate::model::torchscript::NetworkCard;

/// A file with a TorchScript network in words and numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScriptSummary {
    /// The file.
    pub path: PathBuf,
    /// Of the whole file, in hexadecimal.
    pub sha256: String,
    /// The file's size.
    pub bytes: u64,
    /// `TorchScript network`.
    pub architecture: &'static str,
    /// Of `valence_arousal`, `expression`, `action_units` those that the network has outputs for.
    pub tasks: Vec<&'static str>,
    /// What it takes and gives.
    pub card: NetworkCard,
}

impl ScriptSummary {
    /// Reads a file with a TorchScript network and its card.
    ///
    /// # Errors
    /// As [`StoredNetwork::load`]; a file with another network.
    pub fn of(path: &Path) -> Result<Self, WeightsError> {
        let io_error = |source| WeightsError::io(path, source);
        let StoredNetwork::TorchScript(script) = StoredNetwork::load(path)? else {
            return Err(WeightsError::not_weights(
                path,
                "not a TorchScript network with its card",
            ));
        };
        Ok(Self {
            path: path.to_owned(),
            sha256: sha256(path).map_err(io_error)?,
            bytes: path.metadata().map_err(io_error)?.len(),
            architecture: "TorchScript network",
            tasks: script.tasks(),
            card: script.card,
        })
    }
}

impl fmt::Display for ScriptSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display().to_string();
        writeln!(
            f,
            "file           {}, {} bytes",
            escape_control(&path),
            self.bytes
        )?;
        writeln!(f, "sha256         {}", self.sha256)?;
        writeln!(f, "architecture   {}", self.architecture)?;
        writeln!(f, "tasks          {}", self.tasks.join(", "))?;
        writeln!(f, "card")?;
        let card = self.card.to_toml();
        card.lines()
            .try_for_each(|line| writeln!(f, "  {}", escape_control(line)).map(drop))
    }
}
