//! The arguments of commands that compare a run with labels.

use std::error::Error;
use std::path::PathBuf;

use abaw::affwild2::Labels;
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
}

impl LabelArguments {
    /// Opens the run and reads the labels.
    pub fn open(&self) -> Result<(RunReader, Labels), Box<dyn Error>> {
        let run = RunReader::open(RunFolder::new(&self.run))?;
        Ok((run, Labels::read(&self.labels)?))
    }
}
