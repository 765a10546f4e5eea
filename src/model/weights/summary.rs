//! What `abaw weights show` prints of a file.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::card::{class_names, task_names};
use super::{Card, Imported, WeightsError, import, sha256};
use crate::escape::escape_control;

/// A file of weights in words and numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The file.
    pub path: PathBuf,
    /// Of the whole file, in hexadecimal.
    pub sha256: String,
    /// The file's size.
    pub bytes: u64,
    /// How the weights are stored, in words.
    pub origin: String,
    /// The network in words.
    pub architecture: String,
    /// Of `valence_arousal`, `expression`, `action_units` those that the network has outputs for.
    pub tasks: Vec<&'static str>,
    /// Expression classes by output; null without that task.
    pub class_order: Option<Vec<&'static str>>,
    /// Number of parameters that training changes and the network uses.
    pub parameters: usize,
    /// Number of tensors in the file that the network does not use.
    pub unused_tensors: usize,
    /// What else is known of the weights.
    #[serde(flatten)]
    pub card: Card,
}

impl Summary {
    /// Reads a file of weights of any [`Format`](super::Format).
    ///
    /// # Errors
    /// As [`import`].
    pub fn of(path: &Path) -> Result<Self, WeightsError> {
        let io_error = |source| WeightsError::io(path, source);
        let bytes = path.metadata().map_err(io_error)?.len();
        let sha256 = sha256(path).map_err(io_error)?;
        let Imported { weights, report } = import(path)?;
        let architecture = weights.architecture();
        Ok(Self {
            path: path.to_owned(),
            sha256,
            bytes,
            origin: report.origin.to_string(),
            architecture: architecture.to_string(),
            tasks: task_names(architecture),
            class_order: class_names(architecture),
            parameters: weights.parameters(),
            unused_tensors: report.unused.values().sum::<usize>() + report.unknown.len(),
            card: weights.card,
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Card {
            normalisation,
            alignment,
            source,
            licence,
            trained,
            calibration,
            weak_expressions,
        } = &self.card;
        let path = self.path.display().to_string();
        writeln!(
            f,
            "file           {}, {} bytes",
            escape_control(&path),
            self.bytes
        )?;
        writeln!(f, "sha256         {}", self.sha256)?;
        writeln!(f, "stored as      {}", self.origin)?;
        writeln!(f, "architecture   {}", self.architecture)?;
        writeln!(f, "tasks          {}", self.tasks.join(", "))?;
        match &self.class_order {
            Some(classes) => writeln!(f, "class order    {}", classes.join(", "))?,
            None => writeln!(f, "class order    no expressions")?,
        }
        writeln!(
            f,
            "parameters     {} ({} unused tensors beside them)",
            self.parameters, self.unused_tensors
        )?;
        writeln!(
            f,
            "input          3x112x112 RGB / 255, mean {:?}, std {:?}",
            normalisation.mean, normalisation.std
        )?;
        writeln!(f, "alignment      {alignment}")?;
        if !weak_expressions.is_empty() {
            let names: Vec<&str> = weak_expressions.iter().map(|class| class.name()).collect();
            writeln!(f, "weak           {}: seldom right", names.join(", "))?;
        }
        writeln!(f, "source         {}", escape_control(source))?;
        let licence = licence.as_deref().unwrap_or("not stated");
        writeln!(f, "licence        {}", escape_control(licence))?;
        writeln!(
            f,
            "weights        {}",
            if *trained {
                "trained"
            } else {
                "untrained: predictions mean nothing"
            }
        )?;
        match calibration {
            None => writeln!(f, "calibration    none: thresholds are 0.5"),
            Some(calibration) => {
                writeln!(f, "calibration")?;
                calibration
                    .lines()
                    .try_for_each(|line| writeln!(f, "  {}", escape_control(line)))
            }
        }
    }
}
