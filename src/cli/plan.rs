//! `abaw plan`: writes the work list and the settings of a run to its plan.

use std::error::Error;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use abaw::config::{ConfigError, Pipeline};
use abaw::device::{DeviceChoice, DeviceError};
use abaw::error_chain::sentence;
use abaw::finalise;
use abaw::model::weights::StoredNetwork;
use abaw::model::{InferenceForm, Precision, PrecisionChoice, PrecisionTrial};
use abaw::pipelines;
use abaw::run::{self, Input, InputKind, Plan, PlanError, PlannedInput, RunFolder, RunSettings, Search};
use abaw::time_limit::within;
use clap::Args;

use super::{CommandResult, EXIT_DONE, calibration};

/// Write the work list and the settings to RUN/plan.json, for shards on any number of machines.
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    pub work: WorkArguments,
    /// Number of shards that the work is split into.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub shards: u32,
    /// Leave out inputs that this earlier run lists, by id and size, whether they succeeded there or not;
    /// repeatable.
    #[arg(long, value_name = "RUN")]
    pub new_since: Vec<PathBuf>,
}

/// What to annotate, and how: the arguments that `annotate` and `plan` share.
#[derive(Args)]
pub struct WorkArguments {
    /// Video files, or folders to search for videos. A pattern such as 'clips/*.mp4' that no shell has expanded is expanded.
    #[arg(value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,
    /// Folder of the run; an unfinished run in it is continued.
    #[arg(long, value_name = "RUN")]
    pub out: Option<PathBuf>,
    /// Settings: the name of a recipe (`abaw pipelines`) or a file (TOML); without it the everyday recipe, `annotate`.
    #[arg(long, value_name = "NAME|FILE")]
    pub pipeline: Option<PathBuf>,
    /// One setting in place of the pipeline's, such as detector.long_side=960; repeatable. `abaw pipelines new` prints
    /// all keys.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_setting)]
    pub set: Vec<(String, toml::Value)>,
    /// Detect faces on every n-th frame only: short for --set detector.every=N.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub every: Option<u32>,
    /// Pictures and faces that go through the networks together: detector.batch and model.batch.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: Option<u32>,
    /// DDAMFN weights; overrides the pipeline file.
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Thresholds and smoothing that `abaw tune` found; overrides those in the weights, and is overridden by
    /// the pipeline file.
    #[arg(long, value_name = "FILE")]
    pub calibration: Option<PathBuf>,
    /// Where the networks run: auto, cpu, cuda, cuda:N, or cuda:all for all GPUs of this machine.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceChoice,
    /// Number format of the networks' arithmetic (tf32 and f16 need a GPU); overrides the pipeline file.
    #[arg(long, value_enum)]
    pub precision: Option<PrecisionChoice>,
    /// The inputs are photographs, or folders to search for them: each has a table of its own, and nobody is followed
    /// from one to the next. Single .jpg, .png, .webp, .bmp and .tif files need no flag.
    #[arg(long, conflicts_with = "crops")]
    pub images: bool,
    /// A file with more inputs, one a line; `-` is stdin. The argument @FILE is short for it.
    #[arg(long, value_name = "FILE")]
    pub inputs_from: Vec<PathBuf>,
    /// The inputs are folders of aligned crops, <name>/00001.jpg; nothing is detected.
    #[arg(long)]
    pub crops: bool,
    /// Leave out all but the first N frames of each video.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit_frames: Option<u32>,
    /// Write the network's feature of every face, 512 numbers, to RUN/features/<id>.parquet.
    #[arg(long)]
    pub features: bool,
    /// Refuse damaged videos instead of annotating what can be decoded.
    #[arg(long)]
    pub strict_video: bool,
    /// Take the inputs out of the run in the folder that are not given again. Without it, a run only grows.
    #[arg(long)]
    pub replace_inputs: bool,
    /// Start again if the settings or weights of the run in the folder differ.
    #[arg(long)]
    pub force: bool,
}

