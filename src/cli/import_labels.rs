//! `abaw import-labels`: turns corrected annotations into label files.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use abaw::affwild2::write_video_labels;
use abaw::error_chain::sentence;
use abaw::export::{self, AnnotatorChoice, Format, VideoAnnotations, Whose};
use abaw::face::PersonId;
use abaw::run::{RunFolder, RunReader};
use clap::Args;

use super::export::annotated;
use super::{CommandResult, EXIT_DONE, EXIT_SOME_FAILED, EXIT_USAGE};

/// Turn corrected annotations into ABAW label files.
///
/// By default the labels are those of the subject in each frame. The folders VA_Set, EXPR_Set and AU_Set get one file for each
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
    /// Whose labels: `subject`, the number of a person, or `all`: a file <video>_person<N> for each person, names that
    /// `abaw evaluate` and `abaw tune` understand.
    #[arg(long, value_name = "PERSON", default_value = "subject", value_parser = parse_persons)]
    person: Persons,
    /// Whose annotations, where several people annotated a video: the annotator's name, `newest` (default, with a
    /// warning) or `agree`: what all agree on.
    #[arg(long, value_name = "ANNOTATOR")]
    annotator: Option<AnnotatorChoice>,
    /// Folder for the label files.
    #[arg(long, value_name = "LABELS")]
    out: PathBuf,
}

/// The persons whose labels are written.
#[derive(Debug, Clone, Copy)]
enum Persons {
    One(Whose),
    All,
}

fn parse_persons(text: &str) -> Result<Persons, String> {
    match text {
        "subject" => Ok(Persons::One(Whose::Subject)),
        "all" => Ok(Persons::All),
        number => {
            let number = number.trim_start_matches("person").trim().parse();
            let person = number.map(|number| Persons::One(Whose::Person(PersonId(number))));
            person.map_err(|_| "expected `subject`, `all`, or the number of a person".to_owned())
        }
    }
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
            match import(&run, &one, &name, &arguments) {
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
    Ok(ExitCode::from(match (failed, videos) {
        (0, _) => EXIT_DONE,
        (_, 0) => EXIT_USAGE,
        _ => EXIT_SOME_FAILED,
    }))
}

/// Writes the label files of one video, and returns how many.
fn import(
    run: &RunReader,
    found: &VideoAnnotations,
    name: &str,
    arguments: &Arguments,
) -> Result<usize, Box<dyn Error>> {
    // A tool may have given the video a name of its own; then the file's name counts.
    let named = found.video.as_deref().and_then(|video| run.input(video).ok());
    let input = named.map_or_else(|| run.input(name), Ok)?;
    let video = annotated(run, input)?;
    let corrections = found.corrections(&video, arguments.annotator.as_ref())?;
    for note in &corrections.notes {
        tracing::warn!("{}: {note}", video.id);
    }
    let write = |name: &str, whose| {
        write_video_labels(&arguments.out, name, &corrections.labels(&video, whose)).map(|files| files.len())
    };
    match arguments.person {
        Persons::All => {
            let persons: Vec<PersonId> = corrections.persons().collect();
            let written = persons
                .into_iter()
                .map(|person| write(&format!("{}_person{}", video.id, person.0), Whose::Person(person)));
            Ok(written.sum::<Result<usize, _>>()?)
        }
        Persons::One(whose) => {
            if let (Whose::Subject, left_out @ 1..) = (whose, corrections.left_out(&video)) {
                tracing::warn!(
                    "{}: {left_out} persons are not the subject in any frame; their labels are left out (--person all)",
                    video.id
                );
            }
            if let Whose::Person(person) = whose
                && !corrections.persons().any(|known| known == person)
            {
                return Err(format!("{}: person {} has no labels", video.id, person.0).into());
            }
            Ok(write(&video.id, whose)?)
        }
    }
}
