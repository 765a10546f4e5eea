//! `abaw tune`: thresholds and smoothing that generalise to new videos.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use abaw::finalise::{self, LabelledFrames, VideosToTune};
use abaw::publish::publish;
use abaw::tuning::{Calibration, Gain, LabelledVideo, TuningSettings, count_labelled, tune};
use clap::Args;

use super::label_arguments::LabelArguments;
use super::{CommandResult, EXIT_DONE};

/// Find the smoothing of each task and the threshold of each action unit on a labelled run.
///
/// Each setting is scored on videos that it was not tuned on, and kept only if it improves the score there. Tuning uses
/// the raw columns, or the outputs of the run's temporal network, so the run's own smoothing has no influence.
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    labels: LabelArguments,
    /// The calibration file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Groups of videos for the cross-validation, at least 3; by default 5, or as many as there are labelled videos.
    #[arg(long, value_name = "N")]
    folds: Option<usize>,
    /// Tune on the frames with a usable look alone (column `usable`), and print the gains on all frames beside.
    #[arg(long)]
    usable: bool,
}

/// Tunes.
pub fn run(arguments: Arguments) -> CommandResult {
    let (run, labels) = arguments.labels.open()?;
    let frames = match arguments.usable {
        true => LabelledFrames::Usable,
        false => LabelledFrames::All,
    };
    let VideosToTune {
        videos,
        absent,
        trained_on,
        chosen_on,
    } = finalise::labelled_videos(&run, &labels, frames)?;
    warn_of_training(&trained_on, &chosen_on);
    if !absent.is_empty() {
        tracing::warn!(
            "{} of {} labelled videos have no table in the run (first: {})",
            absent.len(),
            absent.len() + videos.len(),
            absent[0]
        );
    }
    let settings = TuningSettings {
        folds: arguments.folds.unwrap_or_else(|| folds_for(&videos)),
        ..TuningSettings::default()
    };
    let date = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    if arguments.usable {
        let on_all = finalise::labelled_videos(&run, &labels, LabelledFrames::All)?;
        println!("all labelled frames, for comparison:");
        print(&tune(&on_all.videos, &settings, &date)?);
        println!("\nonly the labelled frames with a usable look:");
    }
    let found = tune(&videos, &settings, &date)?;
    print(&found);
    println!(
        "\nExpect the gain on new videos; that on the tuning set is too optimistic. A setting is kept if its gain on \
         new videos is above 0."
    );
    let text = toml::to_string(&found)?;
    publish::<io::Error>(&arguments.out, |file| file.write_all(text.as_bytes()))
        .map_err(|error| format!("{}: {error}", arguments.out.display()))?;
    println!(
        "\n{0}: use it with `abaw postprocess RUN --calibration {0}`, or keep it in the weights with \
         `abaw weights import WEIGHTS --calibration {0}`",
        arguments.out.display()
    );
    Ok(ExitCode::from(EXIT_DONE))
}

/// Names the videos whose labels a temporal network has seen.
fn warn_of_training(trained_on: &[String], chosen_on: &[String]) {
    if let Some(first) = trained_on.first() {
        tracing::warn!(
            "left out: {} labelled videos that the temporal network was trained on (first: {first})",
            trained_on.len()
        );
    }
    if let Some(first) = chosen_on.first() {
        tracing::warn!(
            "{} labelled videos chose the epoch of the temporal network, so their numbers are slightly too good (first: {first})",
            chosen_on.len()
        );
    }
}

/// The usual number of folds, or, where there are fewer labelled videos, one for each.
fn folds_for(videos: &[LabelledVideo]) -> usize {
    let usual = TuningSettings::default().folds;
    let labelled = count_labelled(videos);
    if (3..usual).contains(&labelled) {
        tracing::info!(
            "{labelled} labelled videos: {labelled} folds, one for each video, in place of {usual}"
        );
    }
    labelled.clamp(3, usual)
}

fn print(found: &Calibration) {
    println!(
        "{} videos in {} folds; labelled frames: {} VA, {} EXPR, {} AU\n",
        found.videos,
        found.folds,
        found.frames.valence_arousal,
        found.frames.expression,
        found.frames.action_units
    );
    println!(
        "{:<34}{:>12}  {:>9}  {:>19}",
        "", "tuning set", "new videos", "95 %"
    );
    let trials = &found.smoothing_trials;
    for (task, trial) in [
        ("VA", trials.valence_arousal),
        ("EXPR", trials.expression),
        ("AU", trials.action_units),
    ] {
        if let Some(trial) = trial {
            print_gain(format!("{task}, {}", trial.best), &trial.gain, Some(trial.kept));
        }
    }
    for trial in &found.threshold_trials {
        print_gain(
            format!("F1 {}, {:.2}", trial.unit, trial.best),
            &trial.gain,
            Some(trial.kept),
        );
    }
    print_gain("P, all that is kept together", &found.total, None);
}

fn print_gain(what: impl Display, gain: &Gain, kept: Option<bool>) {
    let verdict = match kept {
        Some(true) => "kept",
        Some(false) => "not kept",
        None => "",
    };
    println!(
        "{:<34}{:>+12.4}  {:>+10.4}  {:>+8.4} to {:>+7.4}  {verdict}",
        what.to_string(),
        gain.tuning,
        gain.held_out,
        gain.interval.low,
        gain.interval.high
    );
}
