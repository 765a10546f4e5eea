//! The command line: one file a subcommand, from flags to a library call to what a person reads.

mod annotate;
mod console;
mod doctor;
mod evaluate;
mod export;
mod import_labels;
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

/// Everything done.
const EXIT_DONE: u8 = 0;
/// Usage or settings; nothing was done.
const EXIT_USAGE: u8 = 2;
/// Some inputs failed, each recorded with its reason; all others are done.
const EXIT_SOME_FAILED: u8 = 3;

/// What a subcommand comes to; an error is one sentence for stderr and exit code 2.
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

/// A command whose work is what it prints ends quietly when nobody reads on, as in `abaw weights show FILE |
/// head`. Others go on: a night's work is not lost for a pager.
fn end_with_the_reader() {
    // SAFETY: puts a signal's disposition back to what it is in other programs; no handler is involved.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Reads the command line, does what it says, and gives the exit code.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    if let Command::Weights(_) | Command::Evaluate(_) | Command::Doctor(_) = arguments.command {
        end_with_the_reader();
    }
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
        // One line: a reader of logs sees each error once and whole.
        let message = error_chain::sentence(error.as_ref());
        let words: Vec<&str> = message.split_whitespace().collect();
        tracing::error!("{}", words.join(" "));
        ExitCode::from(EXIT_USAGE)
    })
}
