//! The network in a file: a DDAMFN, or a TorchScript network with its card.
//!
//! A TorchScript network and its card are one `.safetensors` file, as all weights are: its metadata hold the card (`card`, TOML),
//! its one tensor `program` the bytes of the TorchScript file.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde_json::json;
use tch::{Kind, Tensor};

use super::card::{FORMAT_VERSION, TASKS, TORCHSCRIPT, is_torchscript};
use super::checkpoint::Format;
use super::safetensors::{self, NumberFormat};
use super::{Weights, WeightsError, sha256};
use crate::labels::{Expression, ExtraUnit};
use crate::model::error::ModelError;
use crate::model::named_tensors::NamedTensors;
use crate::model::torchscript::{NetworkCard, OutputShapes, Program, output_shapes, try_out};

/// The tensor of the program's bytes.
const PROGRAM: &str = "program";

/// The network in a file.
#[derive(Debug)]
pub enum StoredNetwork {
    /// A DDAMFN.
    Ddamfn(Box<Weights>),
    /// Another one, as a TorchScript program.
    TorchScript(Box<StoredScript>),
}

/// A TorchScript network and its card.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredScript {
    /// The program.
    pub program: Program,
    /// What it takes and gives.
    pub card: NetworkCard,
}

impl StoredNetwork {
    /// Reads a network with its card.
    ///
    /// # Errors
    /// Any [`WeightsError`]; each names the file.
    pub fn load(path: &Path) -> Result<Self, WeightsError> {
        if Format::of(path)? == Format::Safetensors {
            check_size(path)?;
            let contents = safetensors::read(path)?;
            if is_torchscript(&contents.metadata) {
                let script = StoredScript::of(path, &contents.tensors, &contents.metadata)?;
                return Ok(Self::TorchScript(Box::new(script)));
            }
        }
        Ok(Self::Ddamfn(Box::new(Weights::load(path)?)))
    }

    /// Whether a file holds a TorchScript network with its card.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn is_torchscript(path: &Path) -> Result<bool, WeightsError> {
        Ok(Format::of(path)? == Format::Safetensors && is_torchscript(&safetensors::read_metadata(path)?))
    }

    /// False for a seeded initialisation, whose predictions mean nothing.
    pub fn is_trained(&self) -> bool {
        match self {
            Self::Ddamfn(weights) => weights.card.trained,
            Self::TorchScript(_) => true,
        }
    }

    /// The tasks that the network has no output for, in words.
    pub fn missing_tasks(&self) -> Vec<&'static str> {
        match self {
            Self::Ddamfn(weights) => weights.architecture().tasks_without_head(),
            Self::TorchScript(script) => script.card.missing_tasks(),
        }
    }

    /// The action units beside ABAW's twelve that it has an output for, by their numbers.
    pub fn extra_units(&self) -> Vec<ExtraUnit> {
        match self {
            Self::Ddamfn(_) => Vec::new(),
            Self::TorchScript(script) => script.card.extra_units(),
        }
    }

    /// Expressions that it seldom tells right, as far as its card has them.
    pub fn weak_expressions(&self) -> &[Expression] {
        match self {
            Self::Ddamfn(weights) => &weights.card.weak_expressions,
            Self::TorchScript(_) => &[],
        }
    }

    /// Thresholds and smoothing found for it, TOML.
    pub fn calibration(&self) -> Option<&str> {
        match self {
            Self::Ddamfn(weights) => weights.card.calibration.as_deref(),
            Self::TorchScript(script) => script.card.calibration.as_deref(),
        }
    }
}

impl StoredScript {
    /// Takes a TorchScript file with a card, and tries it out on a batch of made-up faces.
    ///
    /// # Errors
    /// [`WeightsError::Script`] if the file is no program, or does not fit the card.
    pub fn import(path: &Path, card: NetworkCard) -> Result<Self, WeightsError> {
        let program = read_program(path)?;
        try_out(&program, &card).map_err(|source| match source {
            ModelError::TorchScript(source) => WeightsError::Script {
                path: path.to_owned(),
                source,
            },
            source => WeightsError::Network {
                path: path.to_owned(),
                source,
            },
        })?;
        Ok(Self { program, card })
    }

