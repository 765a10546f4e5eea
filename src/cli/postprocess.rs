//! `abaw postprocess`: other smoothing and thresholds for an existing run.

use std::path::PathBuf;
use std::process::ExitCode;

use abaw::finalise::{postprocess_run, record_contents};
use abaw::pipelines;
use abaw::run::{Plan, RunFolder};
use abaw::stop::{EXIT_STOPPED, Stop};
use abaw::table::WeightsRecord;
use clap::Args;

use super::console::Console;
use super::{CommandResult, EXIT_DONE, EXIT_SOME_FAILED, calibration};

/// Compute the final columns of a run again from its raw columns, without decoding or a network.
///
/// The settings are written to the run's plan, so `annotate` continues with them.
#[derive(Args)]
pub struct Arguments {
    /// Folder of the run.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Recipe or pipeline file (TOML), of which only [postprocess] and [quality] are used; without one, the settings of the
    /// run.
    #[arg(long, value_name = "NAME|FILE")]
    pipeline: Option<PathBuf>,
    /// Thresholds and smoothing that `abaw tune` found; the pipeline file overrides it. Without one, those of
    /// the run, unless the temporal network is another one.
    #[arg(long, value_name = "FILE")]
    calibration: Option<PathBuf>,
}

/// Post-processes.
pub fn run(arguments: Arguments, console: &Console) -> CommandResult {
    let run = RunFolder::new(&arguments.run);
    let plan = Plan::read(&run.plan())?;
    let (settings, quality) = match &arguments.pipeline {
        Some(path) => {
            let pipeline = pipelines::read(Some(path), &[])?;
            let mut settings = pipeline.postprocess;
            record_contents(&mut settings)?;
            (settings, pipeline.quality)
        }
        None => {
            let pipeline = &plan.settings.pipeline;
            (pipeline.postprocess.clone(), pipeline.quality)
        }
    };
    let calibration = match &arguments.calibration {
        Some(path) => Some(calibration::read_for(path, &settings)?),
        // What was tuned on the numbers of one network is not for another's.
        None if settings.temporal.content != plan.settings.pipeline.postprocess.temporal.content => None,
        None => plan.settings.calibration.clone(),
    };
    let plan = plan.with_postprocess(settings, quality, calibration)?;
    let stop = Stop::on_signals()?;
    let mut progress = console.progress(plan.inputs.len() as u64);
    let done = postprocess_run(&run, &plan, &stop, &mut |event| progress.see(event))?;
    progress.end(&stop);
    println!(
        "{} tables rewritten ({} frames, {:.1} s), {} already up to date, {} failed, {} inputs without a table",
        done.tables.done,
        done.frames,
        progress.seconds(),
        done.tables.skipped,
        done.tables.failed,
        done.absent
    );
    for blended in &done.blended {
        println!(
            "blended with {}: {} of {} rows have a matching face there",
            blended.run.display(),
            blended.matched,
            blended.rows
        );
        if blended.rows > 0 && blended.matched == 0 {
            tracing::warn!(
                "{}: has no face that matches one of this run",
                blended.run.display()
            );
        }
        if !blended.weights.iter().all(WeightsRecord::is_trained) {
            tracing::warn!(
                "{}: untrained weights, whose numbers mean nothing",
                blended.run.display()
            );
        }
    }
    println!("{}", toml::to_string(&plan.postprocess()?)?.trim_end());
    Ok(ExitCode::from(match done {
        _ if done.stopped => EXIT_STOPPED as u8,
        _ if done.tables.failed > 0 => EXIT_SOME_FAILED,
        _ => EXIT_DONE,
    }))
}
