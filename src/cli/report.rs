//! `abaw report`: a run as web pages.

use std::path::PathBuf;
use std::process::ExitCode;

use abaw::report::{self, Written};
use clap::Args;

use super::console::Console;
use super::label_arguments::{positive, read_labels};
use super::{CommandResult, EXIT_DONE, EXIT_SOME_FAILED};

/// Write a run as web pages that open from disk: an overview, and a timeline for each video, to look at and to correct.
///
/// Pictures of faces are cut from the videos if these still exist. A video that `abaw render` put at
/// RUN/overlay/<id>.mp4 is shown beside its timeline. On the timeline, what is wrong can be marked and saved as a file
/// that `abaw import-labels --format report` turns into labels.
#[derive(Args)]
pub struct Arguments {
    /// Folder of the run.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Folder for the pages: new, empty, or with an earlier report. Open its index.html.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Show labels beside the predictions, and scores: MTL annotations, the label file of one video, or a folder of
    /// label files, as for `abaw evaluate`.
    #[arg(long, value_name = "PATH")]
    labels: Option<PathBuf>,
    /// Match labels with frames by time: the labels are so many a second.
    #[arg(long, value_name = "N", value_parser = positive, requires = "labels")]
    labels_fps: Option<f64>,
}

/// Writes the report.
pub fn run(arguments: Arguments, console: &Console) -> CommandResult {
    let run = report::open(&arguments.run)?;
    let labels = arguments.labels.as_deref();
    let labels = labels
        .map(|path| read_labels(&run, path, arguments.labels_fps))
        .transpose()?;
    let mut progress = console.progress(run.plan().inputs.len() as u64);
    let written = report::write(&run, labels.as_ref(), &arguments.out, &mut |event| {
        progress.see(event)
    });
    progress.clear();
    let written = written?;
    warn(&written);
    println!(
        "{} videos with a timeline, {} pictures of faces ({:.1} s): {}",
        written.pages,
        written.thumbnails,
        progress.seconds(),
        arguments.out.join("index.html").display()
    );
    let whole = written.unreadable == 0;
    Ok(ExitCode::from(if whole { EXIT_DONE } else { EXIT_SOME_FAILED }))
}

fn warn(written: &Written) {
    if let Some(first) = written.without_pictures.first() {
        let more = written.without_pictures.len();
        tracing::warn!("{more} videos lack pictures of faces; their pages give the reason (first: {first})");
    }
    if let Some(first) = written.unknown_labels.first() {
        let more = written.unknown_labels.len();
        tracing::warn!("{more} labelled videos are not in the run (first: {first})");
    }
}
