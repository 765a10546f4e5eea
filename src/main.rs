//! The command `abaw`.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    abaw::allocator::keep_freed_memory();
    cli::run()
}
