//! The trainer: epochs, evaluation, checkpoints, and what is kept.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tch::{Device, Tensor, no_grad};

use super::checkpoint::{self, Position, Tensors};
use super::dataset::Dataset;
use super::error::TrainingError;
use super::evaluation::{Evaluation, evaluate};
use super::loader::{Batch, Epoch};
use super::optimizer::Adam;
use super::recipe::{Phase, Recipe};
use super::sampler::Sampler;
use super::step::{Learner, LossValues};
use super::{curves, model_card};
use crate::labels::EXPRESSIONS;
use crate::metrics::Scores;
use crate::model::weights::{Card, NumberFormat, Weights};
use crate::model::{Architecture, NamedTensors, Normalisation, initial_weights};
use crate::publish::publish;

const CHECKPOINT: &str = "checkpoint.safetensors";
const BEST: &str = "best.safetensors";
const LAST: &str = "last.safetensors";
const METRICS: &str = "metrics.jsonl";
const UNREADABLE: &str = "unreadable.txt";

/// A finished epoch: a line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// 1-based, over all phases.
    pub epoch: usize,
    /// 1-based.
    pub phase: usize,
    /// At its last step.
    pub learning_rate: f64,
    /// Images that were trained on.
    pub images: usize,
    /// Means over the steps.
    pub losses: LossValues,
    /// On the validation set, one mask a task.
    pub validation: Scores,
    /// The share of the validation images whose expression is right.
    pub accuracy: Option<f64>,
    pub seconds: f64,
    pub images_per_second: f64,
}

/// What happens while a network is trained.
#[derive(Debug)]
pub enum News<'a> {
    /// The data is read.
    Begun {
        train: &'a Dataset,
        validation: &'a Dataset,
        /// Finished epochs, where a run goes on.
        epoch: usize,
    },
    /// A step was taken.
    Step {
        /// 1-based.
        epoch: usize,
        epochs: usize,
        /// Images of this run so far, those of earlier sittings too, and of all epochs.
        images: usize,
        of: usize,
        losses: &'a LossValues,
        /// Since this sitting began.
        images_per_second: f64,
    },
    /// An epoch is over.
    Epoch(&'a EpochRecord),
    /// Something that a person should know.
    Warning(String),
}

/// How a training run ended.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// All epochs are done; the scores of the best weights on the test set, if the recipe names one.
    Done { test: Option<Box<Scores>> },
    /// Somebody asked to stop; the checkpoint is written.
    Stopped,
}

