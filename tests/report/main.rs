//! The report in a real browser, opened from disk as a person opens it.

mod bad_input;
mod browser;
mod labels;
mod made_up;
mod pages;
mod size;
mod stills;
mod weights;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use abaw::model::weights::{Card, NumberFormat, Weights};
use abaw::model::{Architecture, initial_weights};

/// A real run: two sample clips, annotated by the program, with an overlay for one of them.
pub static RUN: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = folder.path().join("quick.toml");
    std::fs::write(&pipeline, "[detector]\nlong_side = 320\nevery = 2\n").unwrap();
    let run = folder.path().join("run");
    let weights = folder.path().join("seeded.safetensors");
    save_untrained(&weights);
    let mut command = abaw(&["annotate", "--device", "cpu"]);
    command.args(["astronaut.mp4", "two_people.mp4"].map(sample));
    command.arg("--weights").arg(weights);
    let done = command
        .arg("--pipeline")
        .arg(&pipeline)
        .arg("--out")
        .arg(&run)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", errors(&done));
    // What `abaw render` leaves: a video of the same frames at the same times.
    std::fs::create_dir(run.join("overlay")).unwrap();
    std::fs::copy(sample("astronaut.mp4"), run.join("overlay/astronaut.mp4")).unwrap();
    folder
});

/// Weights whose card says that they are not trained.
fn save_untrained(path: &Path) {
    let tensors = initial_weights(&Architecture::MULTITASK, 2407_12390).unwrap();
    let card = Card {
        trained: false,
        ..Card::as_published("a seed".to_owned())
    };
    let network = Weights::new(tensors, card).unwrap();
    network.save(path, NumberFormat::F32).unwrap();
}

/// The folder of [`RUN`].
pub fn real_run() -> PathBuf {
    RUN.path().join("run")
}

/// The program with some words.
pub fn abaw(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_abaw"));
    command.args(words);
    command
}

/// Writes a report.
pub fn report(run: &Path, out: &Path, labels: Option<&Path>) -> Output {
    let mut command = abaw(&["report"]);
    command.arg(run).arg("--out").arg(out);
    if let Some(labels) = labels {
        command.arg("--labels").arg(labels);
    }
    command.output().unwrap()
}

/// A file of `sample_data`.
pub fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("sample_data")
        .join(name)
}

/// What a command wrote to stderr.
pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
