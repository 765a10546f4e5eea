//! The trainer: epochs, evaluation and checkpoints.

use std::path::Path;
use std::time::{Duration, Instant};

use tch::Device;

use super::checkpoint::{self, Position, Tensors};
use super::curves::EpochScores;
use super::dataset::Dataset;
use super::error::TrainingError;
use super::evaluation::{Evaluation, evaluate};
use super::event::TrainingEvent;
use super::learner::Learner;
use super::loader::{Batch, Epoch};
use super::loss_values::LossValues;
use super::optimizer::Adam;
use super::recipe::{Phase, Recipe};
use super::records::{self, EpochRecord};
use super::sampler::Sampler;
use super::start_weights::start_weights;
use super::unreadable::list_unreadable;
use super::weight_average::WeightAverage;
use super::write::write;
use super::{curves, model_card};
use crate::error_chain::sentence;
use crate::labels::{EXPRESSIONS, Expression};
use crate::metrics::Scores;
use crate::model::weights::{Card, NumberFormat, Weights};
use crate::model::{Architecture, NamedTensors, Normalisation};

pub(super) const CHECKPOINT: &str = "checkpoint.safetensors";
pub(super) const BEST: &str = "best.safetensors";
pub(super) const LAST: &str = "last.safetensors";
pub(super) const METRICS: &str = "metrics.jsonl";
const UNREADABLE: &str = "unreadable.txt";

/// How a training run ended.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// All epochs are done.
    Done {
        /// The scores of the best weights on the test set, if the recipe names one.
        test: Option<Box<Scores>>,
    },
    /// The run was asked to stop; the checkpoint is written.
    Stopped,
}

/// Trains by a recipe; the folder `out` receives the weights, the checkpoint and the reports. With `resume` the run in
/// `out` is continued. `stop` is called after every step: the run ends if it returns true. `report` receives the events.
///
/// # Errors
/// Any [`TrainingError`]. Files written before stay.
pub fn train(
    recipe: &Recipe,
    out: &Path,
    resume: bool,
    device: Device,
    stop: &dyn Fn() -> bool,
    report: &mut dyn FnMut(TrainingEvent),
) -> Result<Outcome, TrainingError> {
    check_folder(out, resume)?;
    let open = |set| Dataset::open(set, &recipe.tasks, recipe.data.strict);
    let (data, validation) = (open(&recipe.data.train)?, open(&recipe.data.validation)?);
    let test = recipe.data.test.as_ref().map(open).transpose()?;
    let mut run = Run::begin(recipe, out, resume, device, &data, &validation)?;
    run.warn_of_missing_labels(report)?;
    report(TrainingEvent::Begun {
        train: &data,
        validation: &validation,
        epoch: run.position.epoch,
    });
    while run.position.epoch < recipe.epochs() {
        if !run.epoch(stop, report)? {
            run.save_checkpoint()?;
            return Ok(Outcome::Stopped);
        }
    }
    let best = Weights::load(&out.join(BEST))?;
    let test = match &test {
        Some(test) => Some(evaluate(best.architecture(), best.tensors(), test, device)?),
        None => None,
    };
    let card = model_card::text(recipe, &data.counts(), &run.records, test.as_ref());
    write(&out.join("card.md"), card.as_bytes())?;
    Ok(Outcome::Done {
        test: test.map(|test| Box::new(test.scores)),
    })
}

/// Refuses to resume what was not begun, and to begin where a run is.
pub(super) fn check_folder(out: &Path, resume: bool) -> Result<(), TrainingError> {
    let is_taken = out.join(CHECKPOINT).exists();
    match resume {
        true if !is_taken => Err(TrainingError::NoCheckpoint(out.to_owned())),
        false if is_taken => Err(TrainingError::Taken(out.to_owned())),
        _ => Ok(()),
    }
}

