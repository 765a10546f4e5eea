//! `abaw export`: a run's annotations for the tools that people correct them with.

use std::path::PathBuf;
use std::process::ExitCode;

use abaw::export::{self, AnnotatedVideo, Format, IntervalRules};
use abaw::postprocess::Window;
use abaw::run::{PlannedInput, RunFolder, RunReader, RunReaderError};
use clap::Args;

use super::{CommandResult, EXIT_DONE, EXIT_SOME_FAILED};

/// Write a run's annotations for Label Studio, CVAT, ELAN, or as py-feat's or OpenFace's CSV.
///
/// `abaw import-labels` turns what people made of them into label files.
#[derive(Args)]
pub struct Arguments {
    /// Folder of the run.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    #[arg(long, value_enum)]
    format: Format,
    /// Folder of the files, one or more a video, named by its id.
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// Intervals at least, "5 frames" or "0.2 seconds"; a shorter one goes to the longer one beside it.
    #[arg(long, value_name = "LENGTH", default_value = "1 frame")]
    min_length: Window,
    /// Gaps that are bridged at most between intervals that say the same.
    #[arg(long, value_name = "LENGTH", default_value = "0 frames")]
    max_gap: Window,
}

/// Exports.
pub fn run(arguments: Arguments) -> CommandResult {
    let run = RunReader::open(RunFolder::new(&arguments.run))?;
    let (mut videos, mut frames, mut failed) = (0, 0, 0);
    for input in &run.plan().inputs {
        match export_video(&run, input, &arguments) {
            Ok(exported) => (videos, frames) = (videos + 1, frames + exported),
            Err(error) => {
                failed += 1;
                tracing::error!("{error}");
            }
        }
    }
    export::write_common(arguments.format, &arguments.out)?;
    println!("{}: {videos} videos, {frames} frames", arguments.out.display());
    Ok(ExitCode::from(if failed > 0 {
        EXIT_SOME_FAILED
    } else {
        EXIT_DONE
    }))
}

fn export_video(
    run: &RunReader,
    input: &PlannedInput,
    arguments: &Arguments,
) -> Result<usize, Box<dyn std::error::Error>> {
    let video = annotated(run, input)?;
    let frames = |window: Window| {
        window
            .in_frames(Some(video.rate))
            .map(|frames| frames.round() as usize)
    };
    let rules = IntervalRules {
        min_length: frames(arguments.min_length)?,
        max_gap: frames(arguments.max_gap)?,
    };
    export::write(&video, arguments.format, rules, &arguments.out)?;
    Ok(video.frames.len())
}

/// An input with its table.
pub fn annotated(run: &RunReader, input: &PlannedInput) -> Result<AnnotatedVideo, RunReaderError> {
    let (rows, footer) = run.table(&input.id)?;
    Ok(AnnotatedVideo::new(
        input.id.to_string(),
        input.path.clone(),
        rows,
        &footer,
    ))
}
