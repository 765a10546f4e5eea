//! Training of the network (arXiv 2407.12390): from labelled crops to weights.
//!
//! ```text
//! recipe -> dataset -> sampler -> loader (images, augmentation) -> step (loss, optimizer) -> evaluation -> weights
//!                                 threads beside                   trainer: epochs, checkpoints
//! ```

mod augmentation;
mod checkpoint;
mod curves;
mod dataset;
mod error;
mod evaluation;
mod images;
mod loader;
mod loss;
mod model_card;
mod optimizer;
mod recipe;
mod sampler;
mod schedule;
mod step;
mod trainer;

pub use augmentation::Augmentation;
pub use dataset::{Counts, Dataset};
pub use error::TrainingError;
pub use loader::Batch;
pub use loss::{ActionUnitMask, Labels, LossWeights, Losses, attention_loss, ccc};
pub use optimizer::{Adam, OptimizerSettings};
pub use recipe::{Layers, LossSettings, Phase, Recipe, RecipeError, Task};
pub use schedule::Schedule;
pub use step::{Learner, LossValues};
pub use trainer::{EpochRecord, News, Outcome, train};
