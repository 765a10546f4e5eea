//! From a file that somebody else made to weights that fill a network, with a report of what was left out.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use tch::{Kind, Tensor};

use super::checkpoint::{self, Checkpoint, Origin};
use super::safetensors::all_finite;
use super::{Card, Fit, Weights, WeightsError, sha256};
use crate::model::architecture::is_unused;
use crate::model::named_tensors::NamedTensors;

/// Weights out of a file.
#[derive(Debug)]
pub struct Imported {
    /// The weights.
    pub weights: Weights,
    /// What was read and what was left out.
    pub report: ImportReport,
}

/// How weights were found in a file, and what of it they do not include.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportReport {
    /// Where in the file they were.
    pub origin: Origin,
    /// Tensors that the original network holds and never uses: how many of each kind.
    pub unused: BTreeMap<&'static str, usize>,
    /// Names of tensors that no DDAMFN has.
    pub unknown: Vec<String>,
}

/// Reads weights from a `.safetensors` file or a checkpoint of `torch.save`; nothing in it is run.
///
/// # Errors
/// Any [`WeightsError`]; tensors that are missing or misshapen are all listed in one.
pub fn import(path: &Path) -> Result<Imported, WeightsError> {
    let Checkpoint {
        tensors,
        metadata,
        origin,
    } = checkpoint::read(path)?;
    let Fit {
        architecture,
        tensors,
        left_over,
    } = Fit::of(tensors).map_err(|source| WeightsError::Network {
        path: path.to_owned(),
        source,
    })?;
    refuse_what_are_no_numbers(path, &tensors)?;
    let card = match Card::from_metadata(&metadata, &architecture) {
        Ok(Some(card)) => card,
        Ok(None) => Card::as_published(describe(path)?),
        Err(reason) => {
            return Err(WeightsError::Card {
                path: path.to_owned(),
                reason,
            });
        }
    };

    let mut report = ImportReport {
        origin,
        unused: BTreeMap::new(),
        unknown: Vec::new(),
    };
    for name in left_over.into_keys() {
        if is_unused(&name) {
            *report.unused.entry(kind_of_unused(&name)).or_default() += 1;
        } else {
            report.unknown.push(name);
        }
    }
    let weights = Weights {
        architecture,
        tensors,
        card,
    };
    Ok(Imported { weights, report })
}

/// What a file without a card is called in the card made for it.
fn describe(path: &Path) -> Result<String, WeightsError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let hash = sha256(path).map_err(|source| WeightsError::io(path, source))?;
    Ok(format!("{name}, sha256 {hash}"))
}

fn refuse_what_are_no_numbers(path: &Path, tensors: &NamedTensors) -> Result<(), WeightsError> {
    let is_number =
        |tensor: &Tensor| Ok::<_, WeightsError>(tensor.kind() == Kind::Float && all_finite(tensor)?);
    let mut names = Vec::new();
    for (name, tensor) in tensors {
        if !is_number(tensor)? {
            names.push(name.clone());
        }
    }
    if names.is_empty() {
        Ok(())
    } else {
        Err(WeightsError::NotNumbers {
            path: path.to_owned(),
            names,
        })
    }
}

/// In what way a tensor that [`is_unused`] is so.
fn kind_of_unused(name: &str) -> &'static str {
    if name.ends_with(".num_batches_tracked") {
        "num_batches_tracked"
    } else if name.contains(".conv_dw.") {
        "conv_dw.bn and conv_dw.prelu"
    } else if name.contains(".CoordAtt.Linear.") {
        "CoordAtt.Linear"
    } else {
        "bn"
    }
}

impl fmt::Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "read       {}", self.origin)?;
        for (kind, count) in &self.unused {
            writeln!(
                f,
                "left out   {count} x {kind} (never used by the original network)"
            )?;
        }
        Ok(())
    }
}
