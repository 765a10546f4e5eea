//! `abaw export`: writes the annotations of a run for annotation tools.

use std::path::PathBuf;
use std::process::ExitCode;

use abaw::error_chain::sentence;
use abaw::export::{self, AnnotatedVideo, Format, IntervalRules};
use abaw::postprocess::Window;
use abaw::run::{PlannedInput, RunFolder, RunReader, RunReaderError};
use clap::Args;

use super::{CommandResult, EXIT_DONE, EXIT_SOME_FAILED};

/// Write a run's annotations for Label Studio, CVAT, ELAN, or as py-feat's or OpenFace's CSV.
///
/// `abaw import-labels` turns corrected annotations into label files.
#[derive(Args)]
pub struct Arguments {
    /// Folder of the run.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Format of the annotation tool.
    #[arg(long, value_enum)]
    format: Format,
    /// Folder for the files: one or more for each video, named after its id.
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// Shortest interval, "5 frames" or "0.2 seconds"; a shorter one is merged into the longer of its
    /// neighbours.
    #[arg(long, value_name = "LENGTH", default_value = "1 frame")]
    min_length: Window,
    /// Longest gap that is bridged between two intervals with the same label.
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
                tracing::error!("{}", sentence(error.as_ref()));
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

/// Reads the table of an input.
pub fn annotated(run: &RunReader, input: &PlannedInput) -> Result<AnnotatedVideo, RunReaderError> {
    let (rows, footer) = run.table(&input.id)?;
    Ok(AnnotatedVideo::new(
        input.id.to_string(),
        input.path.clone(),
        rows,
        &footer,
    ))
}
