//! What several test binaries need: the program and its output, files beside the sources, finished runs.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod workspace;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use abaw::frame::Picture;
use abaw::model::weights::{Card, NumberFormat, Weights};
use abaw::model::{Architecture, initial_weights};
use abaw::table::{self, Footer, Row};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The rows and the footer of a table; the footer holds no time.
pub type Contents = (Vec<Row>, Footer);

/// The program, without what cargo sets for the test itself.
pub fn abaw() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_abaw"));
    command.env_remove("OMP_WAIT_POLICY");
    command
}

/// The program with arguments of any kind.
pub fn abaw_with(arguments: &[&dyn AsRef<OsStr>]) -> Command {
    let mut command = abaw();
    command.args(arguments.iter().map(|argument| argument.as_ref()));
    command
}

/// Runs the program to its end, whatever its exit code.
pub fn output_of(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
    abaw().args(arguments).output().unwrap()
}

/// Runs a command to its end and checks its exit code.
#[track_caller]
pub fn expect_exit(code: i32, command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(code),
        "{command:?}: {}",
        stderr_of(&output)
    );
    output
}

/// The output of a command that must have succeeded.
#[track_caller]
pub fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr_of(output));
    stdout_of(output)
}

pub fn stdout_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The lines of stderr that are errors.
pub fn errors(output: &Output) -> Vec<String> {
    let stderr = stderr_of(output);
    let lines = stderr.lines().filter(|line| line.starts_with("error: "));
    lines.map(str::to_owned).collect()
}

/// The repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A file of `sample_data/`.
pub fn sample(name: impl AsRef<Path>) -> PathBuf {
    root().join("sample_data").join(name)
}

/// A file of `tests/golden/`, which every clone has.
pub fn golden(name: impl AsRef<Path>) -> PathBuf {
    root().join("tests/golden").join(name)
}

/// The full reference data beside the repository. Without it the caller skips its checks; on CI (`CI=true`)
/// a missing folder is a failure.
#[track_caller]
pub fn shared_golden() -> Option<PathBuf> {
    let folder = root().join("../shared/golden");
    if folder.is_dir() {
        return Some(folder);
    }
    let is_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!is_ci, "CI needs the reference data in {}", folder.display());
    println!("skipped: no {}", folder.display());
    None
}

/// A file of `tests/golden/checkpoints/`.
pub fn checkpoint(name: &str) -> PathBuf {
    golden("checkpoints").join(name)
}

/// Unpacks a `.gz` into a folder.
pub fn unpacked(packed: &Path, folder: &Path) -> PathBuf {
    let path = folder.join(packed.file_stem().unwrap());
    let mut unpacked = fs::File::create(&path).unwrap();
    let packed = fs::File::open(packed).unwrap();
    std::io::copy(&mut flate2::read::GzDecoder::new(packed), &mut unpacked).unwrap();
    path
}

/// Saves a multitask network of random weights, whose card does not claim that they are trained.
pub fn save_untrained(path: &Path) {
    let tensors = initial_weights(&Architecture::MULTITASK, 2407_12390).unwrap();
    let card = Card {
        trained: false,
        ..Card::as_published("a seed".to_owned())
    };
    let network = Weights::new(tensors, card).unwrap();
    network.save(path, NumberFormat::F32).unwrap();
}

/// A picture of any format.
pub fn read_picture(path: &Path) -> Picture {
    let image = image::open(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .to_rgb8();
    let (width, height) = image.dimensions();
    Picture::from_rgb(width, height, image.into_raw()).unwrap()
}

pub fn read_json<T: DeserializeOwned>(path: &Path) -> T {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `run.json`.
pub fn summary(run: &Path) -> Value {
    read_json(&run.join("run.json"))
}

pub fn table(run: &Path, id: &str) -> Contents {
    table::read(&run.join(format!("frames/{id}.parquet"))).unwrap()
}
