//! `abaw import-labels`: turns corrected annotations into label files.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use abaw::affwild2::write_video_labels;
use abaw::error_chain::sentence;
use abaw::export::{self, AnnotatorChoice, Source, VideoAnnotations, Whose};
use abaw::face::PersonId;
use abaw::run::{PlannedInput, RunFolder, RunReader, VideoId};
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
    /// The file that the tool or the report's page saved, or a folder of such files. Those of a tool are named as
    /// `abaw export` named them.
    #[arg(value_name = "ANNOTATIONS")]
    annotations: PathBuf,
    /// Format of the annotation tool, or `report`.
    #[arg(long, value_enum)]
    format: Source,
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
    let mut import = Import {
        run: &run,
        arguments: &arguments,
        from: BTreeMap::new(),
        files: 0,
        failed: 0,
    };
    // Marks are a file for each annotator, so those of a video are read before it is imported.
    let mut marks: BTreeMap<VideoId, (PathBuf, VideoAnnotations)> = BTreeMap::new();
    for (path, name) in export::files(&arguments.annotations, arguments.format)? {
        let found = match export::read(&path, arguments.format) {
            Ok(found) => found,
            Err(error) => {
                import.failed += 1;
                tracing::error!("{}", sentence(&error));
                continue;
            }
        };
        if found.is_empty() {
            tracing::warn!("{}: contains no annotations", path.display());
        }
        for one in found {
            match (import.input(&one, &name), arguments.format) {
                (Err(error), _) => import.fail(&path, error.as_ref()),
                (Ok(input), Source::Tool(_)) => import.video(&path, input, &one),
                (Ok(input), Source::Report) => match marks.get_mut(&input.id) {
                    Some((_, earlier)) => earlier.join(one),
                    None => drop(marks.insert(input.id.clone(), (path.clone(), one))),
                },
            }
        }
    }
    for (id, (path, one)) in &marks {
        import.video(path, run.input(id.as_str())?, one);
    }
    let videos = import.from.len();
    println!(
        "{}: {videos} videos, {} label files",
        arguments.out.display(),
        import.files
    );
    Ok(ExitCode::from(match (import.failed, videos) {
        (0, _) => EXIT_DONE,
        (_, 0) => EXIT_USAGE,
        _ => EXIT_SOME_FAILED,
    }))
}

/// An import, and what was done so far.
struct Import<'a> {
    run: &'a RunReader,
    arguments: &'a Arguments,
    /// The file that the labels of a video are from.
    from: BTreeMap<VideoId, PathBuf>,
    files: usize,
    failed: usize,
}

impl<'a> Import<'a> {
    /// The video of the run that annotations are about. A tool may have given it a name of its own; then the file's name
    /// counts. A page names the run's.
    fn input(&self, found: &VideoAnnotations, name: &str) -> Result<&'a PlannedInput, Box<dyn Error>> {
        let named = found.video.as_deref().map(|video| self.run.input(video));
        let input = match (named, self.arguments.format) {
            (Some(named), Source::Report) => named,
            (Some(Ok(named)), Source::Tool(_)) => Ok(named),
            _ => self.run.input(name),
        };
        Ok(input?)
    }

    /// Imports a video. A second file about it would replace the labels of the first, so it is refused.
    fn video(&mut self, path: &Path, input: &PlannedInput, found: &VideoAnnotations) {
        if let Some(earlier) = self.from.get(&input.id) {
            let earlier = earlier.display();
            let error = format!(
                "{} has labels from {earlier} already; import them apart",
                input.id
            );
            return self.fail(path, Box::<dyn Error>::from(error).as_ref());
        }
        match import(self.run, input, found, self.arguments) {
            Ok(written) => {
                self.files += written;
                self.from.insert(input.id.clone(), path.to_owned());
            }
            Err(error) => self.fail(path, error.as_ref()),
        }
    }

    fn fail(&mut self, path: &Path, error: &(dyn Error + 'static)) {
        self.failed += 1;
        tracing::error!("{}: {}", path.display(), sentence(error));
    }
}

/// Writes the label files of one video, and returns how many.
fn import(
    run: &RunReader,
    input: &PlannedInput,
    found: &VideoAnnotations,
    arguments: &Arguments,
) -> Result<usize, Box<dyn Error>> {
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
