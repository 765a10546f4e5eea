//! `abaw man`: the man pages, made of the help of all commands.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory};

use super::{CommandResult, EXIT_DONE};

/// Write a man page for each command into a folder.
#[derive(Args)]
pub struct Arguments {
    /// The folder, such as ~/.local/share/man/man1.
    #[arg(value_name = "DIR")]
    out: PathBuf,
}

/// Writes.
pub fn run(arguments: Arguments) -> CommandResult {
    let written = std::fs::create_dir_all(&arguments.out)
        .and_then(|()| clap_mangen::generate_to(super::Arguments::command(), &arguments.out));
    written.map_err(|error| format!("{}: {error}", arguments.out.display()))?;
    println!(
        "{}: man pages; read one with man -l {0}/abaw.1",
        arguments.out.display()
    );
    Ok(ExitCode::from(EXIT_DONE))
}
