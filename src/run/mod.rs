//! The files of a run: its inputs, settings, shards, tables, failures and summary. No forward pass runs here.

mod event;
mod file_state;
mod folder;
mod ids;
mod input;
mod merge;
mod names;
mod own_files;
mod path;
mod pattern;
mod plan;
mod reader;
mod search;
mod settings;
mod shards;
mod stage;
mod weights;

pub use event::{Event, InputTotals, NetworkTimes, QueueLengths};
pub use file_state::FileState;
pub use folder::{Failure, RunFolder};
pub use input::{Input, InputError, InputKind, VideoId, absence};
pub use merge::{MergeError, Pace, RunSummary, Status, Totals, VideoSummary, merge};
pub use names::InputNames;
pub use own_files::REPORT_MARK;
pub use path::absolute;
pub use pattern::expand;
pub use plan::{Plan, PlanError, PlannedInput, TableState, new_since, with_earlier};
pub use reader::{RunReader, RunReaderError};
pub use search::{Found, Search};
pub use settings::RunSettings;
pub use stage::{Stage, StageClock};
pub use weights::{
    DEMO, FindWeightsError, FoundWeights, SEED, check_unchanged, find_weights, missing_tasks_warning,
    warnings,
};