/// A training run under way.
struct Run<'a> {
    recipe: &'a Recipe,
    out: &'a Path,
    device: Device,
    architecture: Architecture,
    data: &'a Dataset,
    validation: &'a Dataset,
    sampler: Sampler,
    class_weights: Option<[f32; EXPRESSIONS]>,
    learner: Learner,
    /// The running average of the weights, where the recipe asks for one.
    average: Option<WeightAverage>,
    /// The optimiser of the current phase.
    adam: Adam,
    position: Position,
    records: Vec<EpochRecord>,
    /// When this process started training.
    began: Instant,
    /// Images trained on since then.
    images: usize,
    /// When the last checkpoint was written.
    saved: Instant,
}

impl<'a> Run<'a> {
    fn begin(
        recipe: &'a Recipe,
        out: &'a Path,
        resume: bool,
        device: Device,
        data: &'a Dataset,
        validation: &'a Dataset,
    ) -> Result<Self, TrainingError> {
        let architecture = recipe.architecture();
        let (position, saved) = match resume {
            true => {
                let (position, tensors) =
                    checkpoint::load::<Recipe, Position>(&out.join(CHECKPOINT), recipe, Recipe::fixed)?;
                (position, Some(tensors))
            }
            false => (Position::default(), None),
        };
        let tensors = match &saved {
            Some(saved) => saved
                .network
                .iter()
                .map(|(name, t)| (name.clone(), t.shallow_clone()))
                .collect(),
            None => start_weights(recipe, &architecture)?,
        };
        let learner = Learner::new(&architecture, &tensors, recipe.replicas, recipe.precision, device)?;
        let (phase, epoch_of_phase) = phase_of(recipe, position.epoch);
        let trained = learner.set_trained_layers(recipe.phase[phase].layers);
        let mut adam = Adam::new(&trained, &recipe.phase[phase].optimizer)?;
        let mut average = recipe
            .average
            .map(|decay| WeightAverage::new(decay, &learner.tensors()))
            .transpose()?;
        if let Some(saved) = saved {
            let begins = epoch_of_phase == 0 && position.step == 0;
            let mut whole = begins || adam.restore(&saved.optimizer, position.optimizer_steps)?;
            if let Some(average) = &mut average {
                whole &= average.restore(&saved.average)?;
            }
            if !whole {
                return Err(TrainingError::Checkpoint {
                    path: out.join(CHECKPOINT),
                    reason: "the optimiser's state or the average of the weights is incomplete".to_owned(),
                });
            }
        }
        Ok(Self {
            recipe,
            out,
            device,
            architecture,
            data,
            validation,
            sampler: Sampler::new(data.samples(), &recipe.sampler, recipe.seed),
            class_weights: data.counts().class_weights(recipe.loss.class_balance),
            learner,
            average,
            adam,
            records: match resume {
                true => records::read(&out.join(METRICS), position.epoch)?,
                false => Vec::new(),
            },
            position,
            began: Instant::now(),
            images: 0,
            saved: Instant::now(),
        })
    }

    /// Continues the current epoch to its end; false if the run was asked to stop.
    fn epoch(
        &mut self,
        stop: &dyn Fn() -> bool,
        report: &mut dyn FnMut(TrainingEvent),
    ) -> Result<bool, TrainingError> {
        let recipe = self.recipe;
        let number = self.position.epoch;
        let (phase_index, epoch_of_phase) = phase_of(recipe, number);
        let phase = &recipe.phase[phase_index];
        if epoch_of_phase == 0 && self.position.step == 0 {
            let trained = self.learner.set_trained_layers(phase.layers);
            self.adam = Adam::new(&trained, &phase.optimizer)?;
        }
        let steps = Epoch::steps(self.sampler.images(), recipe.batch);
        let epoch = Epoch {
            dataset: self.data,
            augmentation: &recipe.augmentation,
            seed: recipe.seed,
            number,
            order: self.sampler.epoch(number),
            steps,
            device: self.device,
        };
        let done = std::thread::scope(|scope| {
            for batch in epoch.batches(self.position.step, scope)? {
                let step_of_phase = epoch_of_phase * steps + self.position.step;
                let factor = phase.schedule.factor(step_of_phase, steps, phase.epochs);
                self.step(&batch?, phase, phase.optimizer.learning_rate() * factor, report)?;
                if stop() {
                    return Ok(false);
                }
                self.save_if_due(report);
            }
            Ok::<_, TrainingError>(true)
        })?;
        if done {
            let factor = phase
                .schedule
                .factor((epoch_of_phase + 1) * steps - 1, steps, phase.epochs);
            self.finish_epoch(phase_index, phase.optimizer.learning_rate() * factor, report)?;
        }
        Ok(done)
    }

