//! The command line: one file for each subcommand, from arguments to library calls to messages.

// First, for its macro.
#[macro_use]
mod stdout;

mod annotate;
mod calibration;
mod console;
mod doctor;
mod evaluate;
mod export;
mod import_labels;
mod label_arguments;
mod merge;
mod plan;
mod postprocess;
mod render;
mod report;
mod submit;
mod summary;
mod train;
mod tune;
mod weights;

use std::error::Error;
use std::process::ExitCode;

use abaw::error_chain;
use clap::{Parser, Subcommand};

use console::{Console, LogFormat};

/// Everything is done.
const EXIT_DONE: u8 = 0;
/// Wrong usage or settings; nothing was done.
const EXIT_USAGE: u8 = 2;
/// Some inputs failed, and their reasons are recorded; all others are done.
const EXIT_SOME_FAILED: u8 = 3;

/// The result of a subcommand. An error is printed as one sentence on stderr, with exit code 2.
type CommandResult = Result<ExitCode, Box<dyn Error>>;

/// Annotates faces in video, frame by frame: valence and arousal, eight expressions, twelve action
/// units.
#[derive(Parser)]
#[command(
    name = "abaw",
    version,
    after_help = "Exit codes: 0 done, 2 usage or settings, 3 some inputs failed, 75 stopped."
)]
struct Arguments {
    /// How messages are written to stderr.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Annotate(annotate::Arguments),
    Plan(plan::Arguments),
    Merge(merge::Arguments),
    Postprocess(postprocess::Arguments),
    Submit(submit::Arguments),
    Evaluate(evaluate::Arguments),
    Tune(tune::Arguments),
    Train(train::Arguments),
    Report(report::Arguments),
    Weights(weights::Arguments),
    Render(render::Arguments),
    Export(export::Arguments),
    ImportLabels(import_labels::Arguments),
    Doctor(doctor::Arguments),
}

/// Parses the command line, runs the subcommand, and returns the exit code.
pub fn run() -> ExitCode {
    stdout::end_with_the_reader();
    let arguments = Arguments::parse();
    let console = Console::new(arguments.log_format);
    let result = match arguments.command {
        Command::Annotate(arguments) => annotate::run(arguments, &console),
        Command::Plan(arguments) => plan::run(arguments),
        Command::Merge(arguments) => merge::run(arguments),
        Command::Postprocess(arguments) => postprocess::run(arguments, &console),
        Command::Submit(arguments) => submit::run(arguments),
        Command::Evaluate(arguments) => evaluate::run(arguments),
        Command::Tune(arguments) => tune::run(arguments),
        Command::Train(arguments) => train::run(arguments, &console),
        Command::Report(arguments) => report::run(arguments, &console),
        Command::Weights(arguments) => weights::run(arguments),
        Command::Render(arguments) => render::run(arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::ImportLabels(arguments) => import_labels::run(arguments),
        Command::Doctor(arguments) => doctor::run(arguments),
    };
    result.unwrap_or_else(|error| {
        // One line, so that each error is one entry of a log.
        let message = error_chain::sentence(error.as_ref());
        let words: Vec<&str> = message.split_whitespace().collect();
        tracing::error!("{}", words.join(" "));
        ExitCode::from(EXIT_USAGE)
    })
}
