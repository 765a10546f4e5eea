//! `abaw completions`: what a shell needs to complete commands and flags.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::{CommandResult, EXIT_DONE};

/// Print completions for a shell: `abaw completions bash > ~/.local/share/bash-completion/completions/abaw`.
#[derive(Args)]
pub struct Arguments {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints.
pub fn run(arguments: Arguments) -> CommandResult {
    let mut script = Vec::new();
    generate(
        arguments.shell,
        &mut super::Arguments::command(),
        "abaw",
        &mut script,
    );
    println!("{}", String::from_utf8(script)?.trim_end());
    Ok(ExitCode::from(EXIT_DONE))
}
