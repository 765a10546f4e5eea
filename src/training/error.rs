//! What can go wrong while training.

use std::path::PathBuf;

use tch::TchError;
use thiserror::Error;

use crate::affwild2;
use crate::crops::CropError;
use crate::model::ModelError;
use crate::model::weights::WeightsError;

/// An error of this room. Each prints as one line.
#[derive(Debug, Error)]
pub enum TrainingError {
    #[error(transparent)]
    Labels(#[from] affwild2::Error),
    #[error(transparent)]
    Images(#[from] CropError),
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(
        "{}: no image is labelled for {task}: leave it out of the recipe's tasks, or look at the labels{}",
        labels.display(),
        missing_images(*missing)
    )]
    NothingLabelled {
        labels: PathBuf,
        task: &'static str,
        /// Labelled images that there are no images of.
        missing: usize,
    },
    #[error(
        "{bad} of {images} images are missing or unreadable, more than the recipe's most_unreadable allows: \
         {first} first, all in {}",
        list.display()
    )]
    TooManyUnreadable {
        bad: usize,
        images: usize,
        /// The first, and why.
        first: String,
        list: PathBuf,
    },
    #[error(
        "the {what} is not a number at step {step} of epoch {epoch}: lower the learning rate or look at these images: \
         {}",
        images.join(", ")
    )]
    NotFinite {
        what: &'static str,
        epoch: usize,
        step: usize,
        images: Vec<String>,
    },
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error(
        "{} holds a training run: go on with it by --resume, or name another folder",
        .0.display()
    )]
    Taken(PathBuf),
    #[error("{}: no checkpoint to go on from; leave --resume out to begin", .0.display())]
    NoCheckpoint(PathBuf),
    #[error("{}: {reason}", path.display())]
    Checkpoint { path: PathBuf, reason: String },
    #[error("the curves cannot be drawn: {0}")]
    Curves(String),
    #[error("the threads of the replicas cannot be started: {0}")]
    Threads(String),
}

impl From<TchError> for TrainingError {
    fn from(error: TchError) -> Self {
        Self::Model(ModelError::Torch(error))
    }
}

fn missing_images(missing: usize) -> String {
    match missing {
        0 => String::new(),
        _ => format!(" ({missing} labelled images are missing: look at the recipe's images, too)"),
    }
}