    fn step(
        &mut self,
        batch: &Batch,
        phase: &Phase,
        learning_rate: f64,
        report: &mut dyn FnMut(TrainingEvent),
    ) -> Result<(), TrainingError> {
        let start = Instant::now();
        if !batch.unreadable.is_empty() {
            self.position.unreadable.extend(batch.unreadable.iter().cloned());
            self.list_unreadable()?;
        }
        let (recipe, epoch) = (self.recipe, self.position.epoch + 1);
        // Batch statistics need at least two images in each replica.
        if batch.names.len() >= 2 * recipe.replicas {
            let losses = self
                .learner
                .step(
                    batch,
                    phase,
                    &recipe.loss,
                    self.class_weights.as_ref(),
                    &mut self.adam,
                    learning_rate,
                )
                .map_err(|error| error.in_epoch(epoch))?;
            self.position.steps += 1;
            self.position.optimizer_steps += 1;
            if let Some(average) = &mut self.average {
                average.update(&self.learner.tensors(), self.position.steps)?;
            }
            self.position.so_far.losses.push(losses);
            self.position.so_far.images += batch.names.len();
            self.images += batch.names.len();
        }
        self.position.step = batch.step + 1;
        self.position.so_far.seconds += start.elapsed().as_secs_f64();
        if let Some(losses) = self.position.so_far.losses.last() {
            report(TrainingEvent::Step {
                epoch,
                epochs: recipe.epochs(),
                images: self.position.epoch * self.sampler.images() + self.position.so_far.images,
                of: recipe.epochs() * self.sampler.images(),
                losses,
                images_per_second: self.images as f64 / self.began.elapsed().as_secs_f64(),
            });
        }
        Ok(())
    }

    fn finish_epoch(
        &mut self,
        phase: usize,
        learning_rate: f64,
        report: &mut dyn FnMut(TrainingEvent),
    ) -> Result<(), TrainingError> {
        let tensors = match &self.average {
            Some(average) => average.tensors()?,
            None => self.learner.tensors(),
        };
        let Evaluation {
            scores,
            accuracy,
            unreadable,
        } = evaluate(&self.architecture, &tensors, self.validation, self.device)?;
        if unreadable > 0 {
            report(TrainingEvent::Warning(format!(
                "{unreadable} validation images cannot be read: they do not count"
            )));
        }
        let so_far = std::mem::take(&mut self.position.so_far);
        let record = EpochRecord {
            epoch: self.position.epoch + 1,
            phase: phase + 1,
            learning_rate,
            images: so_far.images,
            losses: LossValues::mean(so_far.losses.iter().map(|losses| (*losses, 1.0))),
            validation: scores,
            accuracy,
            seconds: so_far.seconds,
            images_per_second: so_far.images as f64 / so_far.seconds.max(1e-9),
        };
        self.position.epoch += 1;
        self.position.step = 0;
        let score = record.validation.p.unwrap_or(0.0);
        let weights = Weights::new(tensors, self.card(&record))?;
        if self.position.best.is_none_or(|best| score > best) {
            self.position.best = Some(score);
            weights.save(&self.out.join(BEST), NumberFormat::F32)?;
        }
        weights.save(&self.out.join(LAST), NumberFormat::F32)?;
        report(TrainingEvent::Epoch(&record));
        self.records.push(record);
        records::replace(&self.out.join(METRICS), &self.records)?;
        let epochs: Vec<EpochScores> = self.records.iter().map(EpochRecord::scores).collect();
        curves::draw(&self.out.join("curves.svg"), &epochs)?;
        self.save_checkpoint()
    }

