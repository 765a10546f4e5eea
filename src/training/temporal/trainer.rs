//! The trainer of temporal networks: epochs, evaluation and checkpoints.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tch::Device;

use super::super::checkpoint::{self, Tensors};
use super::super::curves::{self, EpochScores};
use super::super::dataset::Counts;
use super::super::error::TrainingError;
use super::super::loss_values::LossValues;
use super::super::model_card::{p_of, table, task_name};
use super::super::optimizer::Adam;
use super::super::records;
use super::super::trainer::{BEST, CHECKPOINT, LAST, METRICS, check_folder};
use super::super::write::write;
use super::evaluation::{TemporalScores, evaluate};
use super::labelled_sequences::LabelledSequences;
use super::learner::{TemporalLearner, first_weights, with_scale};
use super::recipe::TemporalRecipe;
use super::windows::{draw, read};
use crate::error_chain::sentence;
use crate::labels::{EXPRESSIONS, Expression};
use crate::metrics::Scores;
use crate::model::NamedTensors;
use crate::path_error::PathError;
use crate::temporal::{InputScale, TemporalCard, TemporalNetwork, TemporalWeights};

/// How the training of a temporal network ended.
#[derive(Debug, PartialEq)]
pub enum TemporalOutcome {
    /// All epochs are done.
    Done {
        /// The scores of the best weights on the test set, if the recipe names one.
        test: Option<Box<Scores>>,
    },
    /// The run was asked to stop; the checkpoint is written.
    Stopped,
}

/// What happens while a temporal network is trained.
#[derive(Debug)]
pub enum TemporalEvent<'a> {
    /// Runs and labels are read.
    Begun {
        /// The training set.
        train: &'a LabelledSequences,
        /// The validation set.
        validation: &'a LabelledSequences,
        /// Epochs that are already finished; above 0 in a resumed run.
        epoch: usize,
    },
    /// An epoch is finished.
    Epoch(&'a TemporalEpoch),
    /// A problem that does not stop the run.
    Warning(String),
}

/// A finished epoch: a line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TemporalEpoch {
    /// 1-based.
    pub epoch: usize,
    /// The learning rate at its last step.
    pub learning_rate: f64,
    /// Windows trained on.
    pub windows: usize,
    /// Means over the steps.
    pub losses: LossValues,
    /// Scores on the faces of the validation set, unsmoothed, with one mask for each task.
    pub validation: Scores,
    /// The share of validation faces whose expression is right; `None` without expressions.
    pub accuracy: Option<f64>,
    /// Seconds spent in training steps.
    pub seconds: f64,
}

/// How far a run has come.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct TemporalPosition {
    /// Finished epochs.
    epoch: usize,
    /// Finished steps of the current epoch.
    step: usize,
    /// Steps of the optimiser.
    optimizer_steps: i64,
    /// The best validation so far.
    best: Option<f64>,
    /// The losses of the current epoch's steps.
    losses: Vec<LossValues>,
    /// Seconds spent in them.
    seconds: f64,
}

