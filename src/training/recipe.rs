//! The recipe: all settings of a training run, in one TOML file.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::augmentation::Augmentation;
use super::learning_rate::Schedule;
use super::loss::{ActionUnitMask, LossWeights};
use super::optimizer::OptimizerSettings;
use crate::face::template::TemplateSet;
use crate::model::{Architecture, Emotions, Precision, Tasks};

/// A training run. What a recipe leaves out has the default given here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The tasks to learn; the network has an output layer for each.
    #[serde(default = "all_tasks")]
    pub tasks: Vec<Task>,
    /// Weights to start from, anything that `abaw weights import` reads; output layers that they lack
    /// start at random. Left out: all random. A relative path counts from the recipe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<PathBuf>,
    /// The seed of everything that is random: first weights, order of the images, augmentation.
    #[serde(default = "one")]
    pub seed: u64,
    /// Images a step.
    pub batch: usize,
    /// Parts of a batch that are computed side by side, each on a thread of its own with batch
    /// statistics of its own; their gradients are averaged. The result depends on this number, not on
    /// the machine. With 1 a step uses all cores within libtorch.
    #[serde(default = "one_part")]
    pub replicas: usize,
    /// The number format of the feature maps in a training step: `f32`, or `bf16`, faster where the processor
    /// has instructions for it. Weights, their gradients, losses and evaluation are `f32` either way.
    #[serde(default)]
    pub precision: Precision,
    /// Minutes between two checkpoints.
    #[serde(default = "ten_minutes")]
    pub checkpoint_minutes: f64,
    /// Keep a running average of the weights, this share of it old at every step, and evaluate and
    /// save that. Left out: the weights themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average: Option<f64>,
    /// Images and labels.
    pub data: DataSettings,
    /// How images are drawn.
    #[serde(default)]
    pub sampler: SamplerSettings,
    /// What is minimised.
    #[serde(default)]
    pub loss: LossSettings,
    /// Random changes of the images.
    #[serde(default)]
    pub augmentation: Augmentation,
    /// The phases, one after the other, each with an optimiser of its own.
    pub phase: Vec<Phase>,
    /// Texts for the model card.
    #[serde(default)]
    pub card: CardSettings,
}

/// A task of the challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Valence and arousal.
    Va,
    /// Expressions.
    Expr,
    /// Action units.
    Au,
}

/// Images and their labels. Relative paths count from the recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSettings {
    /// The images to train on.
    pub train: ImageSet,
    /// The images that choose the best epoch.
    pub validation: ImageSet,
    /// The images that the best weights are scored on, once, at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<ImageSet>,
    /// Only images that are labelled for all three tasks, the paper's way. Otherwise an image counts
    /// for each task that it is labelled for.
    #[serde(default)]
    pub strict: bool,
    /// The share of the training images that may be missing or unreadable.
    #[serde(default = "one_percent")]
    pub most_unreadable: f64,
}

/// A set of labelled images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSet {
    /// As for `abaw evaluate`: an MTL file, or a folder of per-task label folders.
    pub labels: PathBuf,
    /// A folder of folders of crops (`<video>/00001.jpg`), or a `.tar` file of one, read in place.
    pub images: PathBuf,
}

/// How the images of an epoch are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SamplerSettings {
    /// 0: every image as often as any other. 1: every expression as often as any other. Between: an
    /// image of a class of n is drawn with a weight of `n ^ -balance`.
    pub balance: f64,
    /// Images an epoch; left out, as many as there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<usize>,
}

impl Default for SamplerSettings {
    fn default() -> Self {
        Self {
            balance: 0.0,
            images: None,
        }
    }
}

/// How the losses are computed.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossSettings {
    /// The weight of each loss.
    pub weights: LossWeights,
    /// Which action unit labels count.
    pub action_unit_mask: ActionUnitMask,
    /// 0: no class weights in the cross-entropy. 1: weights in inverse proportion to the number of
    /// images of a class; between, that to this power.
    pub class_balance: f64,
}

/// A part of a training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// The layers to train.
    pub layers: Layers,
    /// Epochs, at least 1.
    pub epochs: usize,
    /// How weights follow their gradients.
    pub optimizer: OptimizerSettings,
    /// How the learning rate changes.
    #[serde(default)]
    pub schedule: Schedule,
}

/// The layers that a phase trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layers {
    /// Those after the embedding; the others are frozen, batch statistics too, and the attention
    /// loss does not count.
    Classifier,
    /// All layers.
    All,
}

/// Texts for the model card.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CardSettings {
    /// What the images and labels are, and who made them.
    pub data: String,
    /// What the weights are good for, and what not.
    pub limits: String,
    /// The licence of the weights.
    pub licence: Option<String>,
    /// The templates that the images were aligned to.
    pub alignment: TemplateSet,
}

/// A recipe cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// The file cannot be read.
    #[error("recipe {}: {source}", path.display())]
    Unreadable {
        /// The recipe.
        path: PathBuf,
        /// The file system's reason.
        source: std::io::Error,
    },
    /// The file is no recipe, or a value is out of range.
    #[error("recipe {}: {reason}", path.display())]
    Invalid {
        /// The recipe.
        path: PathBuf,
        /// What is wrong in it.
        reason: String,
    },
}

