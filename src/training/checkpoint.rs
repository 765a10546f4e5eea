//! A checkpoint: everything that a run needs to continue as if it had never stopped.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::TrainingError;
use super::loss_values::LossValues;
use crate::model::NamedTensors;
use crate::model::weights::{NumberFormat, read_tensors, write_tensors};

/// The key of the file's metadata.
const STATE: &str = "training";

/// How far a run has come.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Position {
    /// Finished epochs, of all phases.
    pub epoch: usize,
    /// Finished steps of the current epoch.
    pub step: usize,
    /// Steps of the optimiser.
    pub optimizer_steps: i64,
    /// Steps of all phases, which the average of the weights counts.
    pub steps: usize,
    /// The best validation so far.
    pub best: Option<f64>,
    /// Sums over the steps of the current epoch.
    pub so_far: EpochProgress,
    /// Training images that could not be read, by name, and why.
    pub unreadable: BTreeMap<String, String>,
}

/// What has been done of an epoch.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EpochProgress {
    /// Images trained on.
    pub images: usize,
    /// The losses of its steps.
    pub losses: Vec<LossValues>,
    /// Seconds spent in its steps.
    pub seconds: f64,
}

/// The tensors of a run.
#[derive(Debug)]
pub struct Tensors {
    /// Weights and batch statistics.
    pub network: NamedTensors,
    /// The running average of the weights.
    pub average: NamedTensors,
    /// The moments of the optimiser.
    pub optimizer: NamedTensors,
}

#[derive(Serialize, Deserialize)]
struct State<R, P> {
    recipe: R,
    position: P,
}

/// Writes a checkpoint; the file appears whole or not at all, so that the last one stays where the disk
/// is full.
///
/// # Errors
/// Those of the file system.
pub fn save<R: Serialize, P: Serialize>(
    path: &Path,
    recipe: &R,
    position: &P,
    tensors: &Tensors,
) -> Result<(), TrainingError> {
    let state = serde_json::to_string(&State { recipe, position })
        .map_err(|error| damaged(path, error.to_string()))?;
    let mut all = NamedTensors::new();
    for (prefix, tensors) in tensors.groups() {
        let named = tensors
            .iter()
            .map(|(name, tensor)| (format!("{prefix}.{name}"), tensor.shallow_clone()));
        all.extend(named);
    }
    let metadata = BTreeMap::from([(STATE.to_owned(), state)]);
    Ok(write_tensors(path, &all, &metadata, NumberFormat::F32)?)
}

/// Reads the checkpoint of a run of `recipe`. `fixed`: the settings of a recipe that may not change while a run lasts.
///
/// # Errors
/// A file that is damaged or of another recipe.
pub fn load<R: DeserializeOwned, P: DeserializeOwned>(
    path: &Path,
    recipe: &R,
    fixed: fn(&R) -> toml::Table,
) -> Result<(P, Tensors), TrainingError> {
    let (all, metadata) = read_tensors(path)?;
    let text = metadata
        .get(STATE)
        .ok_or_else(|| damaged(path, "not a checkpoint of a training run".to_owned()))?;
    let state: State<R, P> = serde_json::from_str(text).map_err(|error| damaged(path, error.to_string()))?;
    if let Some(difference) = difference(&fixed(&state.recipe), &fixed(recipe)) {
        return Err(damaged(
            path,
            format!("the run was begun with another recipe: {difference}; put it back or use another folder"),
        ));
    }
    let mut tensors = Tensors {
        network: NamedTensors::new(),
        average: NamedTensors::new(),
        optimizer: NamedTensors::new(),
    };
    for (name, tensor) in all {
        let (group, name) = match name.split_once('.') {
            Some(("network", name)) => (&mut tensors.network, name),
            Some(("average", name)) => (&mut tensors.average, name),
            Some(("optimizer", name)) => (&mut tensors.optimizer, name),
            _ => return Err(damaged(path, format!("unknown tensor {name}"))),
        };
        group.insert(name.to_owned(), tensor);
    }
    Ok((state.position, tensors))
}

impl Tensors {
    fn groups(&self) -> [(&'static str, &NamedTensors); 3] {
        [
            ("network", &self.network),
            ("average", &self.average),
            ("optimizer", &self.optimizer),
        ]
    }
}

fn damaged(path: &Path, reason: String) -> TrainingError {
    TrainingError::Checkpoint {
        path: path.to_owned(),
        reason,
    }
}

/// The first setting in which two recipes differ, with both values.
fn difference(before: &toml::Table, now: &toml::Table) -> Option<String> {
    let keys: std::collections::BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let show = |value: Option<&toml::Value>| value.map_or("nothing".to_owned(), toml::Value::to_string);
    keys.into_iter()
        .find(|key| before.get(*key) != now.get(*key))
        .map(|key| format!("{key} was {}, is {}", show(before.get(key)), show(now.get(key))))
}
