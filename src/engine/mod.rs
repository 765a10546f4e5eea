//! The run: plan and shards, threads, resume, stop signals, what is published.
//!
//! The only room that starts threads.

mod clock;
mod event;
mod input;
mod job;
mod merge;
mod networks;
mod plan;
mod predictions;
mod publication;
mod run_folder;
mod schedule;
mod source;
mod stop;
mod timeline;

pub use event::{Event, Tally};
pub use input::{Input, InputError, InputKind, VideoId, collect};
pub use merge::{MergeError, Pace, RunSummary, Status, Totals, VideoSummary, merge};
pub use networks::{Loaded, Networks, NetworksError, UNTRAINED, find_weights, load, versions};
pub use plan::{Plan, PlanError, PlannedInput, RunSettings};
pub use predictions::PredictionsError;
pub use publication::Publication;
pub use run_folder::{Failure, RunFolder, Stage};
pub use schedule::{Outcome, annotate, default_workers};
pub use stop::{EXIT_STOPPED, Stop};
