//! `abaw export`: writes the annotations of a run for annotation tools.

use std::path::PathBuf;
use std::process::ExitCode;

use abaw::error_chain::sentence;
use abaw::export::{self, AnnotatedVideo, DataFormat, Format, IntervalRules, write_data};
use abaw::postprocess::Window;
use abaw::run::{PlannedInput, RunFolder, RunReader, RunReaderError, VideoId};
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use super::{CommandResult, EXIT_DONE, EXIT_SOME_FAILED};

/// Write a run as CSV or one Parquet file, or its annotations for Label Studio, CVAT, ELAN, py-feat, OpenFace.
///
/// `abaw import-labels` turns corrected annotations into label files.
#[derive(Args)]
pub struct Arguments {
    /// Folder of the run.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// csv, parquet, or the format of an annotation tool.
    #[arg(long, value_enum)]
    format: Target,
    /// Folder for the files: one or more for each video, named after its id. A name that ends in .csv or .parquet is one
    /// file for all videos.
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// Columns of csv and parquet, such as video,frame,person,expression; all without it.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    columns: Vec<String>,
    /// Shortest interval, "5 frames" or "0.2 seconds"; a shorter one is merged into the longer of its
    /// neighbours.
    #[arg(long, value_name = "LENGTH", default_value = "1 frame")]
    min_length: Window,
    /// Longest gap that is bridged between two intervals with the same label.
    #[arg(long, value_name = "LENGTH", default_value = "0 frames")]
    max_gap: Window,
}

/// What a run is written for.
#[derive(Debug, Clone, Copy)]
enum Target {
    Tool(Format),
    Data(DataFormat),
}

impl ValueEnum for Target {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Data(DataFormat::Csv),
            Self::Data(DataFormat::Parquet),
            Self::Tool(Format::LabelStudio),
            Self::Tool(Format::Cvat),
            Self::Tool(Format::Elan),
            Self::Tool(Format::PyFeat),
            Self::Tool(Format::Openface),
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Data(DataFormat::Csv) => {
                Some(PossibleValue::new("csv").help("Flat CSV: the columns of the tables"))
            }
            Self::Data(DataFormat::Parquet) => {
                Some(PossibleValue::new("parquet").help("One Parquet file with the tables of all videos"))
            }
            Self::Tool(format) => format.to_possible_value(),
        }
    }
}

/// Exports.
pub fn run(arguments: Arguments) -> CommandResult {
    let run = RunReader::open(RunFolder::new(&arguments.run))?;
    match arguments.format {
        Target::Data(format) => export_data(&run, format, &arguments),
        Target::Tool(_) if !arguments.columns.is_empty() => {
            Err("--columns is for --format csv and parquet".into())
        }
        Target::Tool(format) => export_annotations(&run, format, &arguments),
    }
}

fn export_data(run: &RunReader, format: DataFormat, arguments: &Arguments) -> CommandResult {
    let mut ids: Vec<VideoId> = Vec::new();
    let mut failed = false;
    for input in &run.plan().inputs {
        match run.batches(&input.id) {
            Ok(_) => ids.push(input.id.clone()),
            Err(error) => {
                failed = true;
                tracing::error!("{}", sentence(&error));
            }
        }
    }
    let written = write_data(run, &ids, format, &arguments.columns, &arguments.out)?;
    println!(
        "{}: {} files, {} videos, {} rows",
        arguments.out.display(),
        written.files,
        written.videos,
        written.rows
    );
    Ok(ExitCode::from(if failed { EXIT_SOME_FAILED } else { EXIT_DONE }))
}

fn export_annotations(run: &RunReader, format: Format, arguments: &Arguments) -> CommandResult {
    let (mut videos, mut frames, mut failed) = (0, 0, 0);
    for input in &run.plan().inputs {
        match export_video(run, input, format, arguments) {
            Ok(exported) => (videos, frames) = (videos + 1, frames + exported),
            Err(error) => {
                failed += 1;
                tracing::error!("{}", sentence(error.as_ref()));
            }
        }
    }
    export::write_common(format, &arguments.out)?;
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
    format: Format,
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
    export::write(&video, format, rules, &arguments.out)?;
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
