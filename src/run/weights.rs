//! The weights of a run: their files, records, calibration, and warnings about them.

use std::path::{Path, PathBuf};

use super::path::absolute;
use crate::face::identity::IdentitySettings;
use crate::labels::PerTask;
use crate::model::ModelSettings;
use crate::model::weights::{StoredNetwork, WeightsError, sha256};
use crate::path_error::PathError;
use crate::postprocess::Preset;
use crate::table::WeightsRecord;
use crate::tuning::Calibration;

/// The detector's weights as the set-up puts them, below a folder above the program.
const DETECTOR: &str = "models/retinaface-mobilenet0.25.safetensors";

/// The weights of the network that tells people apart, likewise.
const IDENTITY: &str = "models/dlib-resnet-v1.safetensors";

/// The weights that annotate where none are named: for trying out (`models/README.md`). They come with the
/// program, in the detector's folder.
pub const DEMO: &str = "ddamfn-demo.safetensors";

/// The initialisation of a network where there are no weights at all.
pub const SEED: u64 = 2407_12390;

/// The roles in records.
const ROLE_DETECTOR: &str = "detector";
const ROLE_AFFECT: &str = "affect";
const ROLE_IDENTITY: &str = "identity";

/// The weights of a run cannot be found or used.
#[derive(Debug, thiserror::Error)]
pub enum FindWeightsError {
    /// No weights of the detector are named or installed.
    #[error(
        "the face detector's weights are missing: run `make detector`, or name them as detector_weights under [model] in the pipeline file"
    )]
    NoDetector,
    /// No weights that tell people apart are named or installed.
    #[error(
        "the weights that tell people apart are missing: put {IDENTITY} back, or set same_person = 2.0 under \
         [tracker.identity] in the pipeline file, so that nobody gets a number back"
    )]
    NoIdentity,
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] PathError),
    /// A file is not the one that the plan was made with.
    #[error("{} has changed since the run was planned (sha256 {found}, planned {planned}); plan anew or put the file back", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// Its sha256 in the plan.
        planned: String,
        /// Its sha256 now.
        found: String,
    },
    /// A file holds no weights of such a network.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The calibration in a file of weights is not valid.
    #[error("{}: the calibration that these weights carry cannot be used: {source}", path.display())]
    Calibration {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: toml::de::Error,
    },
}

/// The networks of a run, for its plan.
pub struct FoundWeights {
    /// The detector first, then each network that annotates, in the order of the settings; at the end the network that
    /// tells people apart, if one is needed.
    pub records: Vec<WeightsRecord>,
    /// Thresholds and smoothing that the weights carry.
    pub calibration: Option<Preset>,
    /// The networks that annotate, as they were read, in the order of the settings.
    pub networks: Vec<StoredNetwork>,
}

/// Finds the weights of a run, and completes the settings with their absolute paths.
///
/// # Errors
/// [`FindWeightsError`] if a file is missing, holds no such network, or has a calibration that is not valid.
pub fn find_weights(
    model: &mut ModelSettings,
    identity: &IdentitySettings,
) -> Result<FoundWeights, FindWeightsError> {
    let detector = match &model.detector_weights {
        Some(path) => path.clone(),
        None => above_the_program(DETECTOR).ok_or(FindWeightsError::NoDetector)?,
    };
    if model.networks().is_empty() {
        model.weights = above_the_program(&format!("models/{DEMO}"));
    }
    let mut records = vec![record(ROLE_DETECTOR, &detector)?];
    let mut calibrations = Vec::new();
    let mut networks = Vec::new();
    for network in model.networks() {
        let stored = StoredNetwork::load(&network.weights)?;
        let mut missing = stored.missing_tasks();
        for task in tasks_without_weight(&network.weights_per_task()) {
            if !missing.contains(&task) {
                missing.push(task);
            }
        }
        records.push(WeightsRecord {
            weights: if stored.is_trained() {
                WeightsRecord::TRAINED
            } else {
                WeightsRecord::UNTRAINED
            }
            .to_owned(),
            missing_tasks: missing.into_iter().map(str::to_owned).collect(),
            extra_units: match network.action_units > 0.0 {
                true => stored.extra_units(),
                false => Vec::new(),
            },
            weak_expressions: match network.expression > 0.0 {
                true => stored.weak_expressions().to_vec(),
                false => Vec::new(),
            },
            ..record(ROLE_AFFECT, &network.weights)?
        });
        calibrations.push((
            calibration(&network.weights, &stored)?,
            network.weights_per_task(),
        ));
        networks.push(stored);
    }
    if records.len() == 1 {
        records.push(WeightsRecord {
            role: ROLE_AFFECT.to_owned(),
            weights: WeightsRecord::UNTRAINED.to_owned(),
            source: format!("seed {SEED}"),
            sha256: None,
            missing_tasks: Vec::new(),
            extra_units: Vec::new(),
            weak_expressions: Vec::new(),
        });
    }
    model.identity_weights = match model.identity_weights.take() {
        _ if !identity.joins() => None,
        Some(path) => Some(absolute(&path)),
        None => Some(above_the_program(IDENTITY).ok_or(FindWeightsError::NoIdentity)?),
    };
    if let Some(path) = &model.identity_weights {
        records.push(record(ROLE_IDENTITY, path)?);
    }
    model.detector_weights = Some(absolute(&detector));
    model.weights = model.weights.as_deref().map(absolute);
    for member in &mut model.member {
        member.weights = absolute(&member.weights);
    }
    Ok(FoundWeights {
        records,
        calibration: joint_calibration(&calibrations),
        networks,
    })
}