/// Trains a temporal network by a recipe; `out`, `resume`, `stop` and `report` as for [`train`](crate::training::train).
///
/// # Errors
/// Any [`TrainingError`]. Files written before stay.
pub fn train_temporal(
    recipe: &TemporalRecipe,
    out: &Path,
    resume: bool,
    device: Device,
    stop: &dyn Fn() -> bool,
    report: &mut dyn FnMut(TemporalEvent),
) -> Result<TemporalOutcome, TrainingError> {
    check_folder(out, resume)?;
    std::fs::create_dir_all(out).map_err(PathError::at(out))?;
    // Sums over a batch depend on the number of threads; the network is small.
    tch::set_num_threads(1);
    let open = |set| LabelledSequences::open(set, &recipe.tasks, recipe.reach(), out);
    let (data, validation) = (open(&recipe.data.train)?, open(&recipe.data.validation)?);
    let test = recipe.data.test.as_ref().map(open).transpose()?;
    let mut run = Run::begin(recipe, out, resume, device, &data, &validation)?;
    for other in [Some(&validation), test.as_ref()].into_iter().flatten() {
        run.refuse_other(other)?;
    }
    for (name, set) in [("training", &data), ("validation", &validation)] {
        warn_of_missing(name, set, report);
    }
    report(TemporalEvent::Begun {
        train: &data,
        validation: &validation,
        epoch: run.position.epoch,
    });
    while run.position.epoch < recipe.epochs {
        if !run.epoch(stop, report)? {
            run.save_checkpoint()?;
            return Ok(TemporalOutcome::Stopped);
        }
    }
    let (best, _) = TemporalWeights::load(&out.join(BEST))?;
    let test = match &test {
        Some(test) => Some(evaluate(&best, test)?),
        None => None,
    };
    let card = run.card_text(test.as_ref());
    write(&out.join("card.md"), card.as_bytes())?;
    Ok(TemporalOutcome::Done {
        test: test.map(|test| Box::new(test.scores)),
    })
}

fn warn_of_missing(name: &str, set: &LabelledSequences, report: &mut dyn FnMut(TemporalEvent)) {
    if let Some(first) = set.absent().first() {
        let count = set.absent().len();
        report(TemporalEvent::Warning(format!(
            "{count} labelled {name} videos have no table in the run and are left out (first: {first})"
        )));
    }
    if set.unseen() > 0 {
        report(TemporalEvent::Warning(format!(
            "{} labelled {name} frames do not count: the subject was not seen in them",
            set.unseen()
        )));
    }
    let counts = set.counts();
    if name == "training" && counts.expression.iter().any(|&count| count > 0) {
        for class in counts.empty_classes() {
            report(TemporalEvent::Warning(format!(
                "no training face shows {class}: it cannot be learnt"
            )));
        }
    }
}

/// A training run under way.
struct Run<'a> {
    recipe: &'a TemporalRecipe,
    out: &'a Path,
    data: &'a LabelledSequences,
    validation: &'a LabelledSequences,
    counts: Counts,
    class_weights: Option<[f32; EXPRESSIONS]>,
    scale: InputScale,
    learner: TemporalLearner,
    adam: Adam,
    position: TemporalPosition,
    records: Vec<TemporalEpoch>,
    /// When the last checkpoint was written.
    saved: Instant,
}

impl<'a> Run<'a> {
    fn begin(
        recipe: &'a TemporalRecipe,
        out: &'a Path,
        resume: bool,
        device: Device,
        data: &'a LabelledSequences,
        validation: &'a LabelledSequences,
    ) -> Result<Self, TrainingError> {
        let path = out.join(CHECKPOINT);
        let (position, saved) = match resume {
            true => {
                let (position, tensors) = checkpoint::load(&path, recipe, TemporalRecipe::fixed)?;
                (position, Some(tensors))
            }
            false => (TemporalPosition::default(), None),
        };
        let first = first_weights(recipe)?;
        let learner = match &saved {
            Some(saved) if saved.network.keys().eq(first.keys()) => {
                TemporalLearner::new(recipe, &saved.network, device)?
            }
            Some(_) => return Err(incomplete(&path)),
            None => TemporalLearner::new(recipe, &first, device)?,
        };
        let mut adam = Adam::new(&learner.trained(), &recipe.optimizer)?;
        if let Some(saved) = saved
            && !adam.restore(&saved.optimizer, position.optimizer_steps)?
        {
            return Err(incomplete(&path));
        }
        let counts = data.counts();
        Ok(Self {
            recipe,
            out,
            data,
            validation,
            class_weights: counts.class_weights(recipe.loss.class_balance),
            counts,
            scale: data.scale()?,
            learner,
            adam,
            records: match resume {
                true => records::read(&out.join(METRICS), position.epoch)?,
                false => Vec::new(),
            },
            position,
            saved: Instant::now(),
        })
    }

