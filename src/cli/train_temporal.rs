//! `abaw train` with a recipe that has `[temporal]`: a temporal network from annotated runs and labels.

use std::path::Path;
use std::process::ExitCode;

use abaw::stop::{EXIT_STOPPED, Stop};
use abaw::training::{TemporalEpoch, TemporalEvent, TemporalOutcome, TemporalRecipe, train_temporal};
use tch::Device;

use super::training_scores::{done_before, labels, losses, number, print_scores, scores};
use super::{CommandResult, EXIT_DONE};

/// Trains.
pub fn run(recipe: &Path, out: &Path, resume: bool, device: Device, stop: &Stop) -> CommandResult {
    let recipe = TemporalRecipe::read(recipe)?;
    let outcome = train_temporal(&recipe, out, resume, device, &|| stop.asked(), &mut |event| {
        show(&event, &recipe);
    });
    match outcome? {
        TemporalOutcome::Done { test } => {
            println!(
                "{0}: the weights of the best epoch, for [postprocess.temporal] in a pipeline file; {1}: how good they are",
                out.join("best.safetensors").display(),
                out.join("card.md").display()
            );
            print_scores(test.as_deref());
            Ok(ExitCode::from(EXIT_DONE))
        }
        TemporalOutcome::Stopped => {
            tracing::warn!("stopped; go on with the same command and --resume");
            Ok(ExitCode::from(EXIT_STOPPED as u8))
        }
    }
}

fn show(event: &TemporalEvent, recipe: &TemporalRecipe) {
    match event {
        TemporalEvent::Begun {
            train,
            validation,
            epoch,
        } => {
            let counts = train.counts();
            tracing::info!(
                videos = train.ids().len(),
                faces = counts.images,
                valence_arousal = counts.valence_arousal,
                action_units = counts.action_units,
                validation = validation.ids().len(),
                epoch,
                "{} training videos with {} labelled faces ({}), {} videos to validate{}",
                train.ids().len(),
                counts.images,
                labels(&counts),
                validation.ids().len(),
                done_before(*epoch)
            );
        }
        TemporalEvent::Epoch(record) => log_epoch(record, recipe.epochs),
        TemporalEvent::Warning(sentence) => tracing::warn!("{sentence}"),
    }
}

fn log_epoch(record: &TemporalEpoch, epochs: usize) {
    tracing::info!(
        epoch = record.epoch,
        p = record.validation.p,
        accuracy = record.accuracy,
        "epoch {}/{epochs}: loss {}; validation {}, accuracy {}; {} windows in {:.1} s",
        record.epoch,
        losses(&record.losses),
        scores(&record.validation),
        number(record.accuracy),
        record.windows,
        record.seconds
    );
}