/// The tasks in which the weight of a network is 0, in words.
fn tasks_without_weight(weights: &PerTask<f64>) -> impl Iterator<Item = &'static str> {
    [
        ("valence and arousal", weights.valence_arousal),
        ("expressions", weights.expression),
        ("action units", weights.action_units),
    ]
    .into_iter()
    .filter_map(|(task, weight)| (weight == 0.0).then_some(task))
}

/// Thresholds and smoothing that weights carry in their card.
fn calibration(path: &Path, stored: &StoredNetwork) -> Result<Option<Preset>, FindWeightsError> {
    stored
        .calibration()
        .map(Calibration::preset_of)
        .transpose()
        .map_err(|source| FindWeightsError::Calibration {
            path: path.to_owned(),
            source,
        })
}

/// The calibration of several networks together. A calibration is valid for the outputs it was found on, so that of a
/// network counts in the tasks in which no other network has a weight.
fn joint_calibration(calibrations: &[(Option<Preset>, PerTask<f64>)]) -> Option<Preset> {
    let alone_in = |task: fn(&PerTask<f64>) -> f64| {
        let mut members = calibrations.iter().filter(|(_, weights)| task(weights) > 0.0);
        members
            .next()
            .filter(|_| members.next().is_none())
            .and_then(|(preset, _)| preset.as_ref())
    };
    let action_units = alone_in(|weights| weights.action_units);
    let preset = Preset {
        smoothing: PerTask {
            valence_arousal: alone_in(|weights| weights.valence_arousal)
                .and_then(|preset| preset.smoothing.valence_arousal),
            expression: alone_in(|weights| weights.expression).and_then(|preset| preset.smoothing.expression),
            action_units: action_units.and_then(|preset| preset.smoothing.action_units),
        },
        thresholds: action_units.and_then(|preset| preset.thresholds),
    };
    (preset != Preset::default()).then_some(preset)
}

/// Warnings about the weights of a run: untrained, or without an output for a task.
pub fn warnings(records: &[WeightsRecord]) -> Vec<String> {
    let mut warnings = Vec::new();
    if records.iter().any(|record| !record.is_trained()) {
        warnings.push(
            "untrained weights: the numbers of this run mean nothing; give real ones with --weights FILE"
                .to_owned(),
        );
    }
    warnings.extend(missing_tasks_warning(records));
    warnings
}

/// A sentence that names the tasks for which no network of a run has an output; `None` if there are none.
pub fn missing_tasks_warning(records: &[WeightsRecord]) -> Option<String> {
    let networks: Vec<_> = records
        .iter()
        .filter(|record| record.role == ROLE_AFFECT)
        .collect();
    let mut missing = networks.first()?.missing_tasks.clone();
    missing.retain(|task| {
        networks
            .iter()
            .all(|network| network.missing_tasks.contains(task))
    });
    let sources: Vec<&str> = networks.iter().map(|network| network.source.as_str()).collect();
    (!missing.is_empty()).then(|| {
        format!(
            "{}: no output for {}; these columns are null",
            sources.join(" with "),
            missing.join(" and ")
        )
    })
}

/// The record of a file of trained weights.
fn record(role: &str, path: &Path) -> Result<WeightsRecord, FindWeightsError> {
    let sum = sha256(path).map_err(PathError::at(path))?;
    let name = path.file_name().unwrap_or(path.as_os_str());
    Ok(WeightsRecord {
        role: role.to_owned(),
        weights: WeightsRecord::TRAINED.to_owned(),
        source: name.to_string_lossy().into_owned(),
        sha256: Some(sum),
        missing_tasks: Vec::new(),
        extra_units: Vec::new(),
        weak_expressions: Vec::new(),
    })
}

/// Checks that a file of weights is the one that the plan was made with.
///
/// # Errors
/// [`FindWeightsError::Changed`] if it is not; a file that cannot be read.
pub fn check_unchanged(planned: Option<&WeightsRecord>, path: &Path) -> Result<(), FindWeightsError> {
    let found = sha256(path).map_err(PathError::at(path))?;
    match planned.and_then(|record| record.sha256.clone()) {
        Some(planned) if planned != found => Err(FindWeightsError::Changed {
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
