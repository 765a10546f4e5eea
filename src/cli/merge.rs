//! `abaw merge`: checks a run that was done in shards, and writes its summary.

use std::path::PathBuf;
use std::process::ExitCode;

use abaw::run::{RunFolder, merge};
use clap::Args;

use super::{CommandResult, EXIT_DONE, EXIT_SOME_FAILED, summary};

/// Check that a run done in shards is complete, and write RUN/run.json.
#[derive(Args)]
pub struct Arguments {
    /// Folder of the run.
    #[arg(value_name = "RUN")]
    run: PathBuf,
}

/// Merges.
pub fn run(arguments: Arguments) -> CommandResult {
    let run = RunFolder::new(arguments.run);
    let merged = merge(&run, None)?;
    summary::print(&run, &merged);
    let failed = merged.totals.failed > 0;
    Ok(ExitCode::from(if failed { EXIT_SOME_FAILED } else { EXIT_DONE }))
}
