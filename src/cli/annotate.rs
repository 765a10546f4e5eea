//! `abaw annotate`: plan, annotate, merge; or one shard of a plan.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use abaw::device::{self, DeviceChoice};
use abaw::engine::{self, AnnotateOptions, Loaded, Outcome, Publication, Threads};
use abaw::error_chain::sentence;
use abaw::run::{self, MergeError, Pace, Plan, PlannedInput, RunFolder};
use abaw::stop::{EXIT_STOPPED, Stop};
use clap::Args;

use super::console::Console;
use super::plan::{self, WorkArguments};
use super::{CommandResult, EXIT_DONE, EXIT_SOME_FAILED, summary};

/// Annotate videos, frame by frame, into Parquet tables.
///
/// Run the same command again to continue a run that was stopped.
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    work: WorkArguments,
    /// Annotate one shard of a plan made by `abaw plan`.
    #[arg(long, value_name = "RUN/plan.json", requires = "shard", conflicts_with_all = ["inputs", "out"])]
    plan: Option<PathBuf>,
    /// Number of the shard, 0-based.
    #[arg(long, value_name = "I", requires = "plan")]
    shard: Option<u32>,
    /// CPU threads; by default as many as cores. On GPUs, one more thread a device runs the networks.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Folder on a local disk: copy each video there before it is decoded. For slow shared file systems; the
    /// copies are deleted.
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Show what would be done and do nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Annotates.
pub fn run(arguments: Arguments, console: &Console) -> CommandResult {
    let stop = Stop::on_signals()?;
    abaw::video::silence_libav();
    device::compute_in_one_thread();
    match (&arguments.plan, arguments.shard) {
        (Some(path), Some(shard)) => run_shard(path, shard, &arguments, console, &stop),
        _ => run_whole(&arguments, console, &stop),
    }
}

fn run_whole(arguments: &Arguments, console: &Console, stop: &Stop) -> CommandResult {
    let work_arguments = &arguments.work;
    let pipeline = plan::pipeline(work_arguments)?;
    let run = plan::out(work_arguments)?;
    let inputs = plan::inputs(work_arguments, &pipeline)?;
    let asked = plan::collect(work_arguments, &inputs, &run, &pipeline)?;
    let devices = plan::resolve(work_arguments.device)?;
    let inputs = plan::with_earlier(work_arguments, &run, asked)?;
    let (plan, networks) = plan::make(work_arguments, pipeline, inputs, 1, &devices)?;
    if arguments.dry_run {
        return Ok(show(&run, &plan));
    }
    plan::prepare(&run)?;
    plan.freeze(&run, arguments.work.force)?;
    let inputs: Vec<PlannedInput> = plan.inputs.clone();
    let loaded = engine::prepare(&plan, networks, &devices)?;
    let (outcome, pace) = work(&run, &plan, &inputs, loaded, arguments, console, stop)?;
    if let Outcome::Stopped(_) = outcome {
        return Ok(ExitCode::from(EXIT_STOPPED as u8));
    }
    match run::merge(&run, Some(pace)) {
        Ok(merged) => {
            if !console.is_quiet() {
                summary::print(&run, &merged);
            }
            Ok(exit_code(outcome))
        }
        Err(error) => {
            tracing::error!("{}", unclosed(&run, error));
            Ok(ExitCode::from(EXIT_SOME_FAILED))
        }
    }
}

