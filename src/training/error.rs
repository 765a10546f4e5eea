//! What can go wrong while training.

use std::error::Error;
use std::path::PathBuf;

use tch::TchError;
use thiserror::Error;

use crate::affwild2;
use crate::crops::CropError;
use crate::finalise::{LabelRateError, TemporalError};
use crate::model::ModelError;
use crate::model::weights::WeightsError;
use crate::path_error::PathError;
use crate::postprocess::PostprocessError;
use crate::run::RunReaderError;
use crate::temporal::TemporalWeightsError;

/// An error of training. Each prints as one line.
#[derive(Debug, Error)]
pub enum TrainingError {
    /// Labels cannot be read.
    #[error(transparent)]
    Labels(#[from] affwild2::Error),
    /// Images cannot be listed.
    #[error(transparent)]
    Images(#[from] CropError),
    /// Weights cannot be read or written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The network cannot be built, or libtorch fails.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// No image is labelled for one of the tasks.
    #[error(
        "{}: no image is labelled for {task}: leave it out of the recipe's tasks, or look at the labels{}",
        labels.display(),
        missing_images(*missing)
    )]
    NothingLabelled {
        /// The label file or folder.
        labels: PathBuf,
        /// The task, in words.
        task: &'static str,
        /// Labelled images that do not exist.
        missing: usize,
    },
    /// `strict` leaves no image for one of the tasks.
    #[error(
        "{}: `strict = true` keeps only images that are labelled for all three tasks, and leaves none for {task}: it leaves \
         out all {left_out} labelled images; set strict = false, or give labels of all three tasks",
        labels.display()
    )]
    StrictLeavesNothing {
        /// The label file or folder.
        labels: PathBuf,
        /// Labelled images that are left out.
        left_out: usize,
        /// The task, in words.
        task: &'static str,
    },
    /// Too many training images are missing or unreadable.
    #[error(
        "{bad} of {images} images are missing or unreadable, more than the recipe's most_unreadable allows: \
         see {} (first: {first})",
        list.display()
    )]
    TooManyUnreadable {
        /// Missing or unreadable images.
        bad: usize,
        /// All labelled images.
        images: usize,
        /// The first of them, and the reason.
        first: String,
        /// The file that lists them.
        list: PathBuf,
    },
    /// A loss or a gradient is infinite or not a number.
    #[error(
        "the {what} is not a number at step {step} of epoch {epoch}: lower the learning rate or look at these images: \
         {}",
        images.join(", ")
    )]
    NotFinite {
        /// `loss` or `gradient`.
        what: &'static str,
        /// 1-based.
        epoch: usize,
        /// 1-based, in the epoch.
        step: usize,
        /// The names of the batch's images.
        images: Vec<String>,
    },
    /// A run cannot be read.
    #[error(transparent)]
    Run(#[from] RunReaderError),
    /// Labels are not of the frames of a run.
    #[error(transparent)]
    Rate(#[from] LabelRateError),
    /// The post-processing of a run is not valid.
    #[error(transparent)]
    Postprocess(#[from] PostprocessError),
    /// A temporal network cannot be read or written.
    #[error(transparent)]
    TemporalWeights(#[from] TemporalWeightsError),
    /// Features cannot be read.
    #[error(transparent)]
    Features(#[from] TemporalError),
    /// A run has no features.
    #[error("{}: the run has no features of its faces: annotate with --features", .0.display())]
    NoFeatures(PathBuf),
    /// No face of a run is labelled for one of the tasks.
    #[error(
        "{}: no face of {} is labelled for {task}: leave it out of the recipe's tasks, or look at the labels and the names \
         of their videos",
        labels.display(), run.display()
    )]
    NoLabelledFace {
        /// The folder of the run.
        run: PathBuf,
        /// The label file or folder.
        labels: PathBuf,
        /// The task, in words.
        task: &'static str,
    },
    /// The runs of a recipe hold features of different networks.
    #[error("the runs of the recipe were annotated with different weights: annotate all with the same")]
    OtherNetworks,
    /// A video of the training set is in another set, too.
    #[error("{video}: it is trained on and scored on: take it out of one of the recipe's sets")]
    TrainedAndScored {
        /// Its id.
        video: String,
    },
    /// A loss or a gradient of windows is infinite or not a number.
    #[error("the {what} is not a number at step {step}: lower the learning rate")]
    NotFiniteInWindows {
        /// `loss` or `gradient`.
        what: &'static str,
        /// 1-based, over all epochs.
        step: usize,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] PathError),
    /// The folder holds a training run, and `--resume` is not given.
    #[error(
        "{} holds a training run: continue it with --resume, or name another folder",
        .0.display()
    )]
    Taken(PathBuf),
    /// The folder holds no run to resume.
    #[error("{}: no checkpoint to continue from; leave --resume out to begin", .0.display())]
    NoCheckpoint(PathBuf),
    /// A checkpoint or the records beside it cannot be used.
    #[error("{}: {reason}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The picture of the losses and scores cannot be drawn.
    #[error("the curves cannot be drawn")]
    Curves(#[source] Box<dyn Error + Send + Sync>),
    /// A thread cannot be started.
    #[error("the threads of the training cannot be started")]
    Threads(#[source] Box<dyn Error + Send + Sync>),
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
