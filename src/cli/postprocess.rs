//! `abaw postprocess`: other smoothing and thresholds for a run that is there.

use std::path::PathBuf;
use std::process::ExitCode;

use abaw::config::Pipeline;
use abaw::finalise::{postprocess_run, record_contents};
use abaw::run::{Plan, RunFolder};
use abaw::stop::{EXIT_STOPPED, Stop};
use abaw::table::WeightsRecord;
use clap::Args;

use super::console::Console;
use super::plan::read_calibration;
use super::{CommandResult, EXIT_DONE, EXIT_SOME_FAILED};

/// Make a run's final columns anew from its raw ones, without decoding or a network.
///
/// The run's plan takes over the settings, so `annotate` goes on with them.
#[derive(Args)]
pub struct Arguments {
    /// Folder of the run.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Pipeline file (TOML), of which only [postprocess] counts here; without one, what the run has.
    #[arg(long, value_name = "FILE")]
    pipeline: Option<PathBuf>,
    /// Thresholds and smoothing that `abaw tune` found; the pipeline file goes before it. Without one,
    /// what the run has.
    #[arg(long, value_name = "FILE")]
    calibration: Option<PathBuf>,
}

/// Post-processes.
pub fn run(arguments: Arguments, console: &Console) -> CommandResult {
    let run = RunFolder::new(&arguments.run);
    let plan = Plan::read(&run.plan())?;
    let settings = match &arguments.pipeline {
        Some(path) => {
            let mut settings = Pipeline::read(path)?.postprocess;
            record_contents(&mut settings.blend)?;
            settings
        }
        None => plan.settings.pipeline.postprocess.clone(),
    };
    let calibration = match &arguments.calibration {
        Some(path) => Some(read_calibration(path, &settings)?),
        None => plan.settings.calibration.clone(),
    };
    let plan = plan.with_postprocess(settings, calibration)?;
    let stop = Stop::on_signals()?;
    let mut progress = console.progress(plan.inputs.len() as u64);
    let done = postprocess_run(&run, &plan, &stop, &mut |event| progress.see(event))?;
    progress.end(&stop);
    println!(
        "{} tables rewritten ({} frames, {:.1} s), {} as they should be already, {} failed, {} inputs without a table",
        done.tables.done,
        done.frames,
        progress.seconds(),
        done.tables.skipped,
        done.tables.failed,
        done.absent
    );
    for blended in &done.blended {
        println!(
            "blended with {}: it knows the faces of {} of {} rows",
            blended.run.display(),
            blended.matched,
            blended.rows
        );
        if blended.rows > 0 && blended.matched == 0 {
            tracing::warn!("{}: no face of this run is there", blended.run.display());
        }
        if !blended.weights.iter().all(WeightsRecord::is_trained) {
            tracing::warn!(
                "{}: untrained weights, whose numbers mean nothing",
                blended.run.display()
            );
        }
    }
    print!("{}", toml::to_string(&plan.postprocess()?)?);
    Ok(ExitCode::from(match done {
        _ if done.stopped => EXIT_STOPPED as u8,
        _ if done.tables.failed > 0 => EXIT_SOME_FAILED,
        _ => EXIT_DONE,
    }))
}
