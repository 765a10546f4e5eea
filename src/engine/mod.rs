//! The run: plan and shards, threads, resume, stop signals, what is published.
//!
//! The only room that starts threads, but for `training`.

mod batcher;
mod blend;
mod clock;
mod ensemble;
mod event;
mod finishing;
mod forward;
mod input;
mod job;
mod labelled;
mod many_files;
mod merge;
mod networks;
mod plan;
mod predictions;
mod publication;
mod refinish;
mod run_folder;
mod schedule;
mod source;
mod stop;
mod timeline;
mod workload;

pub use batcher::Waiting;
pub use blend::{BlendError, Blended, name_contents};
pub use ensemble::Ensemble;
pub use event::{Event, Tally};
pub use finishing::{Finishing, FinishingError};
pub use input::{Input, InputError, InputKind, VideoId, collect};
pub use labelled::{Evaluation, ScoredVideo, evaluate, labelled_videos};
pub use merge::{MergeError, Pace, RunSummary, Status, Totals, VideoSummary, merge};
pub use networks::{
    DEMO, FoundWeights, Loaded, Networks, NetworksError, UNTRAINED, find_weights, load, silence, versions,
};
pub use plan::{Plan, PlanError, PlannedInput, RunSettings, TableState, new_since};
pub use predictions::{PredictionsError, RunReader, SubjectTable};
pub use publication::Publication;
pub use refinish::{RefinishError, Refinished, refinish_run};
pub use run_folder::{Failure, RunFolder, Stage};
pub use schedule::{Crew, Outcome, annotate};
pub use stop::{EXIT_STOPPED, Stop};
