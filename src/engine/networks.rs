//! The networks of a run: which weights, read once, forked for each worker.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tch::Device;

use super::input::InputKind;
use super::plan::Plan;
use crate::config::ModelSettings;
use crate::device::LibtorchVersion;
use crate::face::template::TemplateSet;
use crate::face::{Detector, FaceError};
use crate::model::weights::{Weights, WeightsError, sha256};
use crate::model::{Architecture, InferenceForm, ModelError, Predictor, initial_weights};
use crate::postprocess::Preset;
use crate::table::WeightsRecord;
use crate::video::libav_versions;

/// The detector's weights as the set-up puts them, below a folder above the program.
const DETECTOR: &str = "models/retinaface-mobilenet0.25.safetensors";

/// The initialisation of a network without trained weights.
const SEED: u64 = 2407_12390;

/// What a record says of the networks' purposes.
const ROLE_DETECTOR: &str = "detector";
const ROLE_AFFECT: &str = "affect";
const TRAINED: &str = "trained";
/// Numbers of such weights mean nothing.
pub const UNTRAINED: &str = "untrained";

/// The networks of one worker.
pub struct Networks {
    pub detector: Detector,
    pub predictor: Predictor,
}

impl Networks {
    /// The same networks for another thread; weights are shared.
    pub fn fork(&self) -> Self {
        Self {
            detector: self.detector.fork(),
            predictor: self.predictor.clone(),
        }
    }
}

/// Networks ready to run.
pub struct Loaded {
    pub networks: Networks,
    /// Device kind, precision and form, for the tables' footers.
    pub inference: String,
    /// Thresholds and smoothing found for the weights, if they carry any.
    pub calibration: Option<Preset>,
    /// Sentences that a person should read before trusting the numbers.
    pub warnings: Vec<String>,
}

/// The networks of a run cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum NetworksError {
    #[error(
        "the face detector's weights are missing: run `make detector`, or name them as detector_weights under [model] in the pipeline file"
    )]
    NoDetector,
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{} has changed since the run was planned (sha256 {found}, planned {planned}); plan anew or put the file back", path.display())]
    Changed {
        path: PathBuf,
        planned: String,
        found: String,
    },
    #[error(transparent)]
    Face(#[from] FaceError),
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error("affect weights: {0}")]
    Model(#[from] ModelError),
    #[error("{}: the calibration that these weights carry cannot be used: {reason}", path.display())]
    Calibration { path: PathBuf, reason: String },
}

/// Versions of what shapes the numbers, by name.
pub fn versions() -> BTreeMap<String, String> {
    let libtorch = LibtorchVersion::linked().map(|version| version.to_string());
    [
        ("abaw", env!("CARGO_PKG_VERSION").to_owned()),
        ("libtorch", libtorch.unwrap_or_else(|| "unknown".to_owned())),
        ("libav", libav_versions()),
    ]
    .map(|(name, version)| (name.to_owned(), version))
    .into()
}

/// Names the weights of a run: completes the settings with the detector's place and gives the
/// record of both networks.
///
/// # Errors
/// [`NetworksError`] if a file is missing, holds no such network or a calibration that means nothing.
pub fn find_weights(model: &mut ModelSettings) -> Result<Vec<WeightsRecord>, NetworksError> {
    let detector = match &model.detector_weights {
        Some(path) => path.clone(),
        None => above_the_program(DETECTOR).ok_or(NetworksError::NoDetector)?,
    };
    let affect = match &model.weights {
        Some(path) => {
            let weights = Weights::load(path)?;
            calibration(path, &weights)?;
            let silent = weights.architecture().silent_tasks();
            WeightsRecord {
                weights: if weights.card.trained { TRAINED } else { UNTRAINED }.to_owned(),
                silent_tasks: silent.into_iter().map(str::to_owned).collect(),
                ..record(ROLE_AFFECT, path)?
            }
        }
        None => WeightsRecord {
            role: ROLE_AFFECT.to_owned(),
            weights: UNTRAINED.to_owned(),
            source: format!("seed {SEED}"),
            sha256: None,
            silent_tasks: Vec::new(),
        },
    };
    let records = vec![record(ROLE_DETECTOR, &detector)?, affect];
    model.detector_weights = Some(absolute(&detector));
    model.weights = model.weights.as_deref().map(absolute);
    Ok(records)
}

