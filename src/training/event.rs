//! What a training run reports while it runs.

use super::dataset::Dataset;
use super::loss_values::LossValues;
use super::records::EpochRecord;

/// What happens while a network is trained.
#[derive(Debug)]
pub enum TrainingEvent<'a> {
    /// The data sets are read.
    Begun {
        /// The training set.
        train: &'a Dataset,
        /// The validation set.
        validation: &'a Dataset,
        /// Epochs that are already finished; above 0 in a resumed run.
        epoch: usize,
    },
    /// A step was taken.
    Step {
        /// 1-based.
        epoch: usize,
        /// Epochs of the whole run.
        epochs: usize,
        /// Images trained on so far, including those before the run was resumed.
        images: usize,
        /// Images of all epochs.
        of: usize,
        /// The losses of this step.
        losses: &'a LossValues,
        /// Since this process started training.
        images_per_second: f64,
    },
    /// An epoch is finished.
    Epoch(&'a EpochRecord),
    /// A problem that does not stop the run.
    Warning(String),
}