/// Reads a recipe of either kind, and checks its values.
pub(super) fn read_checked<R: DeserializeOwned>(
    path: &Path,
    check: impl FnOnce(&R) -> Result<(), String>,
) -> Result<R, RecipeError> {
    let text = std::fs::read_to_string(path).map_err(|source| RecipeError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let invalid = |reason: String| RecipeError::Invalid {
        path: path.to_owned(),
        reason,
    };
    let recipe = toml::from_str(&text).map_err(|error| invalid(error.to_string()))?;
    check(&recipe).map_err(invalid)?;
    Ok(recipe)
}

impl Recipe {
    /// Reads a recipe. Unknown keys are refused.
    ///
    /// # Errors
    /// [`RecipeError`] with the file, and the line where there is one.
    pub fn read(path: &Path) -> Result<Self, RecipeError> {
        let mut recipe = read_checked(path, Self::check)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        recipe.start = recipe.start.map(|start| folder.join(start));
        let sets = [&mut recipe.data.train, &mut recipe.data.validation];
        for set in sets.into_iter().chain(&mut recipe.data.test) {
            set.labels = folder.join(&set.labels);
            set.images = folder.join(&set.images);
        }
        Ok(recipe)
    }

    /// The network that the tasks ask for.
    pub fn architecture(&self) -> Architecture {
        Architecture::Hidden(Tasks {
            valence_arousal: self.tasks.contains(&Task::Va),
            expressions: self.tasks.contains(&Task::Expr).then_some(Emotions::Eight),
            action_units: self.tasks.contains(&Task::Au),
        })
    }

    /// What may not change while a run lasts: all but where the data lies, how often a checkpoint is written, and the
    /// number of epochs.
    pub(super) fn fixed(&self) -> toml::Table {
        let mut recipe = self.clone();
        recipe.checkpoint_minutes = 1.0;
        let sets = [&mut recipe.data.train, &mut recipe.data.validation];
        for set in sets.into_iter().chain(&mut recipe.data.test) {
            set.labels.clear();
            set.images.clear();
        }
        recipe.start = None;
        for phase in &mut recipe.phase {
            phase.epochs = 1;
        }
        toml::Table::try_from(&recipe).unwrap_or_default()
    }

    /// Epochs of all phases.
    pub fn epochs(&self) -> usize {
        self.phase.iter().map(|phase| phase.epochs).sum()
    }

    /// Refuses values that are out of range.
    fn check(&self) -> Result<(), String> {
        let demand = |sound: bool, what: &str| if sound { Ok(()) } else { Err(what.to_owned()) };
        check_tasks(&self.tasks)?;
        demand(self.replicas >= 1, "replicas must be at least 1")?;
        demand(
            self.batch >= 2 * self.replicas,
            "batch must be at least 2 images a replica, or there are no batch statistics",
        )?;
        demand(
            matches!(self.precision, Precision::F32 | Precision::Bf16),
            "precision must be \"f32\" or \"bf16\": gradients underflow in f16",
        )?;
        demand(
            self.checkpoint_minutes > 0.0,
            "checkpoint_minutes must be above 0",
        )?;
        demand(
            self.average.is_none_or(|old| (0.0..1.0).contains(&old)),
            "average must be at least 0 and below 1",
        )?;
        demand(
            (0.0..1.0).contains(&self.data.most_unreadable),
            "[data] most_unreadable must be at least 0 and below 1",
        )?;
        demand(
            (0.0..=1.0).contains(&self.sampler.balance),
            "[sampler] balance must be between 0 and 1",
        )?;
        demand(
            self.sampler.images.is_none_or(|images| images >= self.batch),
            "[sampler] images must be at least a batch",
        )?;
        demand(
            (0.0..=1.0).contains(&self.loss.class_balance),
            "[loss] class_balance must be between 0 and 1",
        )?;
        self.loss.weights.check()?;
        self.augmentation.check()?;
        demand(!self.phase.is_empty(), "there is no [[phase]]")?;
        for phase in &self.phase {
            demand(phase.epochs >= 1, "[[phase]] epochs must be at least 1")?;
            phase.optimizer.check()?;
            phase.schedule.check()?;
        }
        Ok(())
    }
}

/// Refuses a list without a task or with one twice.
pub(super) fn check_tasks(tasks: &[Task]) -> Result<(), String> {
    let twice = (1..tasks.len()).any(|i| tasks[..i].contains(&tasks[i]));
    match tasks.is_empty() || twice {
        true => Err("tasks must name at least one of va, expr, au, each once".to_owned()),
        false => Ok(()),
    }
}

pub(super) fn all_tasks() -> Vec<Task> {
    vec![Task::Va, Task::Expr, Task::Au]
}

pub(super) fn one() -> u64 {
    1
}

fn one_part() -> usize {
    1
}

pub(super) fn ten_minutes() -> f64 {
    10.0
}

fn one_percent() -> f64 {
    0.01
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_for_training_can_be_used() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
        for name in [
            "train-end-to-end.toml",
            "train-heads.toml",
            "train-default.toml",
            "train-default-second.toml",
        ] {
            let recipe = Recipe::read(&folder.join(name)).unwrap();
            assert!(recipe.data.train.labels.starts_with(&folder), "{name}");
        }
    }

    /// The recipe leaves out what is default, and lists the rest as the paper has it.
    #[test]
    fn the_defaults_are_the_papers() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
        let recipe = Recipe::read(&folder.join("train-heads.toml")).unwrap();
        assert_eq!(recipe.augmentation, Augmentation::default());
        assert_eq!(recipe.loss, LossSettings::default());
        assert_eq!(recipe.sampler, SamplerSettings::default());
    }
}
