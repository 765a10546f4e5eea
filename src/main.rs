//! The command `abaw`.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    abaw::device::keep_freed_memory();
    cli::run()
}