/// Trains by a recipe into the folder `out`. `stop` is asked after every step.
///
/// # Errors
/// Any [`TrainingError`]. What was saved before stays.
pub fn train(
    recipe: &Recipe,
    out: &Path,
    resume: bool,
    device: Device,
    stop: &dyn Fn() -> bool,
    news: &mut dyn FnMut(News),
) -> Result<Outcome, TrainingError> {
    let taken = out.join(CHECKPOINT).exists();
    match resume {
        true if !taken => return Err(TrainingError::NoCheckpoint(out.to_owned())),
        false if taken => return Err(TrainingError::Taken(out.to_owned())),
        _ => {}
    }
    let open = |set| Dataset::open(set, &recipe.tasks, recipe.data.strict);
    let (data, validation) = (open(&recipe.data.train)?, open(&recipe.data.validation)?);
    let test = recipe.data.test.as_ref().map(open).transpose()?;
    let mut run = Run::begin(recipe, out, resume, device, &data, &validation)?;
    run.say_what_is_missing(news)?;
    news(News::Begun {
        train: &data,
        validation: &validation,
        epoch: run.position.epoch,
    });
    while run.position.epoch < recipe.epochs() {
        if !run.epoch(stop, news)? {
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
    average: Option<NamedTensors>,
    /// Of the phase under way.
    adam: Adam,
    position: Position,
    records: Vec<EpochRecord>,
    /// When this sitting began, and what it has trained on.
    began: Instant,
    images: usize,
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
                let (position, tensors) = checkpoint::load(&out.join(CHECKPOINT), recipe)?;
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
            None => first_tensors(recipe, &architecture)?,
        };
        let learner = Learner::new(&architecture, &tensors, recipe.replicas, recipe.precision, device)?;
        let (phase, epoch_of_phase) = place(recipe, position.epoch);
        let trained = learner.begin(recipe.phase[phase].layers);
        let mut adam = Adam::new(&trained, &recipe.phase[phase].optimizer)?;
        let mut average = recipe.average.map(|_| copies(&learner.tensors())).transpose()?;
        if let Some(saved) = saved {
            let begins = epoch_of_phase == 0 && position.step == 0;
            let mut whole = begins || adam.restore(&saved.optimizer, position.optimizer_steps)?;
            if let Some(average) = &mut average {
                whole &= copy_into(average, &saved.average)?;
            }
            if !whole {
                return Err(TrainingError::Checkpoint {
                    path: out.join(CHECKPOINT),
                    reason: "the optimiser's state or the average of the weights is not whole".to_owned(),
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
            class_weights: class_weights(recipe, data),
            learner,
            average,
            adam,
            records: match resume {
                true => read_records(&out.join(METRICS), position.epoch)?,
                false => Vec::new(),
            },
            position,
            began: Instant::now(),
            images: 0,
            saved: Instant::now(),
        })
    }

    /// Goes on with the epoch under way; false if it was stopped within.
    fn epoch(&mut self, stop: &dyn Fn() -> bool, news: &mut dyn FnMut(News)) -> Result<bool, TrainingError> {
        let recipe = self.recipe;
        let number = self.position.epoch;
        let (phase_index, epoch_of_phase) = place(recipe, number);
        let phase = &recipe.phase[phase_index];
        if epoch_of_phase == 0 && self.position.step == 0 {
            let trained = self.learner.begin(phase.layers);
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
        };
        let done = std::thread::scope(|scope| {
            for batch in epoch.batches(self.position.step, scope) {
                let step_of_phase = epoch_of_phase * steps + self.position.step;
                let factor = phase.schedule.factor(step_of_phase, steps, phase.epochs);
                self.step(&batch?, phase, phase.optimizer.learning_rate() * factor, news)?;
                if stop() {
                    return Ok(false);
                }
                self.save_in_time(news);
            }
            Ok::<_, TrainingError>(true)
        })?;
        if done {
            let factor = phase
                .schedule
                .factor((epoch_of_phase + 1) * steps - 1, steps, phase.epochs);
            self.finish_epoch(phase_index, phase.optimizer.learning_rate() * factor, news)?;
        }
        Ok(done)
    }

    fn step(
        &mut self,
        batch: &Batch,
        phase: &Phase,
        learning_rate: f64,
        news: &mut dyn FnMut(News),
    ) -> Result<(), TrainingError> {
        let start = Instant::now();
        if !batch.unreadable.is_empty() {
            self.position.unreadable.extend(batch.unreadable.iter().cloned());
            self.refuse_too_many_unreadable()?;
        }
        let (recipe, epoch) = (self.recipe, self.position.epoch + 1);
        // Fewer images have no batch statistics.
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
            self.update_average()?;
            self.position.so_far.losses.push(losses);
            self.position.so_far.images += batch.names.len();
            self.images += batch.names.len();
        }
        self.position.step = batch.step + 1;
        self.position.so_far.seconds += start.elapsed().as_secs_f64();
        if let Some(losses) = self.position.so_far.losses.last() {
            news(News::Step {
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

    /// Moves the average towards the weights; young averages forget faster.
    fn update_average(&mut self) -> Result<(), TrainingError> {
        let (Some(average), Some(old)) = (&mut self.average, self.recipe.average) else {
            return Ok(());
        };
        let steps = self.position.steps as f64;
        let old = old.min(steps / (9.0 + steps));
        no_grad(|| {
            for (name, tensor) in self.learner.tensors() {
                if let Some(average) = average.get_mut(&name) {
                    let _ = average.f_lerp_(&tensor, 1.0 - old)?;
                }
            }
            Ok(())
        })
    }

    fn finish_epoch(
        &mut self,
        phase: usize,
        learning_rate: f64,
        news: &mut dyn FnMut(News),
    ) -> Result<(), TrainingError> {
        let tensors = self
            .average
            .as_ref()
            .map_or_else(|| Ok(self.learner.tensors()), copies)?;
        let Evaluation {
            scores,
            accuracy,
            unreadable,
        } = evaluate(&self.architecture, &tensors, self.validation, self.device)?;
        if unreadable > 0 {
            news(News::Warning(format!(
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
        let score = record.validation.p;
        let weights = Weights::new(tensors, self.card(&record))?;
        if self.position.best.is_none_or(|best| score > best) {
            self.position.best = Some(score);
            weights.save(&self.out.join(BEST), NumberFormat::F32)?;
        }
        weights.save(&self.out.join(LAST), NumberFormat::F32)?;
        news(News::Epoch(&record));
        self.records.push(record);
        write_records(&self.out.join(METRICS), &self.records)?;
        curves::draw(&self.out.join("curves.svg"), &self.records)?;
        self.save_checkpoint()
    }

    /// The card of weights after an epoch.
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
        }
    }

    /// A checkpoint when the last one is old enough. One that cannot be written costs nothing yet: the
    /// last one stays, and the next may succeed.
    fn save_in_time(&mut self, news: &mut dyn FnMut(News)) {
        let every = Duration::from_secs_f64(self.recipe.checkpoint_minutes * 60.0);
        if self.saved.elapsed() >= every
            && let Err(error) = self.save_checkpoint()
        {
            self.saved = Instant::now();
            news(News::Warning(format!(
                "no checkpoint, the last one stays: {error}"
            )));
        }
    }

    fn save_checkpoint(&mut self) -> Result<(), TrainingError> {
        let (optimizer, optimizer_steps) = self.adam.state();
        self.position.optimizer_steps = optimizer_steps;
        let tensors = Tensors {
            network: self.learner.tensors(),
            average: self
                .average
                .as_ref()
                .map_or_else(|| Ok(NamedTensors::new()), copies)?,
            optimizer,
        };
        checkpoint::save(&self.out.join(CHECKPOINT), self.recipe, &self.position, &tensors)?;
        self.saved = Instant::now();
        Ok(())
    }

    fn say_what_is_missing(&mut self, news: &mut dyn FnMut(News)) -> Result<(), TrainingError> {
        for (set, dataset) in [("training", self.data), ("validation", self.validation)] {
            if let Some(first) = dataset.missing().first() {
                let count = dataset.missing().len();
                news(News::Warning(format!(
                    "{count} labelled {set} images are missing, {first} first: left out"
                )));
            }
        }
        let counts = self.data.counts();
        if counts.expression.iter().any(|&count| count > 0) {
            for class in counts.empty_classes() {
                news(News::Warning(format!(
                    "no training image shows {class}: it cannot be learnt"
                )));
            }
        }
        self.refuse_too_many_unreadable()
    }

    /// Lists missing and unreadable training images in a file, and refuses to go on with too many.
    fn refuse_too_many_unreadable(&self) -> Result<(), TrainingError> {
        let missing = self.data.missing();
        let bad = missing.len() + self.position.unreadable.len();
        if bad == 0 {
            return Ok(());
        }
        let list = self.out.join(UNREADABLE);
        let lines = missing.iter().map(|name| (name.as_str(), "no such image"));
        let unreadable = self.position.unreadable.iter();
        let lines: Vec<(&str, &str)> = lines
            .chain(unreadable.map(|(name, reason)| (name.as_str(), reason.as_str())))
            .collect();
        let text: String = lines
            .iter()
            .map(|(name, reason)| format!("{name}: {reason}\n"))
            .collect();
        write(&list, text.as_bytes())?;
        let images = self.data.samples().len() + missing.len();
        match bad as f64 > self.recipe.data.most_unreadable * images as f64 {
            false => Ok(()),
            true => Err(TrainingError::TooManyUnreadable {
                bad,
                images,
                first: format!("{}: {}", lines[0].0, lines[0].1),
                list,
            }),
        }
    }
}

impl TrainingError {
    /// The same, with the epoch (1-based) that a step does not know.
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

/// The phase of an epoch (0-based, over all phases) and the epoch's number in it. Past the end: the
/// last phase.
fn place(recipe: &Recipe, epoch: usize) -> (usize, usize) {
    let mut before = 0;
    for (index, phase) in recipe.phase.iter().enumerate() {
        if epoch < before + phase.epochs || index + 1 == recipe.phase.len() {
            return (index, epoch - before);
        }
        before += phase.epochs;
    }
    (0, epoch)
}

/// The tensors that training starts from: those of the recipe's weights that fit, the rest at random.
fn first_tensors(recipe: &Recipe, architecture: &Architecture) -> Result<NamedTensors, TrainingError> {
    let mut tensors = initial_weights(architecture, recipe.seed)?;
    let Some(start) = &recipe.start else {
        return Ok(tensors);
    };
    for (name, tensor) in Weights::load(start)?.tensors() {
        let Some(target) = tensors.get_mut(name) else {
            continue;
        };
        if target.size() == tensor.size() {
            *target = tensor.shallow_clone();
        } else if target.size()[1..] == tensor.size()[1..] && target.size()[0] < tensor.size()[0] {
            // A ninth expression that was never a label.
            *target = tensor.f_narrow(0, 0, target.size()[0])?;
        }
    }
    Ok(tensors)
}

/// `n ^ -class_balance`, of mean 1 over the images.
fn class_weights(recipe: &Recipe, data: &Dataset) -> Option<[f32; EXPRESSIONS]> {
    let balance = recipe.loss.class_balance;
    if balance == 0.0 {
        return None;
    }
    let counts = data.counts().expression.map(|count| count as f64);
    let weights = counts.map(|count| if count > 0.0 { count.powf(-balance) } else { 0.0 });
    let sum: f64 = counts
        .iter()
        .zip(weights)
        .map(|(count, weight)| count * weight)
        .sum();
    let scale = counts.iter().sum::<f64>() / sum;
    (sum > 0.0).then(|| weights.map(|weight| (weight * scale) as f32))
}

fn copies(tensors: &NamedTensors) -> Result<NamedTensors, TrainingError> {
    let copy = |(name, tensor): (&String, &Tensor)| Ok((name.clone(), tensor.f_detach_copy()?));
    tensors.iter().map(copy).collect()
}

/// Fills tensors, on the device where they are, with others of the same names; false if one is missing.
fn copy_into(targets: &mut NamedTensors, sources: &NamedTensors) -> Result<bool, TrainingError> {
    for (name, target) in targets {
        match sources.get(name) {
            Some(source) => target.f_copy_(source)?,
            None => return Ok(false),
        }
    }
    Ok(true)
}

/// The records of the first `epochs` epochs.
fn read_records(path: &Path, epochs: usize) -> Result<Vec<EpochRecord>, TrainingError> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read.map_err(|source| file_error(path, source))?,
    };
    let record = |line: &str| {
        serde_json::from_str(line).map_err(|error| TrainingError::Checkpoint {
            path: path.to_owned(),
            reason: error.to_string(),
        })
    };
    text.lines().take(epochs).map(record).collect()
}

fn write_records(path: &Path, records: &[EpochRecord]) -> Result<(), TrainingError> {
    let mut text = Vec::new();
    for record in records {
        let line = serde_json::to_string(record).map_err(|error| file_error(path, error.into()))?;
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
    }
    write(path, &text)
}

pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), TrainingError> {
    publish::<io::Error>(path, |file| file.write_all(bytes)).map_err(|source| file_error(path, source))
}

fn file_error(path: &Path, source: io::Error) -> TrainingError {
    TrainingError::File {
        path: PathBuf::from(path),
        source,
    }
}
