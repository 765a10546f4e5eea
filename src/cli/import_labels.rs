//! `abaw import-labels`: turns corrected annotations into label files.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use abaw::affwild2::write_video_labels;
use abaw::error_chain::sentence;
use abaw::export::{self, Format, VideoAnnotations};
use abaw::run::{RunFolder, RunReader};
use clap::Args;

use super::export::annotated;
use super::{CommandResult, EXIT_DONE, EXIT_SOME_FAILED};

/// Turn corrected annotations into ABAW label files.
///
/// The labels are those of the subject in each frame. The folders VA_Set, EXPR_Set and AU_Set get one file for each
/// video, as `abaw evaluate --labels` reads them.
#[derive(Args)]
pub struct Arguments {
    /// Folder of the run that was exported.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// The file that the tool saved or exported, or a folder of files named as `abaw export` named them.
    #[arg(value_name = "ANNOTATIONS")]
    annotations: PathBuf,
    /// Format of the annotation tool.
    #[arg(long, value_enum)]
    format: Format,
    /// Folder for the label files.
    #[arg(long, value_name = "LABELS")]
    out: PathBuf,
}

/// Imports.
pub fn run(arguments: Arguments) -> CommandResult {
    let run = RunReader::open(RunFolder::new(&arguments.run))?;
    let (mut videos, mut files, mut failed) = (0, 0, 0);
    for (path, name) in export::files(&arguments.annotations, arguments.format)? {
        let found = match export::read(&path, arguments.format) {
            Ok(found) => found,
            Err(error) => {
                failed += 1;
                tracing::error!("{}", sentence(&error));
                continue;
            }
        };
        if found.is_empty() {
            tracing::warn!("{}: contains no annotations", path.display());
        }
        for one in found {
            match import(&run, &one, &name, &arguments.out) {
                Ok(written) => (videos, files) = (videos + 1, files + written),
                Err(error) => {
                    failed += 1;
                    tracing::error!("{}: {}", path.display(), sentence(error.as_ref()));
                }
            }
        }
    }
    println!(
        "{}: {videos} videos, {files} label files",
        arguments.out.display()
    );
    Ok(ExitCode::from(if failed > 0 {
        EXIT_SOME_FAILED
    } else {
        EXIT_DONE
    }))
}

/// Writes the label files of one video, and returns how many.
fn import(
    run: &RunReader,
    found: &VideoAnnotations,
    name: &str,
    out: &Path,
) -> Result<usize, Box<dyn Error>> {
    // A tool may have given the video a name of its own; then the file's name counts.
    let named = found.video.as_deref().and_then(|video| run.input(video).ok());
    let input = named.map_or_else(|| run.input(name), Ok)?;
    let video = annotated(run, input)?;
    let corrections = found.corrections(&video)?;
    let left_out = corrections.left_out(&video);
    if left_out > 0 {
        tracing::warn!(
            "{}: {left_out} persons are not the subject in any frame; their labels are left out",
            video.id
        );
    }
    Ok(write_video_labels(out, &video.id, &corrections.labels(&video))?.len())
}