    /// Refuses a set that shares a video with the training, or is of other networks.
    fn refuse_other(&self, other: &LabelledSequences) -> Result<(), TrainingError> {
        if other.networks() != self.data.networks() {
            return Err(TrainingError::OtherNetworks);
        }
        let card = self.card(0);
        match other.ids().into_iter().find(|id| card.was_trained_on(id)) {
            Some(video) => Err(TrainingError::TrainedAndScored { video }),
            None => Ok(()),
        }
    }

    /// Continues the current epoch to its end; false if the run was asked to stop.
    fn epoch(
        &mut self,
        stop: &dyn Fn() -> bool,
        report: &mut dyn FnMut(TemporalEvent),
    ) -> Result<bool, TrainingError> {
        let recipe = self.recipe;
        let epoch = self.position.epoch;
        let windows = draw(recipe, self.data, epoch);
        let steps = windows.len().div_ceil(recipe.batch);
        let learning_rate = |step: usize| {
            let factor = recipe.schedule.factor(epoch * steps + step, steps, recipe.epochs);
            recipe.optimizer.learning_rate() * factor
        };
        for (step, windows) in windows.chunks(recipe.batch).enumerate().skip(self.position.step) {
            let start = Instant::now();
            let batch = read(windows, self.data, &self.scale, recipe.reach() as usize)?;
            let losses = self.learner.step(
                &batch,
                (epoch * steps + step) as u64,
                &recipe.loss,
                self.class_weights.as_ref(),
                &mut self.adam,
                learning_rate(step),
            )?;
            self.position.losses.extend(losses);
            self.position.step = step + 1;
            self.position.seconds += start.elapsed().as_secs_f64();
            if stop() {
                return Ok(false);
            }
            self.save_if_due(report);
        }
        self.finish_epoch(windows.len(), learning_rate(steps - 1), report)?;
        Ok(true)
    }

    fn finish_epoch(
        &mut self,
        windows: usize,
        learning_rate: f64,
        report: &mut dyn FnMut(TemporalEvent),
    ) -> Result<(), TrainingError> {
        let tensors = with_scale(self.learner.tensors()?, &self.scale)?;
        let network = TemporalNetwork::new(&tensors, &self.recipe.temporal.dilations).map_err(|reason| {
            TrainingError::Checkpoint {
                path: self.out.join(CHECKPOINT),
                reason,
            }
        })?;
        let TemporalScores { scores, accuracy } = evaluate(&network, self.validation)?;
        let losses = std::mem::take(&mut self.position.losses);
        let record = TemporalEpoch {
            epoch: self.position.epoch + 1,
            learning_rate,
            windows,
            losses: LossValues::mean(losses.iter().map(|losses| (*losses, 1.0))),
            validation: scores,
            accuracy,
            seconds: std::mem::take(&mut self.position.seconds),
        };
        self.position.epoch += 1;
        self.position.step = 0;
        let score = record.validation.p.unwrap_or(0.0);
        let weights = TemporalWeights {
            tensors,
            card: self.card(record.epoch),
        };
        if self.position.best.is_none_or(|best| score > best) {
            self.position.best = Some(score);
            weights.save(&self.out.join(BEST))?;
        }
        weights.save(&self.out.join(LAST))?;
        report(TemporalEvent::Epoch(&record));
        self.records.push(record);
        records::replace(&self.out.join(METRICS), &self.records)?;
        let epochs = self.records.iter().map(|record| EpochScores {
            number: record.epoch,
            losses: &record.losses,
            validation: &record.validation,
            accuracy: record.accuracy,
        });
        curves::draw(&self.out.join("curves.svg"), &epochs.collect::<Vec<_>>())?;
        self.save_checkpoint()
    }

