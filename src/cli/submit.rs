//! `abaw submit`: fills a run's predictions into the organisers' list.

use std::path::PathBuf;
use std::process::ExitCode;

use abaw::affwild2::{Challenge, FrameList, IfMissing, VideoList, write_submission, write_video_files};
use abaw::finalise::SubjectReader;
use abaw::run::{RunFolder, RunReader};
use clap::Args;

use super::{CommandResult, EXIT_DONE};

/// Write a challenge submission from a run.
///
/// The template sets which frames are written, and in which order. Frames that the run lacks are filled from their
/// neighbours in time.
#[derive(Args)]
pub struct Arguments {
    /// Folder of the run.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// The challenge whose form is written.
    #[arg(long, value_enum)]
    challenge: Challenge,
    /// The organisers' template or frame list.
    #[arg(long, value_name = "FILE")]
    template: PathBuf,
    /// The submission; with --per-video a folder.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Write one file for each video, the older form.
    #[arg(long)]
    per_video: bool,
    /// Write neutral values for listed videos that the run does not have.
    #[arg(long)]
    allow_missing: bool,
}

/// Writes the submission.
pub fn run(arguments: Arguments) -> CommandResult {
    let run = RunReader::open(RunFolder::new(&arguments.run))?;
    let if_missing = if arguments.allow_missing {
        IfMissing::Neutral
    } else {
        IfMissing::Refuse
    };
    let subjects = SubjectReader::of(&run);
    let predictions = |video: &str| subjects.predictions(video);
    let (challenge, out) = (arguments.challenge, &arguments.out);
    let summary = if arguments.per_video {
        let list = VideoList::read(&arguments.template)?;
        write_video_files(challenge, &list, out, if_missing, predictions)?
    } else {
        let list = FrameList::read(&arguments.template)?;
        write_submission(challenge, &list, out, if_missing, predictions)?
    };
    println!("{}: {summary}", out.display());
    Ok(ExitCode::from(EXIT_DONE))
}
