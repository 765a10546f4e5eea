//! `abaw render`: draws a video's annotations over it.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use abaw::render::{self, Annotated, RenderError, View};
use abaw::run::{InputKind, RunFolder, RunReader};
use abaw::stop::{EXIT_STOPPED, Stop};
use abaw::table::WeightsRecord;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::{CommandResult, EXIT_DONE};

/// Draw a video's annotations over it: boxes, landmarks, expressions, valence and arousal, action units.
///
/// The output is H.264 in MP4 with the sound of the original. `abaw report` shows RUN/overlay/<id>.mp4 beside the
/// timeline.
#[derive(Args)]
pub struct Arguments {
    /// Folder of the run.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Id of the video, or an ending that only its id has.
    #[arg(value_name = "VIDEO")]
    video: String,
    /// The MP4 file to write.
    #[arg(long, value_name = "FILE.mp4")]
    out: PathBuf,
    /// Show the subject's aligned face instead, to check the alignment.
    #[arg(long, conflicts_with = "blur")]
    crop: bool,
    /// Make all faces unrecognisable.
    #[arg(long)]
    blur: bool,
}

/// Renders.
pub fn run(arguments: Arguments) -> CommandResult {
    let stop = Stop::on_signals()?;
    abaw::video::silence_libav();
    let run = RunReader::open(RunFolder::new(&arguments.run))?;
    let input = run.input(&arguments.video)?;
    let made_from = match input.kind {
        InputKind::Video => None,
        InputKind::Crops => Some("aligned crops"),
        InputKind::Image => Some("a picture"),
    };
    if let Some(made_from) = made_from {
        return Err(format!(
            "{}: made from {made_from}, so there is no video to render",
            input.id
        )
        .into());
    }
    let (rows, footer) = run.table(&input.id)?;
    check_unchanged(input, footer.input_bytes)?;
    if arguments
        .out
        .canonicalize()
        .is_ok_and(|out| input.path.canonicalize().is_ok_and(|path| path == out))
    {
        return Err(format!(
            "{}: is the video itself; give another --out",
            arguments.out.display()
        )
        .into());
    }
    let settings = &run.plan().settings.pipeline;
    let video = Annotated {
        path: &input.path,
        rows: &rows,
        footer: &footer,
        untrained: !footer.weights.iter().all(WeightsRecord::is_trained),
    };
    let view = match arguments.crop {
        true => View::Aligned(settings.alignment),
        false => View::Overlay { blur: arguments.blur },
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let bar = ProgressBar::new(footer.counts.frames);
    bar.set_style(ProgressStyle::with_template(
        "{bar:30} {pos}/{len} frames, {per_sec}, {eta} left",
    )?);
    let start = std::time::Instant::now();
    let rendered = render::render(
        video,
        view,
        &settings.video,
        threads,
        &arguments.out,
        &mut |frames| {
            bar.set_position(frames.into());
            match stop.asked() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        },
    );
    bar.finish_and_clear();
    let rendered = match rendered {
        Err(RenderError::Stopped) => {
            tracing::warn!("stopped; nothing was written");
            return Ok(ExitCode::from(EXIT_STOPPED as u8));
        }
        other => other?,
    };
    if let Some(warning) = rendered.warning {
        tracing::warn!("{}: {warning}", input.id);
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{}: {} frames, {}x{}, {:.1} s ({:.0} frames a second)",
        arguments.out.display(),
        rendered.frames,
        rendered.width,
        rendered.height,
        seconds,
        f64::from(rendered.frames) / seconds.max(1e-3)
    );
    Ok(ExitCode::from(EXIT_DONE))
}

/// Checks that the file exists and has the size that it had when it was annotated.
fn check_unchanged(input: &abaw::run::PlannedInput, bytes: u64) -> Result<(), String> {
    match std::fs::metadata(&input.path) {
        Err(error) => Err(format!(
            "{}: {}: {error}; put the video back where it was annotated",
            input.id,
            input.path.display()
        )),
        Ok(metadata) if metadata.len() != bytes => Err(format!(
            "{}: {} has changed since it was annotated ({} bytes, then {bytes}); annotate it again",
            input.id,
            input.path.display(),
            metadata.len()
        )),
        Ok(_) => Ok(()),
    }
}
