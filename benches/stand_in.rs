//! The engine around a GPU that is not there: `stand_in CLIP VIDEOS CPU_WORKERS`.
//!
//! Passes take as long as on an H100 (0.2 ms a picture, 0.2 ms a face, 1 ms a launch) and give the CPU's outputs, which
//! a first run computes; a second one is measured. Prints one line of JSON: see [`Figures`].

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use abaw::config::Pipeline;
use abaw::engine::{self, AnnotateOptions, Outcome, PassTimes, Publication, StandIn, Threads, Worker};
use abaw::run::{self, Event, InputKind, NetworkTimes, Plan, RunFolder, RunSettings, Search};
use abaw::stop::Stop;
use serde::Serialize;
use tch::Device;

const TIMES: PassTimes = PassTimes {
    launch: Duration::from_millis(1),
    picture: Duration::from_micros(200),
    face: Duration::from_micros(200),
};

/// Milliseconds a frame unless named otherwise.
#[derive(Debug, Serialize)]
struct Figures {
    frames: u64,
    faces: u64,
    /// Frames a second.
    throughput: f64,
    /// What the network thread does beside giving passes and waiting for them.
    network_own: f64,
    /// CPU time of the whole process without decoding and giving passes.
    host_without_decoding: f64,
    decoding: f64,
    /// What the device's passes take.
    device: f64,
    /// Throughput over that of the slowest of device, and all CPU work on all cores.
    share_of_slowest_stage: f64,
}

/// One run: seconds from start to end, of CPU, of decoding; the network thread's; frames and faces.
#[derive(Default)]
struct Measured {
    wall: f64,
    cpu: f64,
    decode: f64,
    network: NetworkTimes,
    frames: u64,
    passes: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let [clip, videos, workers] = &words[..] else {
        return Err("stand_in CLIP VIDEOS CPU_WORKERS".into());
    };
    let (videos, workers): (usize, usize) = (videos.parse()?, workers.parse()?);
    abaw::allocator::keep_freed_memory();
    abaw::video::silence_libav();
    let folder = tempfile::tempdir()?;
    let clips = folder.path().join("clips");
    std::fs::create_dir(&clips)?;
    for video in 0..videos {
        std::os::unix::fs::symlink(std::fs::canonicalize(clip)?, clips.join(format!("{video}.mp4")))?;
    }
    let mut pipeline = Pipeline::default();
    // The batches of a GPU with 20 GiB and more.
    pipeline.fix_numbers("cuda", Some(80 << 30));
    let found = run::find_weights(&mut pipeline.model, &pipeline.tracker.identity)?;
    let settings = RunSettings {
        pipeline,
        calibration: found.calibration,
        device_kind: "cpu".to_owned(),
        limit_frames: None,
    };
    let inputs = Search::of(InputKind::Video).collect(&[clips])?.inputs;
    let plan = Plan::new(inputs, 1, settings, found.records)?;
    let mut networks = engine::load(&plan, &[Device::Cpu])?.networks.remove(0);
    networks.stand_in = Some(StandIn::new(TIMES));
    let threads = || Threads {
        readers: workers,
        workers: std::iter::once(Worker::Network(networks.clone()))
            .chain((0..workers).map(|_| Worker::Cpu))
            .collect(),
    };
    annotate(&plan, threads(), &folder.path().join("first"))?;
    let measured = annotate(&plan, threads(), &folder.path().join("second"))?;

    let frames = measured.frames as f64;
    let ms = |seconds: f64| 1000.0 * seconds / frames;
    let faces = faces(&plan, &folder.path().join("second"))?;
    let device = measured.passes as f64 * TIMES.launch.as_secs_f64()
        + frames * TIMES.picture.as_secs_f64()
        + faces as f64 * TIMES.face.as_secs_f64();
    let cores = std::thread::available_parallelism()?.get() as f64;
    let host = measured.cpu - measured.decode - measured.network.submit;
    let slowest = device.max(measured.cpu / cores);
    let figures = Figures {
        frames: measured.frames,
        faces,
        throughput: frames / measured.wall,
        network_own: ms(measured.network.other),
        host_without_decoding: ms(host),
        decoding: ms(measured.decode),
        device: ms(device),
        share_of_slowest_stage: slowest / measured.wall,
    };
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

fn annotate(plan: &Plan, threads: Threads, folder: &Path) -> Result<Measured, Box<dyn Error>> {
    let folder = RunFolder::new(folder);
    folder.prepare()?;
    let publication = Publication::new(folder, plan, engine::versions(), String::new())?;
    let mut measured = Measured::default();
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let outcome = engine::annotate(
        &plan.inputs,
        &plan.settings.pipeline,
        AnnotateOptions::default(),
        threads,
        &publication,
        &Stop::default(),
        &mut |event| match event {
            Event::Frames { count, .. } => measured.frames += count,
            Event::Pass { .. } => measured.passes += 1,
            Event::Done { seconds, .. } => measured.decode += seconds.get("decode").unwrap_or(&0.0),
            Event::NetworksEnded { times } => measured.network.add(times),
            _ => {}
        },
    )?;
    measured.wall = start.elapsed().as_secs_f64();
    measured.cpu = cpu_seconds() - cpu;
    match outcome {
        Outcome::Complete(totals) if totals.failed == 0 => Ok(measured),
        _ => Err("a video failed".into()),
    }
}

fn faces(plan: &Plan, folder: &Path) -> Result<u64, Box<dyn Error>> {
    let run = RunFolder::new(folder);
    let mut faces = 0;
    for input in &plan.inputs {
        let (rows, _) = abaw::table::read(&run.table(&input.id))?;
        faces += rows.iter().filter(|row| row.sighting.is_face()).count() as u64;
    }
    Ok(faces)
}

/// Seconds of all cores that this process has used.
fn cpu_seconds() -> f64 {
    // SAFETY: a struct of numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` outlives the call, which fills it.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}
