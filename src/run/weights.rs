//! The weights of a run: where they are, what they are, and what a person should know of them.

use std::path::{Path, PathBuf};

use crate::config::ModelSettings;
use crate::labels::PerTask;
use crate::model::weights::{Weights, WeightsError, sha256};
use crate::postprocess::Preset;
use crate::table::WeightsRecord;
use crate::tuning::Calibration;

/// The detector's weights as the set-up puts them, below a folder above the program.
const DETECTOR: &str = "models/retinaface-mobilenet0.25.safetensors";

/// The weights that annotate where none are named: for trying out (`models/README.md`). They come with the
/// program, in the detector's folder.
pub const DEMO: &str = "ddamfn-demo.safetensors";

/// The initialisation of a network where there are no weights at all.
pub const SEED: u64 = 2407_12390;

/// What a record says of the networks' purposes.
const ROLE_DETECTOR: &str = "detector";
const ROLE_AFFECT: &str = "affect";

/// The weights of a run cannot be named.
#[derive(Debug, thiserror::Error)]
pub enum FindWeightsError {
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
    Weights(#[from] WeightsError),
    #[error("{}: the calibration that these weights carry cannot be used: {reason}", path.display())]
    Calibration { path: PathBuf, reason: String },
}

/// What a plan has to know of a run's networks.
pub struct FoundWeights {
    /// The detector first, then each network that annotates, in the order of the settings.
    pub records: Vec<WeightsRecord>,
    /// Thresholds and smoothing that the weights carry.
    pub calibration: Option<Preset>,
}

/// Names the weights of a run, and completes the settings with their places.
///
/// # Errors
/// [`FindWeightsError`] if a file is missing, holds no such network or a calibration that means nothing.
pub fn find_weights(model: &mut ModelSettings) -> Result<FoundWeights, FindWeightsError> {
    let detector = match &model.detector_weights {
        Some(path) => path.clone(),
        None => above_the_program(DETECTOR).ok_or(FindWeightsError::NoDetector)?,
    };
    if model.networks().is_empty() {
        model.weights = above_the_program(&format!("models/{DEMO}"));
    }
    let mut records = vec![record(ROLE_DETECTOR, &detector)?];
    let mut calibrations = Vec::new();
    for network in model.networks() {
        let weights = Weights::load(&network.weights)?;
        let mut silent = weights.architecture().tasks_without_head();
        for task in without_say(&network.weights_per_task()) {
            if !silent.contains(&task) {
                silent.push(task);
            }
        }
        records.push(WeightsRecord {
            weights: if weights.card.trained {
                WeightsRecord::TRAINED
            } else {
                WeightsRecord::UNTRAINED
            }
            .to_owned(),
            missing_tasks: silent.into_iter().map(str::to_owned).collect(),
            ..record(ROLE_AFFECT, &network.weights)?
        });
        calibrations.push((
            calibration(&network.weights, &weights)?,
            network.weights_per_task(),
        ));
    }
    if records.len() == 1 {
        records.push(WeightsRecord {
            role: ROLE_AFFECT.to_owned(),
            weights: WeightsRecord::UNTRAINED.to_owned(),
            source: format!("seed {SEED}"),
            sha256: None,
            missing_tasks: Vec::new(),
        });
    }
    model.detector_weights = Some(absolute(&detector));
    model.weights = model.weights.as_deref().map(absolute);
    for member in &mut model.member {
        member.weights = absolute(&member.weights);
    }
    Ok(FoundWeights {
        records,
        calibration: joint_calibration(&calibrations),
    })
}

/// The tasks in which a network has no say, in words.
fn without_say(say: &PerTask<f64>) -> impl Iterator<Item = &'static str> {
    [
        ("valence and arousal", say.valence_arousal),
        ("expressions", say.expression),
        ("action units", say.action_units),
    ]
    .into_iter()
    .filter_map(|(task, weight)| (weight == 0.0).then_some(task))
}

/// Thresholds and smoothing that weights carry in their card.
fn calibration(path: &Path, weights: &Weights) -> Result<Option<Preset>, FindWeightsError> {
    let text = weights.card.calibration.as_deref();
    text.map(Calibration::preset_of)
        .transpose()
        .map_err(|error| FindWeightsError::Calibration {
            path: path.to_owned(),
            reason: error.to_string(),
        })
}

/// A calibration holds for the outputs it was found on: that of a network counts in the tasks in
/// which no other network has a say.
fn joint_calibration(calibrations: &[(Option<Preset>, PerTask<f64>)]) -> Option<Preset> {
    let alone_in = |task: fn(&PerTask<f64>) -> f64| {
        let mut speakers = calibrations.iter().filter(|(_, say)| task(say) > 0.0);
        speakers
            .next()
            .filter(|_| speakers.next().is_none())
            .and_then(|(preset, _)| preset.as_ref())
    };
    let action_units = alone_in(|say| say.action_units);
    let preset = Preset {
        smoothing: PerTask {
            valence_arousal: alone_in(|say| say.valence_arousal)
                .and_then(|preset| preset.smoothing.valence_arousal),
            expression: alone_in(|say| say.expression).and_then(|preset| preset.smoothing.expression),
            action_units: action_units.and_then(|preset| preset.smoothing.action_units),
        },
        thresholds: action_units.and_then(|preset| preset.thresholds),
    };
    (preset != Preset::default()).then_some(preset)
}

/// What a person should know of weights before trusting the numbers.
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
    let mut silent = networks.first()?.missing_tasks.clone();
    silent.retain(|task| {
        networks
            .iter()
            .all(|network| network.missing_tasks.contains(task))
    });
    let sources: Vec<&str> = networks.iter().map(|network| network.source.as_str()).collect();
    (!silent.is_empty()).then(|| {
        format!(
            "{}: no output for {}; these columns are null",
            sources.join(" with "),
            silent.join(" and ")
        )
    })
}

/// The record of a file of trained weights.
fn record(role: &str, path: &Path) -> Result<WeightsRecord, FindWeightsError> {
    let sum = sha256(path).map_err(|source| FindWeightsError::File {
        path: path.to_owned(),
        source,
    })?;
    let name = path.file_name().unwrap_or(path.as_os_str());
    Ok(WeightsRecord {
        role: role.to_owned(),
        weights: WeightsRecord::TRAINED.to_owned(),
        source: name.to_string_lossy().into_owned(),
        sha256: Some(sum),
        missing_tasks: Vec::new(),
    })
}

/// Refuses a file that is not the one whose record was planned with.
pub fn check_unchanged(planned: Option<&WeightsRecord>, path: &Path) -> Result<(), FindWeightsError> {
    let found = sha256(path).map_err(|source| FindWeightsError::File {
        path: path.to_owned(),
        source,
    })?;
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

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
