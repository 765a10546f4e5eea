//! The command `abaw`.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    keep_freed_memory();
    cli::run()
}

/// Keeps glibc from handing every activation of a network back to the kernel: a forward pass takes
/// a third less time (`docs/benchmarks.md`).
fn keep_freed_memory() {
    const MMAP_THRESHOLD_BYTES: i32 = 1 << 30;
    const TOP_PAD_BYTES: i32 = 64 << 20;
    // SAFETY: mallopt only sets parameters of the allocator; no other thread runs yet.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TOP_PAD, TOP_PAD_BYTES);
    }
}
