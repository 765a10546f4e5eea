//! Annotates videos from Rust, as `abaw annotate` does: `cargo run --release --example annotate -- VIDEO... RUN`.

use std::error::Error;
use std::path::PathBuf;

use abaw::config::Pipeline;
use abaw::device::DeviceChoice;
use abaw::engine::{self, AnnotateOptions, Publication, Threads};
use abaw::run::{self, Event, InputKind, Plan, RunFolder, RunSettings, Search};
use abaw::stop::Stop;

fn main() -> Result<(), Box<dyn Error>> {
    let mut videos: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let run = RunFolder::new(videos.pop().ok_or("VIDEO... RUN")?);

    // What is to be done, and how: frozen in RUN/plan.json, so that it can be done again or be gone on with.
    let (device, _) = DeviceChoice::Auto.resolve()?;
    let device_kind = abaw::device::kind(device);
    let mut pipeline = Pipeline::default();
    pipeline.fix_numbers(device_kind, abaw::device::memory(device));
    let found = run::find_weights(&mut pipeline.model, &pipeline.tracker.identity)?;
    let settings = RunSettings {
        pipeline,
        calibration: found.calibration,
        device_kind: device_kind.to_owned(),
        limit_frames: None,
    };
    let plan = Plan::new(
        Search::of(InputKind::Video).collect(&videos)?.inputs,
        1,
        settings,
        found.records,
    )?;
    run.prepare()?;
    plan.freeze(&run, false)?;

    // The work: a table or a recorded failure for each video.
    let loaded = engine::load(&plan, &[device])?;
    let publication = Publication::new(run.clone(), &plan, engine::versions(), loaded.inference)?;
    engine::annotate(
        &plan.inputs,
        &plan.settings.pipeline,
        AnnotateOptions::default(),
        Threads::new(&loaded.networks, None),
        &publication,
        &Stop::on_signals()?,
        &mut |event| match event {
            Event::Done { id, counts, .. } => println!("{id}: {} frames", counts.frames),
            Event::Failed { id, failure } => println!("{id}: {}", failure.error),
            _ => {}
        },
    )?;
    run::merge(&run, None)?;
    Ok(())
}
