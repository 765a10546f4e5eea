//! `abaw doctor`: what this machine has and lacks, and how fast its device runs the networks.

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use abaw::config::Pipeline;
use abaw::device::{self, DeviceChoice, LibtorchVersion, Probe};
use abaw::engine::{self, Networks};
use abaw::frame::Picture;
use abaw::model::AlignedFace;
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
    print_machine(Probe::run());
    let mut pipeline = Pipeline::default();
    match run::find_weights(&mut pipeline.model) {
        Ok(found) => {
            found.records.iter().for_each(print_weights);
            if let Some(choice) = arguments.device {
                for device in choice.resolve_all()?.0 {
                    print_speed(device, pipeline.clone(), found.records.clone())?;
                }
            }
            Ok(ExitCode::from(EXIT_DONE))
        }
        Err(error) => {
            println!("weights    {error}");
            Ok(ExitCode::from(EXIT_USAGE))
        }
    }
}

fn print_machine(probe: Probe) {
    let needed = LibtorchVersion::NEEDED;
    let libtorch = match probe.libtorch {
        Some(version) if version == needed => version.to_string(),
        Some(version) => format!("{version}, but {needed} is needed"),
        None => format!("older than 2.9; {needed} is needed"),
    };
    let cuda = match probe.cuda {
        Ok(count) => format!("{count} devices"),
        Err(reason) => format!("no: {reason}"),
    };
    let bf16 = if probe.cpu_bf16 { "with" } else { "without" };
    println!("abaw       {}", env!("CARGO_PKG_VERSION"));
    println!("libtorch   {libtorch}");
    println!("CUDA       {cuda}");
    println!("libav      {}", video::libav_versions());
    println!("cores      {}, {bf16} bf16 instructions", probe.cores);
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
    // As in `annotate`, where each core runs networks of its own.
    tch::set_num_threads(1);
    pipeline.fix_batches(device::kind(device), device::memory(device));
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

    let face = AlignedFace::new(noise(AlignedFace::SIDE, AlignedFace::SIDE)?)?;
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