fn run_shard(
    path: &Path,
    shard: u32,
    arguments: &Arguments,
    console: &Console,
    stop: &Stop,
) -> CommandResult {
    let plan = Plan::read(path)?;
    if shard >= plan.shards {
        return Err(format!(
            "{} has shards 0 to {}, not {shard}",
            path.display(),
            plan.shards - 1
        )
        .into());
    }
    let run = RunFolder::new(path.parent().unwrap_or(Path::new(".")));
    let inputs: Vec<PlannedInput> = plan.shard(shard).cloned().collect();
    if inputs.is_empty() {
        println!("shard {shard}: nothing to do, the plan has fewer inputs than shards");
        return Ok(ExitCode::from(EXIT_DONE));
    }
    plan::prepare(&run)?;
    let loaded = engine::load(&plan, &planned_devices(&plan, arguments)?)?;
    let (outcome, pace) = work(&run, &plan, &inputs, loaded, arguments, console, stop)?;
    let (Outcome::Complete(tally) | Outcome::Stopped(tally)) = outcome;
    println!(
        "shard {shard}: {} done, {} done before, {} failed, {} frames in {:.1} s",
        tally.done, tally.skipped, tally.failed, pace.frames, pace.wall_seconds
    );
    Ok(exit_code(outcome))
}

fn work(
    run: &RunFolder,
    plan: &Plan,
    inputs: &[PlannedInput],
    loaded: Loaded,
    arguments: &Arguments,
    console: &Console,
    stop: &Stop,
) -> Result<(Outcome, Pace), Box<dyn Error>> {
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let threads = Threads::new(&loaded.networks, arguments.threads.map(usize::from));
    let publication = Publication::new(run.clone(), plan, engine::versions(), loaded.inference.clone())?;
    let options = AnnotateOptions {
        limit_frames: plan.settings.limit_frames,
        scratch: usable_scratch(arguments)?,
    };
    let mut progress = console.progress(inputs.len() as u64);
    let outcome = engine::annotate(
        inputs,
        &plan.settings.pipeline,
        options,
        threads,
        &publication,
        stop,
        &mut |event| progress.see(event),
    )?;
    progress.end(stop);
    let pace = Pace {
        wall_seconds: progress.seconds(),
        frames: progress.frames(),
    };
    Ok((outcome, pace))
}

/// Returns the folder for copies of videos, once a file could be created in it.
fn usable_scratch(arguments: &Arguments) -> Result<Option<PathBuf>, String> {
    if let Some(folder) = &arguments.scratch {
        tempfile::tempfile_in(folder)
            .map_err(|error| format!("cannot write to --scratch {}: {error}", folder.display()))?;
    }
    Ok(arguments.scratch.clone())
}

/// Returns the devices asked for, which must be of the planned kind: numbers differ in the last digits between kinds.
fn planned_devices(plan: &Plan, arguments: &Arguments) -> Result<Vec<tch::Device>, Box<dyn Error>> {
    let kind = &plan.settings.device_kind;
    let choice = match arguments.work.device {
        DeviceChoice::Auto => kind.parse()?,
        choice => choice,
    };
    let (devices, _) = choice.resolve_all()?;
    if devices.iter().any(|device| device::kind(*device) != kind) {
        return Err(
            format!("the run was planned for {kind}; give --device {kind}, or make a new plan").into(),
        );
    }
    Ok(devices)
}

fn exit_code(outcome: Outcome) -> ExitCode {
    ExitCode::from(match outcome {
        Outcome::Stopped(_) => EXIT_STOPPED as u8,
        Outcome::Complete(tally) if tally.failed > 0 => EXIT_SOME_FAILED,
        Outcome::Complete(_) => EXIT_DONE,
    })
}

/// Returns why a run without unfinished videos has no summary, which is usually a full disk.
fn unclosed(run: &RunFolder, error: MergeError) -> String {
    let reason = match error {
        MergeError::Incomplete { missing, .. } => {
            format!("{} failures could not be recorded", missing.len())
        }
        error => sentence(&error),
    };
    let root = run.root().display();
    format!("{root}: {reason}; check the disk and run the same command again; finished videos are kept")
}

fn show(run: &RunFolder, plan: &Plan) -> ExitCode {
    for input in &plan.inputs {
        println!("{}\t{}", run.table(&input.id).display(), input.path.display());
    }
    println!("{} inputs; nothing was done", plan.inputs.len());
    ExitCode::from(EXIT_DONE)
}
