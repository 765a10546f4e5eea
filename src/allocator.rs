//! Settings of the memory allocator.

/// Returns memory that was freed to the kernel, once, for what is needed at the start only.
pub fn return_freed_memory() {
    // SAFETY: malloc_trim only returns free pages.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Keeps glibc from returning the memory of each activation to the kernel, which makes a forward pass a third
/// faster on a CPU, and lets threads share what is freed, which takes a seventh off the peak (`docs/benchmarks.md`). Call it
/// first in a program, before it starts threads.
pub fn keep_freed_memory() {
    const MMAP_THRESHOLD_BYTES: i32 = 1 << 30;
    const TOP_PAD_BYTES: i32 = 64 << 20;
    const NO_FAST_BINS: i32 = 0;
    /// Cores that share an arena. By default each thread has one, and what is free in one is of no use to the others; one for
    /// all would make many cores wait for each other.
    const CORES_AN_ARENA: usize = 4;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let arenas = cores.div_ceil(CORES_AN_ARENA) as i32;
    // SAFETY: mallopt only sets parameters of the allocator.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TOP_PAD, TOP_PAD_BYTES);
        // Otherwise each large free would merge all small chunks.
        libc::mallopt(libc::M_MXFAST, NO_FAST_BINS);
        libc::mallopt(libc::M_ARENA_MAX, arenas);
    }
}