    /// The card of the weights of an epoch.
    fn card(&self, record: &EpochRecord) -> Card {
        let card = &self.recipe.card;
        let counts = self.data.counts();
        Card {
            normalisation: Normalisation::IMAGENET,
            alignment: card.alignment,
            source: format!(
                "abaw train, seed {}, epoch {} of {}, {} images; {}",
                self.recipe.seed,
                record.epoch,
                self.recipe.epochs(),
                counts.images,
                card.data
            ),
            licence: card.licence.clone(),
            trained: true,
            calibration: None,
            weak_expressions: weak_expressions(record),
        }
    }

    /// Writes a checkpoint if the last one is old enough. If it cannot be written, the last one stays, and the next may
    /// succeed.
    fn save_if_due(&mut self, report: &mut dyn FnMut(TrainingEvent)) {
        let every = Duration::from_secs_f64(self.recipe.checkpoint_minutes * 60.0);
        if self.saved.elapsed() >= every
            && let Err(error) = self.save_checkpoint()
        {
            self.saved = Instant::now();
            report(TrainingEvent::Warning(format!(
                "no checkpoint, the last one stays: {}",
                sentence(&error)
            )));
        }
    }

    fn save_checkpoint(&mut self) -> Result<(), TrainingError> {
        let (optimizer, optimizer_steps) = self.adam.state();
        self.position.optimizer_steps = optimizer_steps;
        let tensors = Tensors {
            network: self.learner.tensors(),
            average: match &self.average {
                Some(average) => average.tensors()?,
                None => NamedTensors::new(),
            },
            optimizer,
        };
        checkpoint::save(&self.out.join(CHECKPOINT), self.recipe, &self.position, &tensors)?;
        self.saved = Instant::now();
        Ok(())
    }

    /// Warns of labels without images and of expressions without labels.
    fn warn_of_missing_labels(&mut self, report: &mut dyn FnMut(TrainingEvent)) -> Result<(), TrainingError> {
        for (set, dataset) in [("training", self.data), ("validation", self.validation)] {
            if let Some(first) = dataset.missing().first() {
                let count = dataset.missing().len();
                report(TrainingEvent::Warning(format!(
                    "{count} labelled {set} images are missing and left out (first: {first})"
                )));
            }
        }
        let counts = self.data.counts();
        if counts.expression.iter().any(|&count| count > 0) {
            for class in counts.empty_classes() {
                report(TrainingEvent::Warning(format!(
                    "no training image shows {class}: it cannot be learnt"
                )));
            }
        }
        self.list_unreadable()
    }

    fn list_unreadable(&self) -> Result<(), TrainingError> {
        let most = self.recipe.data.most_unreadable;
        list_unreadable(
            self.data,
            &self.position.unreadable,
            most,
            &self.out.join(UNREADABLE),
        )
    }
}

impl TrainingError {
    /// Adds the epoch (1-based), which a step does not know.
    fn in_epoch(self, number: usize) -> Self {
        match self {
            TrainingError::NotFinite {
                what, step, images, ..
            } => TrainingError::NotFinite {
                what,
                epoch: number,
                step: step + 1,
                images,
            },
            other => other,
        }
    }
}

/// The phase of an epoch (0-based, over all phases) and the epoch's number in it. After the last epoch: the
/// last phase.
fn phase_of(recipe: &Recipe, epoch: usize) -> (usize, usize) {
    let mut before = 0;
    for (index, phase) in recipe.phase.iter().enumerate() {
        if epoch < before + phase.epochs || index + 1 == recipe.phase.len() {
            return (index, epoch - before);
        }
        before += phase.epochs;
    }
    (0, epoch)
}

/// The expressions whose F1 on the validation images is low.
fn weak_expressions(record: &EpochRecord) -> Vec<Expression> {
    let Some(f1) = record.validation.f1_expression else {
        return Vec::new();
    };
    let is_weak = |class: &Expression| f1[class.index()] < Card::WEAK_F1;
    Expression::ALL.into_iter().filter(is_weak).collect()
}
