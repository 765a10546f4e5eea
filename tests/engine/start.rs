//! A run on the CPU begins without what it does not need: CUDA, a pool of libtorch's threads.

use std::process::Stdio;
use std::time::Duration;

use crate::support::workspace::Workspace;

/// What was seen of a process while it ran.
struct Seen {
    /// The files that were mapped.
    mapped: String,
    /// The most threads at once.
    threads: usize,
}

/// Annotates a short clip while libtorch may have so many threads in its pool.
fn watched(workspace: &Workspace, pool: u32) -> Seen {
    let clip = workspace.face_clip("clip.mkv", 3);
    let run = workspace.path(format!("run{pool}"));
    let mut annotate = workspace.annotate_with(&["--threads=1"], &[clip], &run);
    annotate.env("OMP_NUM_THREADS", pool.to_string());
    let mut process = annotate
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let proc = format!("/proc/{}", process.id());
    let (mut mapped, mut threads) = (String::new(), 0);
    while process.try_wait().unwrap().is_none() {
        let maps = std::fs::read_to_string(format!("{proc}/maps")).unwrap_or_default();
        if maps.len() > mapped.len() {
            mapped = maps;
        }
        threads = threads.max(std::fs::read_dir(format!("{proc}/task")).map_or(0, Iterator::count));
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(process.wait().unwrap().success());
    Seen { mapped, threads }
}

#[test]
fn on_the_cpu_nothing_of_cuda_is_loaded_and_libtorch_starts_no_threads() {
    let workspace = Workspace::new();
    let (alone, with_pool) = (watched(&workspace, 1), watched(&workspace, 24));
    assert!(with_pool.mapped.contains("libtorch_cpu.so"));
    // libtorch_cpu.so itself links CUDA's runtime; the kernels, 450 MB, and the driver are others.
    for library in ["libtorch_cuda", "libcuda.so", "libcudnn", "libcublas"] {
        assert!(!with_pool.mapped.contains(library), "{library}");
    }
    println!("threads: {}, with a pool {}", alone.threads, with_pool.threads);
    // Merging has threads of its own, seen or not.
    assert!(
        with_pool.threads < alone.threads + 12,
        "{} and {}",
        alone.threads,
        with_pool.threads
    );
}
