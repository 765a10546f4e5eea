//! What people look at and correct: the report in a real browser, opened from disk as a person opens it; rendered
//! videos; exports to annotation tools, and the way back.

#![allow(clippy::unwrap_used)]

mod annotated_run;
mod bad_input;
mod browser;
mod export;
mod imports;
mod labels;
mod made_up;
mod marking;
mod pages;
mod render;
mod round_trip;
mod size;
mod stills;
#[path = "../support/mod.rs"]
mod support;
mod weights;

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::LazyLock;

use support::{abaw_with, sample, save_untrained, stderr_of};

/// A real run: two sample clips, annotated by the program, with an overlay for one of them.
pub static RUN: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = folder.path().join("quick.toml");
    std::fs::write(&pipeline, "[detector]\nlong_side = 320\nevery = 2\n").unwrap();
    let run = folder.path().join("run");
    let weights = folder.path().join("seeded.safetensors");
    save_untrained(&weights);
    let mut command = abaw_with(&[&"annotate", &"--device", &"cpu"]);
    command.args(["astronaut.mp4", "two_people.mp4"].map(sample));
    command.arg("--weights").arg(weights);
    let done = command
        .arg("--pipeline")
        .arg(&pipeline)
        .arg("--out")
        .arg(&run)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", stderr_of(&done));
    // What `abaw render` leaves: a video of the same frames at the same times.
    std::fs::create_dir(run.join("overlay")).unwrap();
    std::fs::copy(sample("astronaut.mp4"), run.join("overlay/astronaut.mp4")).unwrap();
    folder
});

/// The folder of [`RUN`].
pub fn real_run() -> PathBuf {
    RUN.path().join("run")
}

/// Writes a report.
pub fn report(run: &Path, out: &Path, labels: Option<&Path>) -> Output {
    let mut command = abaw_with(&[&"report"]);
    command.arg(run).arg("--out").arg(out);
    if let Some(labels) = labels {
        command.arg("--labels").arg(labels);
    }
    command.output().unwrap()
}