/// Makes the plan.
pub fn run(arguments: Arguments) -> CommandResult {
    abaw::video::silence_libav();
    abaw::device::compute_in_one_thread();
    let work = &arguments.work;
    let earlier = arguments
        .new_since
        .iter()
        .map(|run| Plan::read(&RunFolder::new(run).plan()));
    let earlier: Vec<Plan> = earlier.collect::<Result<_, _>>()?;
    let pipeline = pipeline(work)?;
    let out = out(work)?;
    let inputs = inputs(work, &pipeline)?;
    refuse_absent(&inputs, &pipeline)?;
    let asked = collect(work, &inputs, &out, &pipeline)?;
    let all = asked.len();
    let asked = run::new_since(asked, &earlier);
    if asked.is_empty() {
        println!("nothing new: earlier runs have all {all} inputs; no plan was made");
        return Ok(ExitCode::from(EXIT_DONE));
    }
    // The machine that plans need not have the device: login nodes have none.
    let devices = match work.device {
        DeviceChoice::Cuda(number) => vec![tch::Device::Cuda(number)],
        DeviceChoice::AllCuda => vec![tch::Device::Cuda(0)],
        choice => resolve(choice)?,
    };
    let inputs = with_earlier(work, &out, asked)?;
    let (plan, _) = make(work, pipeline, inputs, arguments.shards, &devices)?;
    let run = out;
    prepare(&run)?;
    plan.freeze(&run, work.force)?;
    println!(
        "{} inputs in {} shards, for {}; do each with: abaw annotate --plan {} --shard I",
        plan.inputs.len(),
        plan.shards,
        plan.settings.device_kind,
        run.plan().display()
    );
    Ok(ExitCode::from(EXIT_DONE))
}

/// Returns the devices of this machine that a choice stands for.
pub fn resolve(choice: DeviceChoice) -> Result<Vec<tch::Device>, DeviceError> {
    let (devices, note) = choice.resolve_all()?;
    tracing::info!("device: {note}");
    Ok(devices)
}

/// Returns the folder of the run that the command line names.
pub fn out(work: &WorkArguments) -> Result<RunFolder, &'static str> {
    let out = work.out.as_ref();
    out.map(RunFolder::new)
        .ok_or("no --out RUN: name the folder that the run shall fill")
}

/// Returns the settings of the pipeline that the command line names, with its changes.
pub fn pipeline(work: &WorkArguments) -> Result<Pipeline, ConfigError> {
    let short = |key: &str, value: Option<u32>| value.map(|value| (key.to_owned(), value.into()));
    let shorts = [
        short("detector.every", work.every),
        short("detector.batch", work.batch),
        short("model.batch", work.batch),
    ];
    let changes: Vec<(String, toml::Value)> = work
        .set
        .iter()
        .cloned()
        .chain(shorts.into_iter().flatten())
        .collect();
    pipelines::read(work.pipeline.as_deref(), &changes)
}

/// Parses `KEY=VALUE`, the value as in a pipeline file; a text needs no quotation marks.
fn parse_setting(text: &str) -> Result<(String, toml::Value), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or("expected KEY=VALUE, such as detector.every=3")?;
    let parsed = toml::from_str::<toml::Table>(&format!("value = {value}"));
    let parsed = parsed.ok().and_then(|mut table| table.remove("value"));
    let value = parsed.unwrap_or_else(|| toml::Value::String(value.trim().to_owned()));
    Ok((key.trim().to_owned(), value))
}