    fn of(
        path: &Path,
        tensors: &NamedTensors,
        metadata: &HashMap<String, String>,
    ) -> Result<Self, WeightsError> {
        let card_error = |reason: String| WeightsError::Card {
            path: path.to_owned(),
            reason,
        };
        if metadata.get("format_version").map(String::as_str) != Some(FORMAT_VERSION) {
            return Err(card_error(format!("format_version is not {FORMAT_VERSION}")));
        }
        let card = metadata
            .get("card")
            .ok_or_else(|| card_error("no card".to_owned()))?;
        let card = NetworkCard::parse(card).map_err(|error| card_error(error.to_string()))?;
        let program = tensors
            .get(PROGRAM)
            .filter(|program| program.kind() == Kind::Uint8);
        let program = program.ok_or_else(|| WeightsError::damaged(path, "no tensor `program` of bytes"))?;
        let mut bytes = vec![0; program.numel()];
        program.f_copy_data(&mut bytes, program.numel())?;
        let program = Program::new(bytes).map_err(|source| WeightsError::Script {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self { program, card })
    }

    /// Writes program and card as `.safetensors`. The file appears whole or not at all; the same network gives the same bytes.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), WeightsError> {
        let bytes = self.program.bytes();
        let program = Tensor::f_from_data_size(bytes, &[bytes.len() as i64], Kind::Uint8)?;
        let mut metadata: BTreeMap<String, String> = [
            ("format_version", FORMAT_VERSION.to_owned()),
            ("architecture", TORCHSCRIPT.to_owned()),
            ("tasks", json!(self.tasks()).to_string()),
            ("source", self.card.source.clone()),
            ("trained", "true".to_owned()),
            ("card", self.card.to_toml()),
        ]
        .map(|(key, text)| (key.to_owned(), text))
        .into();
        if let Some(licence) = &self.card.licence {
            metadata.insert("licence".to_owned(), licence.clone());
        }
        let tensors = [(PROGRAM.to_owned(), program)].into();
        safetensors::write(path, &tensors, &metadata, NumberFormat::F32)
    }

    /// Of `valence_arousal`, `expression`, `action_units` those that it has outputs for.
    pub fn tasks(&self) -> Vec<&'static str> {
        let outputs = &self.card.outputs;
        let has = [
            outputs.valence_arousal.is_some(),
            outputs.expression.is_some(),
            outputs.action_units.is_some(),
        ];
        let tasks = TASKS.into_iter().zip(has);
        tasks.filter_map(|(task, has)| has.then_some(task)).collect()
    }
}

/// A card to be filled in for a TorchScript file, as TOML.
///
/// # Errors
/// [`WeightsError::Script`] if the file is no program or does not run.
pub fn card_to_fill_in(path: &Path) -> Result<String, WeightsError> {
    let program = read_program(path)?;
    let shapes: OutputShapes = output_shapes(&program).map_err(|source| WeightsError::Script {
        path: path.to_owned(),
        source,
    })?;
    let sha256 = sha256(path).map_err(|source| WeightsError::io(path, source))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(NetworkCard::template(
        &format!("{name}, sha256 {sha256}"),
        &shapes,
    ))
}

fn read_program(path: &Path) -> Result<Program, WeightsError> {
    check_size(path)?;
    let bytes = std::fs::read(path).map_err(|source| WeightsError::io(path, source))?;
    Program::new(bytes).map_err(|source| WeightsError::Script {
        path: path.to_owned(),
        source,
    })
}

/// Refuses a file that is larger than any network before it is read.
fn check_size(path: &Path) -> Result<(), WeightsError> {
    let bytes = path
        .metadata()
        .map_err(|source| WeightsError::io(path, source))?
        .len();
    match bytes <= Program::MOST_BYTES {
        true => Ok(()),
        false => Err(WeightsError::not_weights(
            path,
            format!("{bytes} bytes, more than {}", Program::MOST_BYTES),
        )),
    }
}
