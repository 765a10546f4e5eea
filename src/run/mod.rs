//! The files of a run: what is to be done, how, by which shard, and what came of it. No threads, no tensors.

mod event;
mod folder;
mod input;
mod many_files;
mod merge;
mod names;
mod plan;
mod reader;
mod shards;
mod stage;
mod weights;

pub use event::{Event, InputTotals, QueueLengths};
pub use folder::{Failure, RunFolder};
pub use input::{Input, InputError, InputKind, VideoId, absence, collect};
pub use merge::{MergeError, Pace, RunSummary, Status, Totals, VideoSummary, merge};
pub use names::{InputNames, endings};
pub use plan::{Plan, PlanError, PlannedInput, RunSettings, TableState, new_since};
pub use reader::{RunReader, RunReaderError};
pub use stage::{Stage, StageClock};
pub use weights::{
    DEMO, FindWeightsError, FoundWeights, SEED, check_unchanged, find_weights, missing_tasks_warning,
    warnings,
};
