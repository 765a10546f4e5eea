//! `abaw doctor`: what this machine has and lacks, and how fast its device runs the networks.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use abaw::config::Pipeline;
use abaw::device::{self, DeviceChoice, DeviceError, LibtorchVersion, Probe};
use abaw::engine::{self, Networks};
use abaw::error_chain::sentence;
use abaw::frame::Picture;
use abaw::model::{AlignedFace, FaceCrops, ModelError, PrecisionTrial};
use abaw::render;
use abaw::run::{self, Plan, RunSettings};
use abaw::table::WeightsRecord;
use abaw::video;
use clap::Args;

use super::{CommandResult, EXIT_DONE, EXIT_USAGE};

/// How long each network runs for its speed, after a first pass that is not counted.
const MEASURED: Duration = Duration::from_secs(2);
/// Width and height of the frames before the detector, in pixels.
const FRAME: (u32, u32) = (1280, 720);

/// Show what the program runs on: libtorch, CUDA or why not, libav, weights, cores.
#[derive(Args)]
pub struct Arguments {
    /// Also run the networks on this device (auto, cpu, cuda, cuda:N or cuda:all) and print their speed.
    #[arg(long, value_name = "DEVICE")]
    device: Option<DeviceChoice>,
}

/// Prints the findings; exit code 2 if annotating cannot work.
pub fn run(arguments: Arguments) -> CommandResult {
    // As in `annotate`, where each core runs networks of its own.
    device::compute_in_one_thread();
    let mut to_do = print_machine(Probe::run());
    to_do.extend(print_precisions()?);
    let mut pipeline = Pipeline::default();
    let works = match run::find_weights(&mut pipeline.model, &pipeline.tracker.identity) {
        Ok(found) => {
            found.records.iter().for_each(print_weights);
            match arguments.device {
                Some(choice) => {
                    for device in choice.resolve_all()?.0 {
                        print_speed(device, pipeline.clone(), found.records.clone())?;
                    }
                }
                None => println!("device     {}", DeviceChoice::Auto.resolve()?.1),
            }
            true
        }
        Err(error) => {
            println!("weights    missing");
            to_do.push(error.to_string());
            false
        }
    };
    if to_do.is_empty() {
        to_do.push("nothing".to_owned());
    }
    for what in to_do {
        println!("to do      {what}");
    }
    Ok(ExitCode::from(if works { EXIT_DONE } else { EXIT_USAGE }))
}

/// Prints what the program runs on. Returns what to do about that which is missing.
fn print_machine(probe: Probe) -> Vec<String> {
    let mut to_do = Vec::new();
    let needed = LibtorchVersion::NEEDED;
    let libtorch = match probe.libtorch {
        Some(version) => version.to_string(),
        None => "older than 2.9".to_owned(),
    };
    if probe.libtorch != Some(needed) {
        to_do.push(format!(
            "install libtorch {needed}, the version that this program was built for"
        ));
    }
    let cuda = match probe.cuda {
        Ok(count) => format!("{count} devices"),
        Err(DeviceError::Cuda { problem }) if problem.is_normal() => format!("not used: {problem}"),
        Err(DeviceError::Cuda { problem }) => {
            to_do.push(format!("to use the GPU: {}", problem.remedy()));
            format!("no: {problem}")
        }
        Err(error) => format!("no: {error}"),
    };
    println!("abaw       {}", env!("CARGO_PKG_VERSION"));
    print_place(std::env::current_exe().ok());
    println!("libtorch   {libtorch}");
    print_place(probe.libtorch_folder);
    println!("CUDA       {cuda}");
    println!("libav      {}", video::libav_versions());
    print_place(video::libav_folder());
    match render::encoder_name() {
        Some(encoder) => println!("films      H.264 by {encoder}"),
        None => {
            println!("films      no");
            to_do.push(format!("for `abaw render`: {}", render::RenderError::NoEncoder));
        }
    }
    println!("cores      {}", probe.cores);
    to_do
}

/// Measures which precision is the faster one here, and remembers it for `--precision auto`. Returns what to do if it cannot.
fn print_precisions() -> Result<Option<String>, ModelError> {
    let trial = PrecisionTrial::run()?;
    println!("precision  {trial}: auto takes {}", trial.fastest());
    let forgotten = trial.remember().err();
    Ok(forgotten.map(|error| format!("to remember the precision: {}", sentence(&error))))
}

/// Prints where the part of the line before came from.
fn print_place(place: Option<PathBuf>) {
    if let Some(place) = place {
        println!("           {}", place.display());
    }
}

fn print_weights(record: &WeightsRecord) {
    let sha256 = record.sha256.as_deref();
    let sha256 = sha256.map(|sum| format!(", sha256 {sum}")).unwrap_or_default();
    println!(
        "{:10} {} ({}{sha256})",
        record.role, record.source, record.weights
    );
}

/// Runs each network on a device and prints its speed.
fn print_speed(
    device: tch::Device,
    mut pipeline: Pipeline,
    weights: Vec<WeightsRecord>,
) -> Result<(), Box<dyn Error>> {
    pipeline.fix_numbers(device::kind(device), device::memory(device));
    let frames = pipeline.detector.batch.or(1);
    let faces = pipeline.model.batch.or(1);
    let settings = RunSettings {
        pipeline,
        calibration: None,
        device_kind: device::kind(device).to_owned(),
        limit_frames: None,
    };
    let plan = Plan::new(Vec::new(), 1, settings, weights)?;
    let loaded = engine::load(&plan, &[device])?;
    let Some(Networks { detector, affect, .. }) = loaded.networks.first() else {
        return Ok(());
    };
    let share = if device.is_cuda() { "" } else { " on one core" };
    println!("device     {}", loaded.inference);

    let (width, height) = FRAME;
    let frame = noise(width, height)?;
    let batch = vec![&frame; frames];
    let speed = rate(frames, || detector.detect(&batch).map(drop))?;
    println!(
        "           detector: {speed:.0} frames/s{share} ({width}x{height} pixels, {frames} in a batch)"
    );

    let others = affect
        .crop_forms()
        .iter()
        .map(|form| noise(form.size(), form.size()));
    let face = FaceCrops {
        aligned: AlignedFace::new(noise(AlignedFace::SIDE, AlignedFace::SIDE)?)?,
        others: others.collect::<Result<_, _>>()?,
    };
    let batch = vec![&face; faces];
    let speed = rate(faces, || affect.predict(&batch).map(drop))?;
    println!("           affect: {speed:.0} faces/s{share} ({faces} in a batch)");
    Ok(())
}

/// Returns how many items a second pass: `pass` is called until [`MEASURED`] is over.
fn rate<E>(items: usize, mut pass: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    pass()?;
    let start = Instant::now();
    let mut passes = 0;
    while start.elapsed() < MEASURED {
        pass()?;
        passes += 1;
    }
    Ok((items * passes) as f64 / start.elapsed().as_secs_f64())
}

/// Returns a picture of grey noise.
fn noise(width: u32, height: u32) -> Result<Picture, &'static str> {
    let mut state = 1_u32;
    let next = || {
        // Numerical Recipes' linear congruential generator.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let pixels = std::iter::repeat_with(next).take((width * height * 3) as usize);
    Picture::from_rgb(width, height, pixels.collect()).ok_or("a picture needs pixels")
}