/// Reads the weights that a plan names and puts the networks on a device.
///
/// # Errors
/// [`NetworksError`]; also if a file is not the one that was planned with.
pub fn load(plan: &Plan, device: Device) -> Result<Loaded, NetworksError> {
    let pipeline = &plan.settings.pipeline;
    let model = &pipeline.model;
    let detector_path = model
        .detector_weights
        .as_deref()
        .ok_or(NetworksError::NoDetector)?;
    check_unchanged(plan, ROLE_DETECTOR, detector_path)?;
    let detector = Detector::load(detector_path, device, &pipeline.detector)?;

    let form = InferenceForm::fast(device, model.precision);
    let mut warnings: Vec<String> = plan.weights.iter().filter_map(warning).collect();
    let (predictor, calibration) = match &model.weights {
        Some(path) => {
            check_unchanged(plan, ROLE_AFFECT, path)?;
            let weights = Weights::load(path)?;
            let predictor = Predictor::new(weights.tensors(), weights.architecture(), form)?
                .with_normalisation(weights.card.normalisation)?;
            warnings.extend(other_alignment(plan, weights.card.alignment));
            (predictor, calibration(path, &weights)?)
        }
        None => {
            let architecture = Architecture::MULTITASK;
            let tensors = initial_weights(&architecture, SEED)?;
            (Predictor::new(&tensors, &architecture, form)?, None)
        }
    };
    Ok(Loaded {
        networks: Networks { detector, predictor },
        inference: form.to_string(),
        calibration,
        warnings,
    })
}

/// Thresholds and smoothing that weights carry in their card.
fn calibration(path: &Path, weights: &Weights) -> Result<Option<Preset>, NetworksError> {
    let parsed = weights
        .card
        .calibration
        .as_deref()
        .map(toml::from_str)
        .transpose();
    parsed.map_err(|error| NetworksError::Calibration {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

/// What a person should know of weights before trusting the numbers.
fn warning(record: &WeightsRecord) -> Option<String> {
    if record.weights == UNTRAINED {
        Some(
            "untrained weights: the numbers of this run mean nothing; give real ones with --weights FILE"
                .to_owned(),
        )
    } else if !record.silent_tasks.is_empty() {
        let tasks = record.silent_tasks.join(" and ");
        Some(format!(
            "{} says nothing of {tasks}: their columns are null",
            record.source
        ))
    } else {
        None
    }
}

/// The warning that a run aligns faces to other templates than its weights were trained with. Crops
/// come aligned, to what is not known.
fn other_alignment(plan: &Plan, trained: TemplateSet) -> Option<String> {
    let ours = plan.settings.pipeline.alignment.templates;
    let aligns = plan.inputs.iter().any(|input| input.kind == InputKind::Video);
    (aligns && ours != trained).then(|| {
        format!(
            "the weights were trained on faces aligned to {trained}, this run aligns to {ours}: \
             say templates = \"{trained}\" under [alignment] in the pipeline file"
        )
    })
}

/// The record of a file of trained weights.
fn record(role: &str, path: &Path) -> Result<WeightsRecord, NetworksError> {
    let sum = sha256(path).map_err(|source| NetworksError::File {
        path: path.to_owned(),
        source,
    })?;
    let name = path.file_name().unwrap_or(path.as_os_str());
    Ok(WeightsRecord {
        role: role.to_owned(),
        weights: TRAINED.to_owned(),
        source: name.to_string_lossy().into_owned(),
        sha256: Some(sum),
        silent_tasks: Vec::new(),
    })
}

fn check_unchanged(plan: &Plan, role: &str, path: &Path) -> Result<(), NetworksError> {
    let found = record(role, path)?.sha256.unwrap_or_default();
    let planned = plan
        .weights
        .iter()
        .find(|record| record.role == role)
        .and_then(|record| record.sha256.clone());
    match planned {
        Some(planned) if planned != found => Err(NetworksError::Changed {
            path: path.to_owned(),
            planned,
            found,
        }),
        _ => Ok(()),
    }
}

/// The file below the nearest folder above the program that has it: in a checkout that is the
/// checkout, in an installation its root.
fn above_the_program(name: &str) -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    program
        .ancestors()
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
