//! The command line: one file for each subcommand, from arguments to library calls to messages.

// First, for its macro.
#[macro_use]
mod stdout;

mod annotate;
mod calibration;
mod completions;
mod console;
mod doctor;
mod evaluate;
mod export;
mod help;
mod import_labels;
mod label_arguments;
mod man;
mod merge;
mod pipelines;
mod plan;
mod postprocess;
mod render;
mod report;
mod submit;
mod summary;
mod train;
mod train_temporal;
mod training_scores;
mod tune;
mod weights;

use std::error::Error;
use std::process::ExitCode;

use abaw::error_chain;
use clap::{ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand};

use console::{Console, LogFormat, Messages, Verbosity};

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
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = "abaw help TOPIC: inputs, table, settings, labels, exit-codes, or a command.\n\
                  Exit codes: 0 done, 2 usage or settings, 3 some inputs failed, 75 stopped."
)]
struct Arguments {
    /// How messages are written to stderr.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Print errors only, and nothing else on stderr.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Print more: a line for each video also beside a progress bar.
    #[arg(short, long, global = true)]
    verbose: bool,
    /// When messages and help are coloured; auto: on a terminal, unless NO_COLOR is set.
    #[arg(long, global = true, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    color: ColorChoice,
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
    Summary(summary::Arguments),
    Report(report::Arguments),
    Weights(weights::Arguments),
    Render(render::Arguments),
    Export(export::Arguments),
    ImportLabels(import_labels::Arguments),
    Pipelines(pipelines::Arguments),
    Doctor(doctor::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
    Help(help::Arguments),
}

impl Arguments {
    /// Parses the command line. Help is coloured as `--color` asks, so that is looked for first.
    fn of_command_line() -> Self {
        let words: Vec<_> = std::env::args_os()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let color = words
            .iter()
            .enumerate()
            .find_map(|(at, word)| match word.as_str() {
                "--color" => words.get(at + 1).map(String::as_str),
                word => word.strip_prefix("--color="),
            });
        let color = color
            .and_then(|color| color.parse().ok())
            .unwrap_or(ColorChoice::Auto);
        let matches = Self::command().color(color).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// Parses the command line, runs the subcommand, and returns the exit code.
pub fn run() -> ExitCode {
    stdout::end_with_the_reader();
    let arguments = Arguments::of_command_line();
    let console = Console::new(Messages {
        format: arguments.log_format,
        verbosity: match (arguments.quiet, arguments.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Usual,
        },
        color: arguments.color,
    });
    let result = match arguments.command {
        Command::Annotate(arguments) => annotate::run(arguments, &console),
        Command::Plan(arguments) => plan::run(arguments),
        Command::Merge(arguments) => merge::run(arguments),
        Command::Postprocess(arguments) => postprocess::run(arguments, &console),
        Command::Submit(arguments) => submit::run(arguments),
        Command::Evaluate(arguments) => evaluate::run(arguments),
        Command::Tune(arguments) => tune::run(arguments),
        Command::Train(arguments) => train::run(arguments, &console),
        Command::Summary(arguments) => summary::run(arguments),
        Command::Report(arguments) => report::run(arguments, &console),
        Command::Weights(arguments) => weights::run(arguments),
        Command::Render(arguments) => render::run(arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::ImportLabels(arguments) => import_labels::run(arguments),
        Command::Pipelines(arguments) => pipelines::run(arguments),
        Command::Doctor(arguments) => doctor::run(arguments),
        Command::Completions(arguments) => completions::run(arguments),
        Command::Man(arguments) => man::run(arguments),
        Command::Help(arguments) => help::run(arguments),
    };
    result.unwrap_or_else(|error| {
        // One line, so that each error is one entry of a log.
        let message = error_chain::sentence(error.as_ref());
        let words: Vec<&str> = message.split_whitespace().collect();
        tracing::error!("{}", words.join(" "));
        ExitCode::from(EXIT_USAGE)
    })
}