/// Searches for the inputs that the command line asks for.
pub fn collect(
    work: &WorkArguments,
    inputs: &[PathBuf],
    out: &RunFolder,
    pipeline: &Pipeline,
) -> Result<Vec<Input>, Box<dyn Error>> {
    if inputs.is_empty() {
        return Err("no INPUT: name video files, or folders of videos".into());
    }
    let earlier = earlier(out)?;
    let search = Search {
        kind: match (work.crops, work.images) {
            (true, _) => InputKind::Crops,
            (_, true) => InputKind::Image,
            _ => InputKind::Video,
        },
        earlier: &earlier,
        stall: stall(pipeline),
    };
    let found = search.collect(inputs)?;
    for warning in &found.warnings {
        tracing::warn!("{warning}");
    }
    if !found.left_out.is_empty() {
        let kinds = found
            .left_out
            .iter()
            .map(|(kind, count)| format!("{count} {kind}"));
        tracing::info!(
            "left out, as they are no inputs: {}",
            kinds.collect::<Vec<_>>().join(", ")
        );
    }
    Ok(found.inputs)
}

/// The time after which a file system that does not answer is given up.
fn stall(pipeline: &Pipeline) -> Duration {
    Duration::from_secs(pipeline.video.stall_seconds.get().into())
}

/// Refuses arguments that do not exist: a shard would find that out too late. A mount that does not answer is left to its
/// shard, and what a folder lacks to the search.
fn refuse_absent(inputs: &[PathBuf], pipeline: &Pipeline) -> Result<(), String> {
    let stall = stall(pipeline);
    let is_absent = |argument: &PathBuf| {
        let path = argument.clone();
        matches!(within(stall, move || path.try_exists()), Some(Ok(false)))
    };
    let absent: Vec<String> = inputs
        .iter()
        .filter(|argument| is_absent(argument))
        .map(|argument| format!("{}: no such file or folder", argument.display()))
        .collect();
    match absent.is_empty() {
        true => Ok(()),
        false => Err(absent.join("; ")),
    }
}

/// The inputs as arguments, which may be patterns, and in files that list them.
pub fn inputs(work: &WorkArguments, pipeline: &Pipeline) -> Result<Vec<PathBuf>, String> {
    let stall = stall(pipeline);
    let mut arguments = Vec::new();
    for argument in &work.inputs {
        let list = argument
            .as_os_str()
            .as_bytes()
            .strip_prefix(b"@")
            .filter(|_| !argument.exists());
        match list {
            Some(list) => arguments.extend(listed(Path::new(OsStr::from_bytes(list)))?),
            None => {
                let pattern = argument.clone();
                // A mount that does not answer is left to its reader.
                let found = within(stall, move || run::expand(&pattern));
                arguments.extend(found.unwrap_or_else(|| vec![argument.clone()]));
            }
        }
    }
    for list in &work.inputs_from {
        arguments.extend(listed(list)?);
    }
    Ok(arguments)
}

