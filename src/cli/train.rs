//! `abaw train`: weights from labelled crops, or, by a recipe with `[temporal]`, from labelled runs.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use abaw::device::DeviceChoice;
use abaw::metrics::Scores;
use abaw::stop::{EXIT_STOPPED, Stop};
use abaw::training::{EpochRecord, Outcome, Recipe, TemporalRecipe, TrainingEvent, train};
use clap::Args;
use indicatif::ProgressBar;

use super::console::{Console, LINE_EVERY};
use super::training_scores::{done_before, labels, losses, number, print_scores, scores};
use super::{CommandResult, EXIT_DONE, train_temporal};

/// How long a stopped run may take to finish its step and write its checkpoint.
const GRACE: Duration = Duration::from_secs(25);

/// Train the network on labelled crops, or a temporal network on annotated runs, by a recipe.
///
/// A recipe with [temporal] is of a temporal network, over the features and raw outputs of runs (`annotate --features`).
/// Leaves in DIR: best.safetensors and last.safetensors (weights), checkpoint.safetensors (to go on
/// from), metrics.jsonl (a line an epoch), curves.svg, card.md, unreadable.txt if images could not be
/// read.
#[derive(Args)]
pub struct Arguments {
    /// What to train on and how: `pipelines/train-end-to-end.toml`, `pipelines/train-heads.toml`,
    /// `pipelines/train-temporal.toml`.
    #[arg(long, value_name = "FILE")]
    recipe: PathBuf,
    /// Folder for what comes out.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Go on from the checkpoint in DIR as if the run had never stopped.
    #[arg(long)]
    resume: bool,
    /// Where to compute: auto, cpu, cuda or cuda:N.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: DeviceChoice,
}

/// Trains.
pub fn run(arguments: Arguments, console: &Console) -> CommandResult {
    start_again_with_sleeping_threads();
    let is_temporal = TemporalRecipe::is_one(&arguments.recipe);
    let (device, _) = arguments.device.resolve()?;
    let stop = Stop::on_signals_within(GRACE)?;
    if is_temporal {
        let Arguments {
            recipe, out, resume, ..
        } = &arguments;
        return train_temporal::run(recipe, out, *resume, device, &stop);
    }
    let recipe = Recipe::read(&arguments.recipe)?;
    let mut progress = Progress::new(console);
    let outcome = train(
        &recipe,
        &arguments.out,
        arguments.resume,
        device,
        &|| stop.asked(),
        &mut |event| progress.show(&event),
    );
    progress.bar.finish_and_clear();
    match outcome? {
        Outcome::Done { test } => {
            print_result(&arguments.out, test.as_deref());
            Ok(ExitCode::from(EXIT_DONE))
        }
        Outcome::Stopped => {
            tracing::warn!("stopped; go on with the same command and --resume");
            Ok(ExitCode::from(EXIT_STOPPED as u8))
        }
    }
}

/// The threads of libgomp, which libtorch computes with, spin while they wait for each other. Beside other busy processes
/// they spin away the time that the others wait for, and a training comes nearly to a standstill; asleep they leave the
/// core. libgomp reads this when it is loaded, so the process starts this program once more in its own place, with what
/// the user chose if there is such a choice.
fn start_again_with_sleeping_threads() {
    const POLICY: &str = "OMP_WAIT_POLICY";
    if std::env::var_os(POLICY).is_some() || std::env::var_os("GOMP_SPINCOUNT").is_some() {
        return;
    }
    if let Ok(program) = std::env::current_exe() {
        let error = Command::new(program)
            .args(std::env::args_os().skip(1))
            .env(POLICY, "passive")
            .exec();
        tracing::debug!("libgomp's threads will spin: {error}");
    }
}

/// How far the training has come, on stderr.
struct Progress {
    bar: ProgressBar,
    drawn: bool,
    last_line: Instant,
}

impl Progress {
    fn new(console: &Console) -> Self {
        let (bar, drawn) = console.bar("{bar:30} {msg}, {elapsed} gone");
        Self {
            bar,
            drawn,
            last_line: Instant::now(),
        }
    }

    fn show(&mut self, event: &TrainingEvent) {
        match event {
            TrainingEvent::Begun {
                train,
                validation,
                epoch,
            } => {
                let counts = train.counts();
                tracing::info!(
                    images = counts.images,
                    valence_arousal = counts.valence_arousal,
                    action_units = counts.action_units,
                    validation = validation.samples().len(),
                    epoch,
                    "{} training images ({}), {} to validate{}",
                    counts.images,
                    labels(&counts),
                    validation.samples().len(),
                    done_before(*epoch)
                );
            }
            TrainingEvent::Step {
                epoch,
                epochs,
                images,
                of,
                losses,
                images_per_second,
            } => {
                self.bar.set_length(*of as u64);
                self.bar.set_position(*images as u64);
                let left = (of - images.min(of)) as f64 / images_per_second.max(1e-9);
                let line = format!(
                    "epoch {epoch}/{epochs}, {images}/{of} images, {images_per_second:.1} a second, loss {:.3}, about {} left",
                    losses.total,
                    indicatif::HumanDuration(Duration::from_secs_f64(left.min(1e9)))
                );
                if !self.drawn && self.last_line.elapsed() >= LINE_EVERY {
                    self.last_line = Instant::now();
                    tracing::info!(
                        epoch,
                        images,
                        images_per_second,
                        seconds_left = left,
                        loss = losses.total,
                        loss_valence_arousal = losses.valence_arousal,
                        loss_expression = losses.expression,
                        loss_action_units = losses.action_units,
                        "{line}"
                    );
                }
                self.bar.set_message(line);
            }
            TrainingEvent::Epoch(record) => self.log_epoch(record),
            TrainingEvent::Warning(sentence) => tracing::warn!("{sentence}"),
        }
    }

    fn log_epoch(&self, record: &EpochRecord) {
        tracing::info!(
            epoch = record.epoch,
            p = record.validation.p,
            accuracy = record.accuracy,
            images_per_second = record.images_per_second,
            "epoch {}: loss {}; validation {}, accuracy {}; {:.1} images a second",
            record.epoch,
            losses(&record.losses),
            scores(&record.validation),
            number(record.accuracy),
            record.images_per_second
        );
    }
}

fn print_result(out: &Path, test: Option<&Scores>) {
    let weights = out.join("best.safetensors");
    println!(
        "{}: the weights of the best epoch; {}: how good they are",
        weights.display(),
        out.join("card.md").display()
    );
    print_scores(test);
}
