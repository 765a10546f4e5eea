//! The recipe of a temporal network: all settings of its training, in one TOML file.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::learning_rate::Schedule;
use super::super::loss::LossWeights;
use super::super::optimizer::OptimizerSettings;
use super::super::recipe::{
    CardSettings, LossSettings, RecipeError, Task, all_tasks, check_tasks, one, read_checked, ten_minutes,
};
use crate::temporal::{MOST_CHANNELS, TemporalHeads, check_dilations, reach};

/// A training run of a temporal network. What a recipe leaves out has the default given here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemporalRecipe {
    /// The tasks to learn; in others the raw outputs stay.
    #[serde(default = "all_tasks")]
    pub tasks: Vec<Task>,
    /// The seed of everything that is random: first weights, windows, dropout.
    #[serde(default = "one")]
    pub seed: u64,
    /// Windows a step.
    pub batch: usize,
    /// Windows an epoch; left out: as many as the labelled frames fill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub windows: Option<usize>,
    /// Epochs, at least 1.
    pub epochs: usize,
    /// How weights follow their gradients: `adam` or `adamw`.
    pub optimizer: OptimizerSettings,
    /// How the learning rate changes.
    #[serde(default)]
    pub schedule: Schedule,
    /// Minutes between two checkpoints.
    #[serde(default = "ten_minutes")]
    pub checkpoint_minutes: f64,
    /// The network and what it sees in a step.
    pub temporal: NetworkSettings,
    /// Runs and labels.
    pub data: TemporalData,
    /// What is minimised.
    #[serde(default)]
    pub loss: LossSettings,
    /// Texts for the model card; templates do not count.
    #[serde(default)]
    pub card: CardSettings,
}

/// The network. The frames before and after a frame that its outputs depend on are the sum of the dilations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSettings {
    /// Numbers of a frame between the layers.
    pub channels: usize,
    /// A block for each: frames between the three that it sees.
    pub dilations: Vec<u32>,
    /// Labelled frames of a window, at most.
    pub window: usize,
    /// The share of channels that are left out in a window, in each block, while it learns.
    #[serde(default)]
    pub dropout: f64,
}

/// Runs with their labels. Relative paths count from the recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemporalData {
    /// The videos to train on.
    pub train: LabelledRun,
    /// The videos that choose the best epoch.
    pub validation: LabelledRun,
    /// The videos that the best weights are scored on, once, at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<LabelledRun>,
}

/// A run with features, and labels of its videos. Videos of the run without labels do not count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelledRun {
    /// The folder of the run.
    pub run: PathBuf,
    /// As for `abaw evaluate`: an MTL file, or a folder of label files.
    pub labels: PathBuf,
}

impl TemporalRecipe {
    /// Reads a recipe. Unknown keys are refused.
    ///
    /// # Errors
    /// [`RecipeError`] with the file, and the line where there is one.
    pub fn read(path: &Path) -> Result<Self, RecipeError> {
        let mut recipe = read_checked(path, Self::check)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        for set in recipe.data.sets() {
            set.run = folder.join(&set.run);
            set.labels = folder.join(&set.labels);
        }
        Ok(recipe)
    }

    /// Whether a file is a recipe of a temporal network: it has a table `[temporal]`. A file that cannot be read is none.
    pub fn is_one(path: &Path) -> bool {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        toml::from_str::<toml::Table>(&text).is_ok_and(|table| table.contains_key("temporal"))
    }

    /// The output layers.
    pub(super) fn heads(&self) -> TemporalHeads {
        TemporalHeads {
            valence_arousal: self.tasks.contains(&Task::Va),
            expression: self.tasks.contains(&Task::Expr),
            action_units: self.tasks.contains(&Task::Au),
        }
    }

    /// The frames before and after a frame that the outputs depend on.
    pub fn reach(&self) -> u32 {
        reach(&self.temporal.dilations)
    }

    /// What may not change while a run lasts: all but where the data lies, how often a checkpoint is written, and the
    /// number of epochs.
    pub(super) fn fixed(&self) -> toml::Table {
        let mut recipe = self.clone();
        (recipe.checkpoint_minutes, recipe.epochs) = (1.0, 1);
        for set in recipe.data.sets() {
            (set.run, set.labels) = (PathBuf::new(), PathBuf::new());
        }
        toml::Table::try_from(&recipe).unwrap_or_default()
    }

    /// Refuses values that are out of range.
    fn check(&self) -> Result<(), String> {
        let demand = |sound: bool, what: &str| if sound { Ok(()) } else { Err(what.to_owned()) };
        check_tasks(&self.tasks)?;
        demand(self.batch >= 1, "batch must be at least 1 window")?;
        demand(self.windows != Some(0), "windows must be at least 1")?;
        demand(self.epochs >= 1, "epochs must be at least 1")?;
        demand(
            self.checkpoint_minutes > 0.0,
            "checkpoint_minutes must be above 0",
        )?;
        let NetworkSettings {
            channels,
            dilations,
            window,
            dropout,
        } = &self.temporal;
        demand(
            (1..=MOST_CHANNELS).contains(channels),
            "[temporal] channels must be 1 to 1024",
        )?;
        check_dilations(dilations).map_err(|limits| format!("[temporal] {limits}"))?;
        demand(
            (1..=1 << 20).contains(window),
            "[temporal] window must be 1 to 1048576 frames",
        )?;
        demand(
            (0.0..1.0).contains(dropout),
            "[temporal] dropout must be at least 0 and below 1",
        )?;
        self.loss.weights.check()?;
        demand(
            self.loss.weights.attention == LossWeights::default().attention,
            "[loss.weights] attention has no meaning here: the network has no attention maps",
        )?;
        demand(
            (0.0..=1.0).contains(&self.loss.class_balance),
            "[loss] class_balance must be between 0 and 1",
        )?;
        self.optimizer.check()?;
        demand(
            self.optimizer.rho().is_none(),
            "optimizer must be adam or adamw for a temporal network",
        )?;
        self.schedule.check()
    }
}

impl TemporalData {
    /// All sets.
    fn sets(&mut self) -> impl Iterator<Item = &mut LabelledRun> {
        [&mut self.train, &mut self.validation]
            .into_iter()
            .chain(&mut self.test)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipe_for_training_can_be_used_and_is_told_from_others() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
        let path = folder.join("train-temporal.toml");
        let recipe = TemporalRecipe::read(&path).unwrap();
        assert!(recipe.data.train.run.starts_with(&folder));
        assert!(TemporalRecipe::is_one(&path));
        assert!(!TemporalRecipe::is_one(&folder.join("train-heads.toml")));
    }
}
