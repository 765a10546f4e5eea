//! The arguments of commands that compare a run with labels.

use std::error::Error;
use std::path::{Path, PathBuf};

use abaw::affwild2::Labels;
use abaw::finalise::match_labels;
use abaw::run::{RunFolder, RunReader};
use clap::Args;

/// A run and its labels.
#[derive(Args)]
pub struct LabelArguments {
    /// Folder of the run.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// MTL annotations, the label file of one video, or a folder of label files: those of one task, or VA_*,
    /// EXPR_* and AU_* folders.
    #[arg(long, value_name = "PATH")]
    pub labels: PathBuf,
    /// Match labels with frames by time: the labels are so many a second, from the first frame on. Each frame takes the
    /// label nearest to it.
    #[arg(long, value_name = "N", value_parser = positive)]
    labels_fps: Option<f64>,
}

impl LabelArguments {
    /// Opens the run and reads the labels.
    pub fn open(&self) -> Result<(RunReader, Labels), Box<dyn Error>> {
        let run = RunReader::open(RunFolder::new(&self.run))?;
        let labels = read_labels(&run, &self.labels, self.labels_fps)?;
        Ok((run, labels))
    }
}

/// Reads labels and matches them with the frames of a run.
pub fn read_labels(run: &RunReader, path: &Path, labels_fps: Option<f64>) -> Result<Labels, Box<dyn Error>> {
    let labels = Labels::read(path)?;
    for folder in labels.left_out() {
        tracing::warn!(
            "{}: left out: the folder is not named like a task (VA_*, EXPR_*, AU_*)",
            folder.display()
        );
    }
    let (labels, notes) = match_labels(run, labels, labels_fps)?;
    if notes.with_frame_0 > 0 {
        tracing::warn!(
            "{} labelled videos have a frame 0; line 1 of their label files is taken for frame 1",
            notes.with_frame_0
        );
    }
    Ok(labels)
}

/// Parses labels a second.
pub fn positive(text: &str) -> Result<f64, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "expected a number above 0".to_owned())
}
