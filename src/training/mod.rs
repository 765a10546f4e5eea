//! Training of the network (arXiv 2407.12390), from labelled crops to weights, and of temporal networks (`temporal`).
//!
//! ```text
//! recipe -> dataset -> sampler -> loader (images, augmentation) -> learner (replica, loss, optimizer) -> evaluation -> weights
//!                                 a thread of its own              trainer: epochs, checkpoints, records
//! ```

mod augmentation;
mod checkpoint;
mod curves;
mod dataset;
mod device_reads;
mod error;
mod evaluation;
mod event;
mod images;
mod learner;
mod learning_rate;
mod loader;
mod loss;
mod loss_values;
mod model_card;
mod optimizer;
mod recipe;
mod records;
mod replica;
mod sampler;
mod start_weights;
mod temporal;
mod trainer;
mod unreadable;
mod weight_average;
mod write;

pub use augmentation::{Affine, Augmentation, Colour, Erasing};
pub use dataset::{Counts, Dataset, Sample};
pub use error::TrainingError;
pub use event::TrainingEvent;
pub use learner::Learner;
pub use learning_rate::Schedule;
pub use loader::Batch;
pub use loss::{ActionUnitMask, Labels, LossWeights, Losses, attention_loss, ccc};
pub use loss_values::LossValues;
pub use optimizer::{Adam, OptimizerSettings};
pub use recipe::{
    CardSettings, DataSettings, ImageSet, Layers, LossSettings, Phase, Recipe, RecipeError, SamplerSettings,
    Task,
};
pub use records::EpochRecord;
pub use temporal::{
    LabelledRun, LabelledSequences, NetworkSettings, TemporalData, TemporalEpoch, TemporalEvent,
    TemporalOutcome, TemporalRecipe, train_temporal,
};
pub use trainer::{Outcome, train};