    /// The card of the weights of an epoch.
    fn card(&self, epoch: usize) -> TemporalCard {
        let card = &self.recipe.card;
        TemporalCard {
            dilations: self.recipe.temporal.dilations.clone(),
            networks: self.data.networks().to_owned(),
            trained_on: self.data.ids(),
            chosen_on: self.validation.ids(),
            source: format!(
                "abaw train, seed {}, epoch {epoch} of {}, {} labelled faces; {}",
                self.recipe.seed, self.recipe.epochs, self.counts.images, card.data
            ),
            licence: card.licence.clone(),
        }
    }

    /// The model card as Markdown. `test`: the best weights on the test set.
    fn card_text(&self, test: Option<&TemporalScores>) -> String {
        let recipe = self.recipe;
        let tasks: Vec<&str> = recipe.tasks.iter().map(|task| task_name(*task)).collect();
        let classes: Vec<String> = Expression::ALL
            .iter()
            .map(|class| format!("{} {}", class.name(), self.counts.expression[class.index()]))
            .collect();
        let best = self
            .records
            .iter()
            .max_by(|a, b| p_of(&a.validation).total_cmp(&p_of(&b.validation)));
        let sets = [
            best.map(|record| ("validation", &record.validation, record.accuracy)),
            test.map(|test| ("test", &test.scores, test.accuracy)),
        ];
        let or_not = |text: &str| if text.is_empty() { "Not stated." } else { text }.to_owned();
        format!(
            "# Model card\n\nA temporal convolution network over features and raw outputs, trained by `abaw train`.\n\n\
             ## Data\n\n{}\n\n{} training videos with {} labelled faces; labelled for valence and arousal {}, for action \
             units {}, for expressions: {}.\n\n## Training\n\nTasks: {}. Seed {}, {} epochs, batches of {} windows of {} \
             frames; {:?}, {:?}. {} channels, dilations {:?}, dropout {}: {} frames before and after a frame.\n\n\
             ## Results\n\nOn labelled faces, without smoothing.\n\n{}\n## Limits\n\n{}\n",
            or_not(&recipe.card.data),
            self.data.ids().len(),
            self.counts.images,
            self.counts.valence_arousal,
            self.counts.action_units,
            classes.join(", "),
            tasks.join(", "),
            recipe.seed,
            recipe.epochs,
            recipe.batch,
            recipe.temporal.window,
            recipe.optimizer,
            recipe.schedule,
            recipe.temporal.channels,
            recipe.temporal.dilations,
            recipe.temporal.dropout,
            recipe.reach(),
            table(sets.into_iter().flatten().collect()),
            or_not(&recipe.card.limits),
        )
    }

    /// Writes a checkpoint if the last one is old enough. If it cannot be written, the last one stays, and the next may
    /// succeed.
    fn save_if_due(&mut self, report: &mut dyn FnMut(TemporalEvent)) {
        let every = Duration::from_secs_f64(self.recipe.checkpoint_minutes * 60.0);
        if self.saved.elapsed() >= every
            && let Err(error) = self.save_checkpoint()
        {
            self.saved = Instant::now();
            report(TemporalEvent::Warning(format!(
                "no checkpoint, the last one stays: {}",
                sentence(&error)
            )));
        }
    }

    fn save_checkpoint(&mut self) -> Result<(), TrainingError> {
        let (optimizer, optimizer_steps) = self.adam.state();
        self.position.optimizer_steps = optimizer_steps;
        let tensors = Tensors {
            network: self.learner.tensors()?,
            average: NamedTensors::new(),
            optimizer,
        };
        checkpoint::save(&self.out.join(CHECKPOINT), self.recipe, &self.position, &tensors)?;
        self.saved = Instant::now();
        Ok(())
    }
}

fn incomplete(path: &Path) -> TrainingError {
    TrainingError::Checkpoint {
        path: path.to_owned(),
        reason: "the network or the optimiser's state is incomplete".to_owned(),
    }
}
