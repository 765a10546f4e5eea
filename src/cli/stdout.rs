//! Standard output, whose reader may end before the command, as in `abaw annotate videos --dry-run | head -1`.

use std::fmt::Arguments;
use std::io::{self, Write};

// Ends the process at once: threads may still compute, and must not see libtorch's globals destroyed.
use signal_hook::low_level::exit;

use super::EXIT_USAGE;

/// The exit code of a program whose reader has ended, as a shell reports it.
const EXIT_NO_READER: i32 = 128 + libc::SIGPIPE;

/// Prints a line, in place of the standard library's macro, which panics where stdout cannot be written.
macro_rules! println {
    () => { $crate::cli::stdout::print_line(format_args!("")) };
    ($($text:tt)*) => { $crate::cli::stdout::print_line(format_args!($($text)*)) };
}

/// Lets the system end the command quietly when it writes to a pipe without a reader. What is published by then is
/// complete, and the same command continues from there.
pub fn end_with_the_reader() {
    // SAFETY: restores the default disposition of a signal; no handler is involved.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Writes a line to stdout. Ends the process if that is not possible: quietly if the reader has ended (a pipe, or a
/// terminal that was closed), else with an error.
pub fn print_line(line: Arguments<'_>) {
    if let Err(error) = writeln!(io::stdout().lock(), "{line}") {
        match error.raw_os_error() {
            Some(libc::EPIPE | libc::EIO) => exit(EXIT_NO_READER),
            _ => {
                tracing::error!("stdout cannot be written: {error}");
                exit(EXIT_USAGE.into())
            }
        }
    }
}
