//! Training of temporal networks: from annotated runs and labels to weights for `[postprocess.temporal]`.
//!
//! ```text
//! recipe -> labelled sequences (tables, features, labels) -> windows -> learner (losses, optimiser) -> evaluation -> weights
//!                                                                       trainer: epochs, checkpoints, records
//! ```

mod evaluation;
mod face_store;
mod labelled_sequences;
mod learner;
mod recipe;
mod trainer;
mod windows;

pub use labelled_sequences::LabelledSequences;
pub use recipe::{LabelledRun, NetworkSettings, TemporalData, TemporalRecipe};
pub use trainer::{TemporalEpoch, TemporalEvent, TemporalOutcome, train_temporal};