/// The paths in a file, one a line, in any encoding.
fn listed(list: &Path) -> Result<Vec<PathBuf>, String> {
    let mut bytes = Vec::new();
    let read = match list.as_os_str() == "-" {
        true => io::stdin().read_to_end(&mut bytes).map(drop),
        false => std::fs::read(list).map(|read| bytes = read),
    };
    read.map_err(|error| format!("{}: {error}", list.display()))?;
    let lines = bytes.split(|byte| *byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    Ok(lines
        .filter(|line| !line.is_empty())
        .map(|line| PathBuf::from(OsStr::from_bytes(line)))
        .collect())
}

/// Returns the inputs of the run: those that are asked for, and those that it has already.
pub fn with_earlier(
    work: &WorkArguments,
    out: &RunFolder,
    asked: Vec<Input>,
) -> Result<Vec<Input>, PlanError> {
    if work.replace_inputs {
        return Ok(asked);
    }
    let (inputs, not_asked_for) = run::with_earlier(asked, &earlier(out)?);
    if let Some(first) = not_asked_for.first() {
        tracing::info!(
            "{} inputs of the run are not asked for any more and stay in it (first: {first}); --replace-inputs takes \
             them out",
            not_asked_for.len()
        );
    }
    Ok(inputs)
}

/// The inputs of the run that is in the folder, if there is one.
fn earlier(out: &RunFolder) -> Result<Vec<PlannedInput>, PlanError> {
    match out.plan().exists() {
        true => Plan::read(&out.plan()).map(|plan| plan.inputs),
        false => Ok(Vec::new()),
    }
}

/// Makes the plan of a run from the command line, without writing it, and hands on the networks that were read for it. `devices`
/// are of one kind.
pub fn make(
    work: &WorkArguments,
    mut pipeline: Pipeline,
    inputs: Vec<Input>,
    shards: u32,
    devices: &[tch::Device],
) -> Result<(Plan, Vec<StoredNetwork>), Box<dyn Error>> {
    let device = *devices.first().ok_or("no device")?;
    if let Some(weights) = &work.weights {
        pipeline.model.weights = Some(weights.clone());
        pipeline.model.member.clear();
    }
    let precision = match work.precision.unwrap_or(pipeline.model.precision) {
        PrecisionChoice::Auto => auto_precision(work, device)?,
        PrecisionChoice::Of(precision) => precision,
    };
    pipeline.model.precision = PrecisionChoice::Of(precision);
    pipeline.video.strict |= work.strict_video;
    pipeline.model.features |= work.features;
    InferenceForm::fast(device, precision).check()?;
    let found = run::find_weights(&mut pipeline.model, &pipeline.tracker.identity)?;
    finalise::record_contents(&mut pipeline.postprocess)?;
    // Batches that the smallest device has memory for.
    let memory = devices
        .iter()
        .filter_map(|device| abaw::device::memory(*device))
        .min();
    pipeline.fix_numbers(abaw::device::kind(device), memory);
    let is_chosen = work.pipeline.is_some() || work.set.iter().any(|(key, _)| key.starts_with("postprocess"));
    let calibration = match &work.calibration {
        Some(path) if is_chosen => Some(calibration::read_for(path, &pipeline.postprocess)?),
        Some(path) => Some(calibration::read(path)?.1),
        // The weights carry what was tuned on their own outputs, not on those of a temporal network.
        None if !pipeline.postprocess.temporal.is_empty() => {
            if found.calibration.is_some() {
                tracing::warn!(
                    "the calibration that the weights carry is left out: it was not found on the temporal network's outputs"
                );
            }
            None
        }
        None => found.calibration,
    };
    if let (Some(calibration), false) = (&calibration, is_chosen) {
        // Nobody chose the everyday recipe, so what was tuned counts.
        pipeline.postprocess.give_way_to(calibration);
    }
    let settings = RunSettings {
        pipeline,
        calibration,
        device_kind: abaw::device::kind(device).to_owned(),
        limit_frames: work.limit_frames,
    };
    Ok((
        Plan::new(inputs, shards, settings, found.records)?,
        found.networks,
    ))
}

/// The precision that `auto` stands for: that of the run in the folder, so that it goes on as it began on any machine, or else the
/// one that is faster on this CPU.
fn auto_precision(work: &WorkArguments, device: tch::Device) -> Result<Precision, Box<dyn Error>> {
    if device.is_cuda() {
        return Err("precision auto is for CPUs; on a GPU, name f32, tf32, bf16 or f16".into());
    }
    let earlier = out(work)?.plan();
    if earlier.exists() && !work.force {
        let model = Plan::read(&earlier)?.settings.pipeline.model;
        return Ok(model.precision.or(Precision::F32));
    }
    let trial = match PrecisionTrial::remembered() {
        Some(trial) => trial,
        None => {
            let trial = PrecisionTrial::run()?;
            if let Err(error) = trial.remember() {
                tracing::warn!("precision auto is measured anew each time: {}", sentence(&error));
            }
            trial
        }
    };
    tracing::info!("precision: {}: {trial}", trial.fastest());
    Ok(trial.fastest())
}

/// Creates the run's folder, and checks that there is room in it.
pub fn prepare(run: &RunFolder) -> Result<(), String> {
    run.prepare()
        .map_err(|error| format!("cannot write to {}: {}", run.root().display(), sentence(&error)))
}
